// From the header dword of a command to its kind and length (spec/gpu-commands.md 1).
//
// Pure: no memory, no context. What a command does is cs_mi*.cc, cs_blitter.cc and cs_streamer.cc.
#pragma once

#include <cstdint>

namespace softxe {

enum class CmdKind : std::uint8_t {
  kUnknown,
  // MI, bits 31:29 = 0
  kNoop,
  kIgnored,  ///< known, without effect here: predicates, application id, wake-ups, filters
  kUserInterrupt,
  kArbCheck,
  kArbOnOff,
  kMemFence,
  kBatchEnd,
  kMath,
  kSemaphoreSignal,
  kSemaphoreWait,
  kStoreDataImm,
  kLoadRegisterImm,
  kStoreRegisterMem,
  kFlushDw,
  kReportPerfCount,
  kLoadRegisterMem,
  kLoadRegisterReg,
  kCopyMemMem,
  kAtomic,
  kBatchStart,
  kCondBatchEnd,
  kPrtBatchStart,
  // blitter, bits 31:29 = 2
  kMemCopy,
  kMemSet,
  kFastCopy,
  kBlockCopy,
  kCtrlSurfCopy,
  kFastColor,
  kOldBlit,  ///< XY_SRC_COPY, XY_COLOR and their like, gone from the parts modelled
  // render and compute, bits 31:29 = 3
  kPipeControl,
  kRenderState,  ///< state setting: skipped by its length
  kRenderWork,   ///< needs shaders: primitives, walkers, media objects
};

enum class CmdClient : std::uint8_t { kMi, kBlitter, kRender, kOther };

/// A decoded header. `dwords` counts the header and is at least 1, also for kUnknown, where it means
/// nothing else.
struct CmdHeader {
  CmdKind kind = CmdKind::kUnknown;
  CmdClient client = CmdClient::kOther;
  std::uint32_t dwords = 1;
};

/// The longest command that is read whole: STORE_DATA_IMM with a 10-bit length.
inline constexpr std::uint32_t kCmdDwordsMax = 0x3ff + 2;

CmdHeader parse_header(std::uint32_t header);

/// For messages: "MI_STORE_DATA_IMM". Static storage.
const char* cmd_name(CmdKind kind);
/// The shortest legal form in dwords; a shorter one is an engine error.
std::uint32_t cmd_dwords_min(CmdKind kind);

}  // namespace softxe
