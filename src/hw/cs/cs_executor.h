// CsExecutor: carries out one command. Internal to hw/cs.
//
//   cs_streamer.cc   which function carries out which command, stepping, slices
//   cs_mi.cc         memory, semaphores, batches, flushes
//   cs_registers.cc  registers and the commands that move them
//   cs_math.cc       MI_MATH
//   cs_predicate.cc  MI_PREDICATE
//   cs_atomic.cc     MI_ATOMIC
//   cs_blt.cc        decoding of blits, and doing a piece of one
//   cs_compute.cc    state of compute kernels, walkers
#pragma once

#include <array>
#include <cstdint>

#include "hw/cs/cs_context.h"
#include "hw/cs/cs_memory.h"
#include "hw/cs/cs_parser.h"
#include "hw/cs/cs_streamer.h"

namespace softxe {

/// What follows a command that worked.
enum class CsFlow : std::uint8_t {
  kNext,
  kJumped,  ///< `pc` is set
  kDone,    ///< the first level ended
  kAgain,   ///< a blit or a walker has more to do
  kYield,
};

/// Errno values that tell bad commands and kernels from errors of the memory, which are all faults.
inline constexpr int kCsBadCommand = EBADRQC;
inline constexpr int kCsShader = ENOSYS;
inline constexpr int kCsBadKernel = ENOEXEC;

inline tl::unexpected<Error> bad_command(const char* why) { return fail(kCsBadCommand, why); }

constexpr std::uint32_t cs_bits(std::uint32_t value, unsigned high, unsigned low) {
  return value >> low & static_cast<std::uint32_t>((std::uint64_t{2} << (high - low)) - 1);
}
constexpr bool cs_bit(std::uint32_t value, unsigned bit) { return (value >> bit & 1) != 0; }
constexpr std::uint64_t cs_join(std::uint32_t low, std::uint32_t high) { return std::uint64_t{high} << 32 | low; }

/// Lives for one step, on the engine's thread; no lock.
class CsExecutor {
 public:
  CsExecutor(CsContext& context, CsMemory& memory, const CsEngine& engine, const CsStepLimits& limits)
      : ctx_(context), mem_(memory), engine_(engine), limits_(limits) {}

  /// Fetches the command at `pc` and carries it out; on success moves `pc`.
  Result<CsFlow> run();
  std::uint32_t header() const { return header_; }

 private:
  using Flow = Result<CsFlow>;

  /// A register: an absolute offset, made relative to the engine's base when it is one of its own.
  struct Reg {
    std::uint32_t offset;
    bool own;  ///< `offset` is relative to this engine's base
  };

  Flow execute(const CsHeader& h);
  Flow execute_mi(const CsHeader& h);
  Flow execute_blitter(const CsHeader& h);
  Flow execute_render(const CsHeader& h);
  Flow execute_compute(const CsHeader& h);

  // Parts of commands.
  Result<std::uint32_t> dword(std::uint32_t index);
  template <std::size_t N>
  Result<std::array<std::uint32_t, N>> body();  ///< dwords 0 to N-1; the header is not read again
  /// The same of a command that may be shorter: what it does not have is 0.
  template <std::size_t N>
  Result<std::array<std::uint32_t, N>> body_so_far();
  Status expect_dwords(std::uint32_t dwords) const;
  Status refuse_ggtt() const;
  std::uint64_t va_mask() const { return (std::uint64_t{1} << engine_.va_bits) - 1; }
  GpuVa strip(std::uint64_t address) const { return GpuVa(address & va_mask()); }
  GpuVa va_of(std::uint32_t low, std::uint32_t high) const { return strip(cs_join(low, high)); }
  static Result<bool> compare(std::uint32_t code, std::uint32_t memory, std::uint32_t inline_value);
  Status store32(GpuVa va, std::uint32_t value);
  Status store64(GpuVa va, std::uint64_t value);

  // MI.
  Flow store_data_imm();
  Flow semaphore_wait();
  Flow copy_mem_mem();
  Flow batch_start();
  Flow cond_batch_end();
  Flow end_level();
  Flow flush_dw();
  Flow pipe_control();
  Flow report_perf_count();
  Flow atomic();
  template <typename T>
  Result<T> atomic_memory(GpuVa va, std::uint32_t op, T operand1, T operand2);

  // Registers.
  /// Header bits that change the meaning of a register offset.
  struct RegBits {
    unsigned relative;
    unsigned remap;
  };
  Reg reg_of(std::uint32_t offset, const RegBits& bits) const;
  std::uint32_t read_register(const Reg& reg) const;
  void write_register(const Reg& reg, std::uint32_t value);
  std::uint64_t ring_ticks() const;
  std::uint64_t context_ticks() const;
  std::uint64_t ticks_of_ns(std::uint64_t ns) const;
  Flow load_register_imm();
  Flow store_register_mem();
  Flow load_register_mem();
  Flow load_register_reg();

  // MATH.
  Flow math();
  Status alu_word(std::uint32_t word);
  Status alu_arithmetic(std::uint32_t opcode);
  Result<std::uint64_t> alu_read(std::uint32_t operand) const;
  Status alu_write(std::uint32_t operand, std::uint64_t value);

  Flow predicate();

  // Blits.
  Flow mem_copy();
  Flow mem_set();
  Flow fast_copy();
  Flow block_copy();
  Flow fast_color();
  Flow start_blit(const CsLongBlit& blit);
  Flow continue_blit();
  Status blit_piece(CsLongBlit& blit, std::uint64_t bytes_max, std::uint64_t& bytes_done);

  // Compute.
  Flow state_base_address();
  Flow binding_table_pool();
  Flow compute_mode();
  Flow system_routine();
  Flow front_end();
  Flow compute_walker();
  Flow continue_walker();
  tl::unexpected<Error> walker_failed(const EuRun& run);
  Status write_post_sync(const EuPostSync& post_sync);

  CsContext& ctx_;
  CsMemory& mem_;
  const CsEngine& engine_;
  const CsStepLimits& limits_;
  std::uint32_t header_ = 0;
  std::uint32_t dwords_ = 1;
};

template <std::size_t N>
Result<std::array<std::uint32_t, N>> CsExecutor::body() {
  SX_TRY_VOID(expect_dwords(N));
  std::array<std::uint32_t, N> d{};
  d[0] = header_;
  for (std::uint32_t i = 1; i < N; ++i) {
    SX_TRY(d[i], dword(i));
  }
  return d;
}

template <std::size_t N>
Result<std::array<std::uint32_t, N>> CsExecutor::body_so_far() {
  std::array<std::uint32_t, N> d{};
  d[0] = header_;
  for (std::uint32_t i = 1; i < N && i < dwords_; ++i) {
    SX_TRY(d[i], dword(i));
  }
  return d;
}

}  // namespace softxe
