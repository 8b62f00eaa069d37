// The parser: what kind of command a header dword starts, and how many dwords it has.
//
// Knows lengths of all clients, kinds only of commands that the streamer tells apart. Says nothing
// about whether the engine may run it. spec/gpu-commands.md 1, 2, 7, 10; spec/compute-dispatch.md 3.
#pragma once

#include <cstdint>

namespace softxe {

enum class CsKind : std::uint8_t {
  kUnknown,  ///< undecodable; its length is a guess
  // MI
  kIgnored,  ///< decoded, without effect here: NOOP, ARB_CHECK, SET_PREDICATE, interrupts, fences ...
  kPredicate,
  kBatchBufferEnd,
  kMath,
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
  kBatchBufferStart,
  kCondBatchBufferEnd,
  kPrtBatchBufferStart,
  // Blitter
  kMemCopy,
  kMemSet,
  kFastCopy,
  kBlockCopy,
  kFastColor,
  kCtrlSurfCopy,
  kOldBlit,  ///< SRC_COPY, XY_SRC_COPY, XY_COLOR: on none of the modelled parts
  // Render and compute
  kPipeControl,
  kFenceAddress,  ///< STATE_SYSTEM_MEM_FENCE_ADDRESS: where memory fences write, on every engine
  kState,         ///< skipped by its length
  kStateBaseAddress,
  kBindingTablePool,
  kComputeMode,
  kSystemRoutine,  ///< STATE_SIP
  kFrontEnd,       ///< CFE_STATE
  kComputeWalker,  ///< in all its variants
  kShader,         ///< starts shaders in another way: primitives, media objects
  // Resource barriers
  kResourceBarrier,
};

enum class CsClient : std::uint8_t { kMi, kBlitter, kRender, kBarrier, kReserved };

struct CsHeader {
  CsClient client = CsClient::kReserved;
  CsKind kind = CsKind::kUnknown;
  std::uint32_t dwords = 1;  ///< the header included; 1 to 1025
};

CsHeader parse_cs_header(std::uint32_t header);

}  // namespace softxe
