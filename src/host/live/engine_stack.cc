#include "host/live/engine_stack.h"

#include <link.h>

#include "base/address.h"

extern "C" void sx_call_on_stack(void* argument, void (*function)(void*), void* top);

asm(R"(
    .pushsection .text.sx_stack, "ax", @progbits
    .p2align 4
    .hidden sx_call_on_stack
    .globl sx_call_on_stack
    .type sx_call_on_stack, @function
sx_call_on_stack:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    movq %rdx, %rsp
    call *%rsi
    leave
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .size sx_call_on_stack, .-sx_call_on_stack
    .popsection
)");

namespace softxe::live {
namespace {
thread_local constinit std::uint64_t client_stack_pointer = 0;
}  // namespace

void call_on_stack(void* top, void (*function)(void*), void* argument) {
  const std::uint64_t before = client_stack_pointer;
  if (before == 0) client_stack_pointer = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0));
  sx_call_on_stack(argument, function, top);
  client_stack_pointer = before;
}

std::uint64_t static_tls_bytes() {
  std::uint64_t total = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* sum) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          if (header.p_type != PT_TLS) continue;
          *static_cast<std::uint64_t*>(sum) += header.p_memsz + header.p_align;
        }
        return 0;
      },
      &total);
  return total;
}

std::uint64_t thread_stack_bytes(std::uint64_t frames) {
  constexpr std::uint64_t kOrdinaryTls = 64ULL << 10;
  const std::uint64_t tls = static_tls_bytes();
  return tls <= kOrdinaryTls ? frames : frames + align_up(tls, kOrdinaryTls);
}

std::uint64_t switched_from() { return client_stack_pointer; }

}  // namespace softxe::live
