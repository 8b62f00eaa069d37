// EuTrace: the instructions of chosen threads, with what they read and wrote, on standard error.
//
// SOFTXE_EU_TRACE=KERNEL:GROUP:THREAD chooses (docs/KERNELS.md). A thread is chosen when it starts; a chosen thread
// runs one instruction at a time and does exactly what it would do otherwise. Nothing here allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "hw/eu/eu_exec.h"
#include "hw/eu/eu_start.h"
#include "hw/eu/eu_stop.h"
#include "hw/eu/eu_walker.h"

namespace softxe {

/// What is left open matches everything.
struct EuTraceChoice {
  std::optional<std::uint64_t> number;   ///< of the kernel in its process, from 1, in the order of their starts
  std::optional<std::uint64_t> address;  ///< of the kernel's first instruction
  std::optional<EuTriple> group;
  std::optional<std::uint32_t> thread;
};

/// "KERNEL:GROUP:THREAD": a number or an address with 0x; X, X,Y or X,Y,Z; a number. `*` for everything. EINVAL with
/// a reason.
Result<EuTraceChoice> eu_parse_trace(std::string_view text);

/// For all devices of the process, from now on. Before the first kernel runs; nothing is traced otherwise.
void eu_set_trace(const std::optional<EuTraceChoice>& choice);

/// The number of a kernel that begins. Any thread.
std::uint64_t eu_next_kernel_number();

/// Whether the thread that starts there is to be traced.
bool eu_trace_wants(const EuWalker& walker, const EuThreadPlace& place);

/// As eu_run_thread(), and writes a line per instruction and operand.
EuStop eu_trace_thread(EuThread& thread, EuEnv& env, std::uint64_t instructions_max);

}  // namespace softxe
