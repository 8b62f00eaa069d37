#include "hw/cmd_parser.h"

#include <gtest/gtest.h>
#include <fmt/format.h>

#include "base/prng.h"

namespace softxe {
namespace {

struct HeaderCase {
  std::uint32_t header;
  CmdKind kind;
  std::uint32_t dwords;
};

TEST(CmdParser, HeadersOfTheSpecification) {
  const HeaderCase cases[] = {
      {0x00000000, CmdKind::kNoop, 1},
      {0x00400abc, CmdKind::kNoop, 1},  // tagged
      {0x00800000, CmdKind::kIgnored, 1},
      {0x01000000, CmdKind::kUserInterrupt, 1},
      {0x02800000, CmdKind::kArbCheck, 1},
      {0x02800101, CmdKind::kArbCheck, 1},
      {0x04000000, CmdKind::kArbOnOff, 1},
      {0x04800003, CmdKind::kMemFence, 1},
      {0x05000000, CmdKind::kBatchEnd, 1},
      {0x06000000, CmdKind::kIgnored, 1},
      {0x06800000, CmdKind::kIgnored, 1},
      {0x07000000, CmdKind::kIgnored, 1},
      {0x0D000003, CmdKind::kMath, 5},
      {0x0D800000, CmdKind::kSemaphoreSignal, 2},
      {0x0E000002, CmdKind::kSemaphoreWait, 4},
      {0x0E000003, CmdKind::kSemaphoreWait, 5},
      {0x0E800000, CmdKind::kIgnored, 2},
      {0x10000002, CmdKind::kStoreDataImm, 4},
      {0x10200003, CmdKind::kStoreDataImm, 5},
      {0x100003ff, CmdKind::kStoreDataImm, 1025},  // ten bits of length
      {0x11000001, CmdKind::kLoadRegisterImm, 3},
      {0x1100001f, CmdKind::kLoadRegisterImm, 33},
      {0x12000002, CmdKind::kStoreRegisterMem, 4},
      {0x13000003, CmdKind::kFlushDw, 5},
      {0x130000c3, CmdKind::kFlushDw, 5},  // six bits of length
      {0x14000002, CmdKind::kReportPerfCount, 4},
      {0x14800002, CmdKind::kLoadRegisterMem, 4},
      {0x15000001, CmdKind::kLoadRegisterReg, 3},
      {0x17000003, CmdKind::kCopyMemMem, 5},
      {0x17800501, CmdKind::kAtomic, 3},
      {0x17840709, CmdKind::kAtomic, 11},
      {0x18800001, CmdKind::kBatchStart, 3},
      {0x1B000002, CmdKind::kCondBatchEnd, 4},
      {0x1C800000, CmdKind::kPrtBatchStart, 3},
      {0x01800000, CmdKind::kUnknown, 1},
      {0x1F800000, CmdKind::kUnknown, 2},
      {0x20000000, CmdKind::kUnknown, 1},  // clients 1, 4, 5, 6, 7
      {0x80000000, CmdKind::kUnknown, 1},
      {0xFFFFFFFF, CmdKind::kUnknown, 1},
      {0x56800008, CmdKind::kMemCopy, 10},
      {0x56C00005, CmdKind::kMemSet, 7},
      {0x50800008, CmdKind::kFastCopy, 10},
      {0x5040000A, CmdKind::kBlockCopy, 12},
      {0x50400014, CmdKind::kBlockCopy, 22},
      {0x52000003, CmdKind::kCtrlSurfCopy, 5},
      {0x5100000E, CmdKind::kFastColor, 16},
      {0x54C00008, CmdKind::kOldBlit, 10},
      {0x54000005, CmdKind::kOldBlit, 7},
      {0x5FC00000, CmdKind::kUnknown, 2},
      {0x7A000004, CmdKind::kPipeControl, 6},
      {0x7A000000, CmdKind::kPipeControl, 2},
      {0x69041300, CmdKind::kRenderState, 1},   // PIPELINE_SELECT: one dword whatever its bits
      {0x61010014, CmdKind::kRenderState, 22},  // STATE_BASE_ADDRESS
      {0x61090000, CmdKind::kRenderState, 2},
      {0x791701ff, CmdKind::kRenderState, 513},  // stream-output list: nine bits of length
      {0x72000004, CmdKind::kRenderState, 6},    // CFE_STATE
      {0x72080025, CmdKind::kRenderWork, 39},    // COMPUTE_WALKER
      {0x7105000D, CmdKind::kRenderWork, 15},    // GPGPU_WALKER
      {0x7B000005, CmdKind::kRenderWork, 7},     // 3DPRIMITIVE
  };
  for (const HeaderCase& c : cases) {
    SCOPED_TRACE(fmt::format("header {:#010x}", c.header));
    const CmdHeader got = parse_header(c.header);
    EXPECT_STREQ(cmd_name(got.kind), cmd_name(c.kind));
    EXPECT_EQ(got.dwords, c.dwords);
  }
}

TEST(CmdParser, NoHeaderIsLongerThanTheBufferThatReadsIt) {
  Prng prng(7);
  for (int i = 0; i < 100'000; ++i) {
    const CmdHeader got = parse_header(static_cast<std::uint32_t>(prng.next()));
    ASSERT_GE(got.dwords, 1u);
    ASSERT_LE(got.dwords, kCmdDwordsMax);
    ASSERT_GE(cmd_dwords_min(got.kind), 1u);
  }
}

}  // namespace
}  // namespace softxe
