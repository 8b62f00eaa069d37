#include "host/live/engine_stack.h"

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

std::uint64_t switched_from() { return client_stack_pointer; }

}  // namespace softxe::live
