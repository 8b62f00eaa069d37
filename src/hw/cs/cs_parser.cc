#include "hw/cs/cs_parser.h"

namespace softxe {
namespace {

constexpr std::uint32_t bits(std::uint32_t value, unsigned high, unsigned low) {
  return value >> low & ((2u << (high - low)) - 1);
}

CsKind mi_kind(std::uint32_t opcode) {
  switch (opcode) {
    case 0x00:  // NOOP
    case 0x01:  // SET_PREDICATE
    case 0x02:  // USER_INTERRUPT
    case 0x05:  // ARB_CHECK
    case 0x08:  // ARB_ON_OFF
    case 0x09:  // MEM_FENCE
    case 0x0D:  // TOPOLOGY_FILTER
    case 0x0E:  // SET_APPID
    case 0x1B:  // SEMAPHORE_SIGNAL: waits poll, so there is nobody to tell
    case 0x1D:  // FORCE_WAKEUP
      return CsKind::kIgnored;
    case 0x0C: return CsKind::kPredicate;
    case 0x0A: return CsKind::kBatchBufferEnd;
    case 0x1A: return CsKind::kMath;
    case 0x1C: return CsKind::kSemaphoreWait;
    case 0x20: return CsKind::kStoreDataImm;
    case 0x22: return CsKind::kLoadRegisterImm;
    case 0x24: return CsKind::kStoreRegisterMem;
    case 0x26: return CsKind::kFlushDw;
    case 0x28: return CsKind::kReportPerfCount;
    case 0x29: return CsKind::kLoadRegisterMem;
    case 0x2A: return CsKind::kLoadRegisterReg;
    case 0x2E: return CsKind::kCopyMemMem;
    case 0x2F: return CsKind::kAtomic;
    case 0x31: return CsKind::kBatchBufferStart;
    case 0x36: return CsKind::kCondBatchBufferEnd;
    case 0x39: return CsKind::kPrtBatchBufferStart;
    default: return CsKind::kUnknown;
  }
}

CsHeader parse_mi(std::uint32_t header) {
  const std::uint32_t opcode = bits(header, 28, 23);
  const CsKind kind = mi_kind(opcode);
  if (opcode < 0x10) return {.client = CsClient::kMi, .kind = kind, .dwords = 1};
  std::uint32_t field = bits(header, 7, 0);
  if (kind == CsKind::kStoreDataImm) field = bits(header, 9, 0);
  if (kind == CsKind::kFlushDw) field = bits(header, 5, 0);
  return {.client = CsClient::kMi, .kind = kind, .dwords = field + 2};
}

CsHeader parse_blitter(std::uint32_t header) {
  CsKind kind = CsKind::kUnknown;
  switch (bits(header, 28, 22)) {
    case 0x5A: kind = CsKind::kMemCopy; break;
    case 0x5B: kind = CsKind::kMemSet; break;
    case 0x42: kind = CsKind::kFastCopy; break;
    case 0x41: kind = CsKind::kBlockCopy; break;
    case 0x44: kind = CsKind::kFastColor; break;
    case 0x48: kind = CsKind::kCtrlSurfCopy; break;
    case 0x43:  // SRC_COPY
    case 0x50:  // XY_COLOR
    case 0x53:  // XY_SRC_COPY
      kind = CsKind::kOldBlit;
      break;
    default: break;
  }
  return {.client = CsClient::kBlitter, .kind = kind, .dwords = bits(header, 7, 0) + 2};
}

/// State that the streamer itself keeps or passes over, by the header's upper half.
struct StateCommand {
  std::uint32_t upper;
  CsKind kind;
};
constexpr StateCommand kStateCommands[] = {
    {0x6109, CsKind::kFenceAddress},     {0x6101, CsKind::kStateBaseAddress}, {0x6105, CsKind::kComputeMode},
    {0x7919, CsKind::kBindingTablePool}, {0x7200, CsKind::kFrontEnd},         {0x6102, CsKind::kSystemRoutine},
};

/// Pipeline 28:27, opcode 26:24, sub-opcode 23:16.
CsHeader parse_render(std::uint32_t header) {
  const std::uint32_t pipeline = bits(header, 28, 27);
  const std::uint32_t opcode = bits(header, 26, 24);
  const std::uint32_t sub = bits(header, 23, 16);
  CsHeader h{.client = CsClient::kRender, .kind = CsKind::kState, .dwords = bits(header, 7, 0) + 2};
  // Common, single-dword, media and 3D families that exist; the rest hangs an engine (spec section 1).
  constexpr std::uint32_t kOpcodesKnown[] = {0b011, 0b011, 0b111, 0b1111};
  if ((kOpcodesKnown[pipeline] >> opcode & 1) == 0 || (pipeline == 3 && opcode == 2 && sub != 0)) {
    h.kind = CsKind::kUnknown;
  }
  for (const StateCommand& command : kStateCommands) {
    if (header >> 16 == command.upper) h.kind = command.kind;
  }
  if (pipeline == 1) h.dwords = 1;
  if (pipeline == 2) {
    // Opcode 1: MEDIA_OBJECT*, GPGPU_WALKER. Opcode 2: CFE_STATE, and COMPUTE_WALKER with its variant in bits 17:15.
    if (opcode == 1 || (opcode == 2 && sub >= 8)) h.kind = CsKind::kShader;
    if (opcode == 2 && sub >> 2 == 2) h.kind = CsKind::kComputeWalker;
  }
  if (pipeline == 3) {
    if (opcode == 2 && sub == 0) h.kind = CsKind::kPipeControl;
    if (opcode == 3) h.kind = CsKind::kShader;
    // 3DSTATE_SO_DECL_LIST.
    if (opcode == 1 && sub == 0x17) h.dwords = bits(header, 8, 0) + 2;
  }
  return h;
}

/// Opcode 28:26.
CsHeader parse_barrier(std::uint32_t header) {
  const CsKind kind = bits(header, 28, 26) == 3 ? CsKind::kResourceBarrier : CsKind::kUnknown;
  return {.client = CsClient::kBarrier, .kind = kind, .dwords = bits(header, 7, 0) + 2};
}

}  // namespace

CsHeader parse_cs_header(std::uint32_t header) {
  switch (bits(header, 31, 29)) {
    case 0: return parse_mi(header);
    case 2: return parse_blitter(header);
    case 3: return parse_render(header);
    case 5: return parse_barrier(header);
    default: return {};
  }
}

}  // namespace softxe
