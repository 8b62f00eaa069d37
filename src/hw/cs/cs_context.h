// CsContext: what a hardware context keeps between commands, and CsEngine: what it runs on.
//
// Read next: cs_streamer.h.
#pragma once

#include <array>
#include <cstdint>

#include "base/address.h"
#include "base/clock.h"
#include "hw/eu/eu_dispatch.h"
#include "hw/eu/eu_state.h"
#include "hw/eu/eu_units.h"
#include "hw/surface.h"

namespace softxe {

/// Numbered as in the uapi.
enum class CsEngineClass : std::uint8_t {
  kRender = 0,
  kCopy = 1,
  kVideoDecode = 2,
  kVideoEnhance = 3,
  kCompute = 4,
};

/// One hardware engine, as far as commands can tell. Constant while contexts run on it.
struct CsEngine {
  CsEngineClass engine_class = CsEngineClass::kRender;
  std::uint32_t mmio_base = 0x2000;               ///< spec/gpu-commands.md 8
  std::uint64_t reference_clock_hz = 19'200'000;  ///< as the GT list reports it; below 2^32
  std::uint32_t va_bits = 48;                     ///< 48 or 57; address bits above are ignored
  const Clock* clock = nullptr;                   ///< borrowed
  EuUnits* units = nullptr;                       ///< borrowed; null: kernels are refused
};

/// A blit that takes more than one step: a rectangle copied between two surfaces or filled.
/// Rectangles are decoded once; the command stays the current one until the last row is done.
struct CsLongBlit {
  enum class Kind : std::uint8_t { kNone, kCopy, kFill };

  Kind kind = Kind::kNone;
  std::uint32_t command_header = 0;
  std::uint32_t command_dwords = 0;
  Surface to{};
  Surface from{};  ///< kCopy only
  Surface::Point to_corner{};
  Surface::Point from_corner{};
  std::uint64_t row_bytes = 0;
  std::uint64_t rows = 0;
  std::array<std::uint8_t, 16> pattern{};  ///< kFill only
  std::uint32_t pattern_bytes = 1;
  std::uint64_t row = 0;     ///< the next byte to do: row ...
  std::uint64_t offset = 0;  ///< ... and offset in it
};

/// A walker under way; its groups are in CsContext::dispatch. The command stays the current one until its post-sync
/// is written, and is not read again: the post-sync of another walker may have overwritten it.
struct CsLongWalker {
  std::uint32_t command_header = 0;
  std::uint32_t command_dwords = 0;
  std::uint64_t context_ticks = 0;  ///< when it began
  std::uint64_t ring_ticks = 0;
  std::uint64_t began = 0;  ///< as an event
};

/// The thread in which a kernel failed.
struct CsKernelStop {
  GpuVa kernel{};  ///< address of its first instruction; 0: no kernel failed
  EuRun run;
};

/// What kernels of a context have done and nobody has counted yet.
struct CsKernelWork {
  std::uint64_t kernels = 0;
  EuWork work;
};

/// Operands of the command streamer's ALU (spec/gpu-commands.md 3).
struct CsAlu {
  std::uint64_t srca = 0;
  std::uint64_t srcb = 0;
  std::uint64_t accu = 0;
  std::uint64_t zf = 0;  ///< all ones or 0
  std::uint64_t cf = 0;  ///< all ones or 0
};

/// MI_PREDICATE's registers 0x400 to 0x418.
struct CsPredicate {
  std::array<std::uint64_t, 2> source{};
  std::uint64_t data = 0;  ///< difference of the sources at the last MI_PREDICATE
  bool result = false;
};

/// One per batch position of an exec queue; may move between engines. One thread at a
/// time. Invariant: between steps `pc` is at a command's first dword.
struct CsContext {
  static constexpr std::uint32_t kLevelsMax = 3;

  std::array<std::uint64_t, 16> gpr{};
  CsAlu alu;
  CsPredicate predicate;
  GpuVa pc;
  bool running = false;
  std::array<GpuVa, kLevelsMax - 1> returns{};
  std::uint32_t depth = 0;  ///< entries of `returns` in use
  CsLongBlit blit;
  EuState compute;
  CsLongWalker walker;
  EuDispatch dispatch;
  CsKernelStop kernel_stop;  ///< of the last walker
  CsKernelWork kernel_work;  ///< whoever runs slices takes it

  /// CTX_TIMESTAMP is the time run before this slice plus the time since it began.
  std::uint64_t run_time_before_ns = 0;
  std::uint64_t slice_start_ns = 0;
  /// In this slice. A slice that jumped backwards and wrote nothing waits for somebody: a spinner.
  bool jumped_back = false;
  bool wrote_memory = false;

  /// The next step is the first command of `batch`. Registers survive.
  void start_batch(GpuVa batch) {
    pc = batch;
    running = true;
    depth = 0;
    blit.kind = CsLongBlit::Kind::kNone;
    dispatch.drop();
  }
};

}  // namespace softxe
