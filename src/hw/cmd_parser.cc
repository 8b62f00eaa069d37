#include "hw/cmd_parser.h"

#include <array>

namespace softxe {
namespace {

constexpr std::uint32_t bits(std::uint32_t word, unsigned high, unsigned low) {
  return (word >> low) & ((2u << (high - low)) - 1);
}

constexpr std::uint32_t kMiFirstLong = 0x10;  // opcodes below are one dword

CmdKind mi_kind(std::uint32_t opcode) {
  switch (opcode) {
    case 0x00: return CmdKind::kNoop;
    case 0x01:  // SET_PREDICATE
    case 0x0C:  // PREDICATE
    case 0x0D:  // TOPOLOGY_FILTER
    case 0x0E:  // SET_APPID
    case 0x1D:  // FORCE_WAKEUP
      return CmdKind::kIgnored;
    case 0x02: return CmdKind::kUserInterrupt;
    case 0x05: return CmdKind::kArbCheck;
    case 0x08: return CmdKind::kArbOnOff;
    case 0x09: return CmdKind::kMemFence;
    case 0x0A: return CmdKind::kBatchEnd;
    case 0x1A: return CmdKind::kMath;
    case 0x1B: return CmdKind::kSemaphoreSignal;
    case 0x1C: return CmdKind::kSemaphoreWait;
    case 0x20: return CmdKind::kStoreDataImm;
    case 0x22: return CmdKind::kLoadRegisterImm;
    case 0x24: return CmdKind::kStoreRegisterMem;
    case 0x26: return CmdKind::kFlushDw;
    case 0x28: return CmdKind::kReportPerfCount;
    case 0x29: return CmdKind::kLoadRegisterMem;
    case 0x2A: return CmdKind::kLoadRegisterReg;
    case 0x2E: return CmdKind::kCopyMemMem;
    case 0x2F: return CmdKind::kAtomic;
    case 0x31: return CmdKind::kBatchStart;
    case 0x36: return CmdKind::kCondBatchEnd;
    case 0x39: return CmdKind::kPrtBatchStart;
    default: return CmdKind::kUnknown;
  }
}

CmdHeader parse_mi(std::uint32_t header) {
  const std::uint32_t opcode = bits(header, 28, 23);
  CmdHeader out{mi_kind(opcode), CmdClient::kMi, 1};
  if (opcode < kMiFirstLong) return out;
  switch (out.kind) {
    case CmdKind::kStoreDataImm: out.dwords = bits(header, 9, 0) + 2; break;
    case CmdKind::kFlushDw: out.dwords = bits(header, 5, 0) + 2; break;
    // The length field is not documented in use: three dwords by spec/gpu-commands.md 9, trap 1.
    case CmdKind::kPrtBatchStart: out.dwords = 3; break;
    default: out.dwords = bits(header, 7, 0) + 2; break;
  }
  return out;
}

CmdKind blitter_kind(std::uint32_t opcode) {
  switch (opcode) {
    case 0x41: return CmdKind::kBlockCopy;
    case 0x42: return CmdKind::kFastCopy;
    case 0x43:  // SRC_COPY
    case 0x50:  // XY_COLOR
    case 0x53:  // XY_SRC_COPY
      return CmdKind::kOldBlit;
    case 0x44: return CmdKind::kFastColor;
    case 0x48: return CmdKind::kCtrlSurfCopy;
    case 0x5A: return CmdKind::kMemCopy;
    case 0x5B: return CmdKind::kMemSet;
    default: return CmdKind::kUnknown;
  }
}

CmdKind render_kind(std::uint32_t header) {
  const std::uint32_t pipeline = bits(header, 28, 27);
  const std::uint32_t opcode = bits(header, 26, 24);
  const std::uint32_t sub = bits(header, 23, 16);
  constexpr std::uint32_t kCommon = 0;
  constexpr std::uint32_t kSingleDword = 1;
  constexpr std::uint32_t kCompute = 2;
  if (pipeline == kSingleDword) return CmdKind::kRenderState;  // PIPELINE_SELECT and its like
  if (pipeline == kCommon) return opcode <= 1 ? CmdKind::kRenderState : CmdKind::kUnknown;
  if (pipeline == kCompute) {
    // Opcode 0: media state (VFE, CURBE, descriptors, flush). Opcode 2: CFE state is sub-opcode 0.
    if (opcode == 0) return CmdKind::kRenderState;
    if (opcode == 2 && sub == 0) return CmdKind::kRenderState;
    return opcode <= 2 ? CmdKind::kRenderWork : CmdKind::kUnknown;
  }
  switch (opcode) {
    case 0:
    case 1: return CmdKind::kRenderState;  // 3DSTATE_*
    case 2: return sub == 0 ? CmdKind::kPipeControl : CmdKind::kUnknown;
    case 3: return CmdKind::kRenderWork;   // 3DPRIMITIVE, mesh
    default: return CmdKind::kUnknown;
  }
}

CmdHeader parse_render(std::uint32_t header) {
  CmdHeader out{render_kind(header), CmdClient::kRender, bits(header, 7, 0) + 2};
  if (bits(header, 28, 27) == 1) out.dwords = 1;
  constexpr std::uint32_t kSoDeclList = 0x7917;  // the one list with a 9-bit length
  if (header >> 16 == kSoDeclList) out.dwords = bits(header, 8, 0) + 2;
  return out;
}

struct Facts {
  const char* name;
  std::uint32_t dwords_min;
};

constexpr std::array<Facts, 33> kFacts = {{
    {"unknown command", 1},
    {"MI_NOOP", 1},
    {"MI command without effect", 1},
    {"MI_USER_INTERRUPT", 1},
    {"MI_ARB_CHECK", 1},
    {"MI_ARB_ON_OFF", 1},
    {"MI_MEM_FENCE", 1},
    {"MI_BATCH_BUFFER_END", 1},
    {"MI_MATH", 2},
    {"MI_SEMAPHORE_SIGNAL", 2},
    {"MI_SEMAPHORE_WAIT", 4},
    {"MI_STORE_DATA_IMM", 4},
    {"MI_LOAD_REGISTER_IMM", 3},
    {"MI_STORE_REGISTER_MEM", 4},
    {"MI_FLUSH_DW", 2},
    {"MI_REPORT_PERF_COUNT", 4},
    {"MI_LOAD_REGISTER_MEM", 4},
    {"MI_LOAD_REGISTER_REG", 3},
    {"MI_COPY_MEM_MEM", 5},
    {"MI_ATOMIC", 3},
    {"MI_BATCH_BUFFER_START", 3},
    {"MI_COND_BATCH_BUFFER_END", 4},
    {"MI_PRT_BATCH_BUFFER_START", 3},
    {"MEM_COPY", 10},
    {"MEM_SET", 7},
    {"XY_FAST_COPY_BLT", 10},
    {"XY_BLOCK_COPY_BLT", 12},
    {"XY_CTRL_SURF_COPY_BLT", 5},
    {"XY_FAST_COLOR_BLT", 11},
    {"old raster blit", 2},
    {"PIPE_CONTROL", 2},
    {"render or compute state", 1},
    {"3D or compute work", 2},
}};
static_assert(kFacts.size() == static_cast<std::size_t>(CmdKind::kRenderWork) + 1);

}  // namespace

CmdHeader parse_header(std::uint32_t header) {
  switch (header >> 29) {
    case 0: return parse_mi(header);
    case 2:
      return {blitter_kind(bits(header, 28, 22)), CmdClient::kBlitter, bits(header, 7, 0) + 2};
    case 3: return parse_render(header);
    default: return {};
  }
}

const char* cmd_name(CmdKind kind) { return kFacts[static_cast<std::size_t>(kind)].name; }

std::uint32_t cmd_dwords_min(CmdKind kind) {
  return kFacts[static_cast<std::size_t>(kind)].dwords_min;
}

}  // namespace softxe
