#include "base/guarded.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>

// Every routine returns 0 on success. After a fault those of one access return -1, those of lanes how many lanes
// (minus rcx) are left. The faulting address always lies between sx_guarded_begin and sx_guarded_end, lanes behind
// sx_guarded_lanes_begin; no routine touches the stack before its fixup, so the table has two rows.
asm(R"(
    .text
    .p2align 4
    .globl sx_guarded_begin
    .hidden sx_guarded_begin
sx_guarded_begin:

    .p2align 4
    .globl sx_guarded_copy
    .hidden sx_guarded_copy
    .type sx_guarded_copy, @function
sx_guarded_copy:
    movq %rdx, %rcx
    rep movsb
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_fill
    .hidden sx_guarded_fill
    .type sx_guarded_fill, @function
sx_guarded_fill:
    movq %rdx, %rcx
    movl %esi, %eax
    rep stosb
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_load32
    .hidden sx_guarded_load32
    .type sx_guarded_load32, @function
sx_guarded_load32:
    movl (%rdi), %eax
    movl %eax, (%rsi)
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_load64
    .hidden sx_guarded_load64
    .type sx_guarded_load64, @function
sx_guarded_load64:
    movq (%rdi), %rax
    movq %rax, (%rsi)
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_store32
    .hidden sx_guarded_store32
    .type sx_guarded_store32, @function
sx_guarded_store32:
    movl %esi, (%rdi)
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_store64
    .hidden sx_guarded_store64
    .type sx_guarded_store64, @function
sx_guarded_store64:
    movq %rsi, (%rdi)
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_cmpxchg32
    .hidden sx_guarded_cmpxchg32
    .type sx_guarded_cmpxchg32, @function
sx_guarded_cmpxchg32:
    movl (%rsi), %eax
    lock cmpxchgl %edx, (%rdi)
    movl %eax, (%rsi)
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_cmpxchg64
    .hidden sx_guarded_cmpxchg64
    .type sx_guarded_cmpxchg64, @function
sx_guarded_cmpxchg64:
    movq (%rsi), %rax
    lock cmpxchgq %rdx, (%rdi)
    movq %rax, (%rsi)
    xorl %eax, %eax
    ret

    .globl sx_guarded_lanes_begin
    .hidden sx_guarded_lanes_begin
sx_guarded_lanes_begin:

    .p2align 4
    .globl sx_guarded_gather8
    .hidden sx_guarded_gather8
    .type sx_guarded_gather8, @function
sx_guarded_gather8:
    leaq (%rdi,%rcx,8), %rdi
    leaq (%rdx,%rcx,1), %rdx
    negq %rcx
1:
    movq (%rdi,%rcx,8), %rax
    movzbl (%rax,%rsi), %r8d
    movb %r8b, (%rdx,%rcx,1)
    incq %rcx
    jnz 1b
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_gather16
    .hidden sx_guarded_gather16
    .type sx_guarded_gather16, @function
sx_guarded_gather16:
    leaq (%rdi,%rcx,8), %rdi
    leaq (%rdx,%rcx,2), %rdx
    negq %rcx
1:
    movq (%rdi,%rcx,8), %rax
    movzwl (%rax,%rsi), %r8d
    movw %r8w, (%rdx,%rcx,2)
    incq %rcx
    jnz 1b
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_gather32
    .hidden sx_guarded_gather32
    .type sx_guarded_gather32, @function
sx_guarded_gather32:
    leaq (%rdi,%rcx,8), %rdi
    leaq (%rdx,%rcx,4), %rdx
    negq %rcx
1:
    movq (%rdi,%rcx,8), %rax
    movl (%rax,%rsi), %r8d
    movl %r8d, (%rdx,%rcx,4)
    incq %rcx
    jnz 1b
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_gather64
    .hidden sx_guarded_gather64
    .type sx_guarded_gather64, @function
sx_guarded_gather64:
    leaq (%rdi,%rcx,8), %rdi
    leaq (%rdx,%rcx,8), %rdx
    negq %rcx
1:
    movq (%rdi,%rcx,8), %rax
    movq (%rax,%rsi), %r8
    movq %r8, (%rdx,%rcx,8)
    incq %rcx
    jnz 1b
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_scatter8
    .hidden sx_guarded_scatter8
    .type sx_guarded_scatter8, @function
sx_guarded_scatter8:
    leaq (%rdi,%rcx,8), %rdi
    leaq (%rdx,%rcx,1), %rdx
    negq %rcx
1:
    movq (%rdi,%rcx,8), %rax
    movzbl (%rdx,%rcx,1), %r8d
    movb %r8b, (%rax,%rsi)
    incq %rcx
    jnz 1b
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_scatter16
    .hidden sx_guarded_scatter16
    .type sx_guarded_scatter16, @function
sx_guarded_scatter16:
    leaq (%rdi,%rcx,8), %rdi
    leaq (%rdx,%rcx,2), %rdx
    negq %rcx
1:
    movq (%rdi,%rcx,8), %rax
    movzwl (%rdx,%rcx,2), %r8d
    movw %r8w, (%rax,%rsi)
    incq %rcx
    jnz 1b
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_scatter32
    .hidden sx_guarded_scatter32
    .type sx_guarded_scatter32, @function
sx_guarded_scatter32:
    leaq (%rdi,%rcx,8), %rdi
    leaq (%rdx,%rcx,4), %rdx
    negq %rcx
1:
    movq (%rdi,%rcx,8), %rax
    movl (%rdx,%rcx,4), %r8d
    movl %r8d, (%rax,%rsi)
    incq %rcx
    jnz 1b
    xorl %eax, %eax
    ret

    .p2align 4
    .globl sx_guarded_scatter64
    .hidden sx_guarded_scatter64
    .type sx_guarded_scatter64, @function
sx_guarded_scatter64:
    leaq (%rdi,%rcx,8), %rdi
    leaq (%rdx,%rcx,8), %rdx
    negq %rcx
1:
    movq (%rdi,%rcx,8), %rax
    movq (%rdx,%rcx,8), %r8
    movq %r8, (%rax,%rsi)
    incq %rcx
    jnz 1b
    xorl %eax, %eax
    ret

    .globl sx_guarded_end
    .hidden sx_guarded_end
sx_guarded_end:
    .globl sx_guarded_fixup
    .hidden sx_guarded_fixup
sx_guarded_fixup:
    movl $-1, %eax
    ret
    .globl sx_guarded_lanes_fixup
    .hidden sx_guarded_lanes_fixup
sx_guarded_lanes_fixup:
    movq %rcx, %rax
    negq %rax
    ret
)");

extern "C" {
extern const char kGuardedBegin[] asm("sx_guarded_begin");
extern const char kGuardedEnd[] asm("sx_guarded_end");
extern const char kGuardedLanesBegin[] asm("sx_guarded_lanes_begin");
extern const char kGuardedFixup[] asm("sx_guarded_fixup");
extern const char kGuardedLanesFixup[] asm("sx_guarded_lanes_fixup");
int sx_guarded_copy(void* to, const void* from, std::size_t bytes);
int sx_guarded_fill(void* to, int value, std::size_t bytes);
int sx_guarded_load32(const void* from, std::uint32_t* value);
int sx_guarded_load64(const void* from, std::uint64_t* value);
int sx_guarded_store32(void* to, std::uint32_t value);
int sx_guarded_store64(void* to, std::uint64_t value);
int sx_guarded_cmpxchg32(void* at, std::uint32_t* expected, std::uint32_t desired);
int sx_guarded_cmpxchg64(void* at, std::uint64_t* expected, std::uint64_t desired);
std::size_t sx_guarded_gather8(const void* at, std::uint64_t delta, void* to, std::size_t count);
std::size_t sx_guarded_gather16(const void* at, std::uint64_t delta, void* to, std::size_t count);
std::size_t sx_guarded_gather32(const void* at, std::uint64_t delta, void* to, std::size_t count);
std::size_t sx_guarded_gather64(const void* at, std::uint64_t delta, void* to, std::size_t count);
std::size_t sx_guarded_scatter8(const void* at, std::uint64_t delta, const void* from, std::size_t count);
std::size_t sx_guarded_scatter16(const void* at, std::uint64_t delta, const void* from, std::size_t count);
std::size_t sx_guarded_scatter32(const void* at, std::uint64_t delta, const void* from, std::size_t count);
std::size_t sx_guarded_scatter64(const void* at, std::uint64_t delta, const void* from, std::size_t count);
}

namespace softxe {

bool guarded_copy(void* to, const void* from, std::size_t bytes) { return sx_guarded_copy(to, from, bytes) == 0; }
bool guarded_fill(void* to, std::uint8_t value, std::size_t bytes) { return sx_guarded_fill(to, value, bytes) == 0; }
bool guarded_load32(const void* from, std::uint32_t& value) { return sx_guarded_load32(from, &value) == 0; }
bool guarded_load64(const void* from, std::uint64_t& value) { return sx_guarded_load64(from, &value) == 0; }
bool guarded_store32(void* to, std::uint32_t value) { return sx_guarded_store32(to, value) == 0; }
bool guarded_store64(void* to, std::uint64_t value) { return sx_guarded_store64(to, value) == 0; }
bool guarded_cmpxchg32(void* at, std::uint32_t& expected, std::uint32_t desired) {
  return sx_guarded_cmpxchg32(at, &expected, desired) == 0;
}
bool guarded_cmpxchg64(void* at, std::uint64_t& expected, std::uint64_t desired) {
  return sx_guarded_cmpxchg64(at, &expected, desired) == 0;
}

std::size_t guarded_gather(const GuardedLanes& lanes, void* to, std::size_t element_bytes) {
  switch (element_bytes) {
    case 1: return sx_guarded_gather8(lanes.at, lanes.delta, to, lanes.count);
    case 2: return sx_guarded_gather16(lanes.at, lanes.delta, to, lanes.count);
    case 4: return sx_guarded_gather32(lanes.at, lanes.delta, to, lanes.count);
    default: return sx_guarded_gather64(lanes.at, lanes.delta, to, lanes.count);
  }
}

std::size_t guarded_scatter(const GuardedLanes& lanes, const void* from, std::size_t element_bytes) {
  switch (element_bytes) {
    case 1: return sx_guarded_scatter8(lanes.at, lanes.delta, from, lanes.count);
    case 2: return sx_guarded_scatter16(lanes.at, lanes.delta, from, lanes.count);
    case 4: return sx_guarded_scatter32(lanes.at, lanes.delta, from, lanes.count);
    default: return sx_guarded_scatter64(lanes.at, lanes.delta, from, lanes.count);
  }
}

namespace {
constinit std::array<std::atomic<FrameSource*>, 64> sources{};

/// The source that the address belongs to, null: it is nobody's, or the page is there now (`served`).
FrameSource* owner_of(HostVa address, bool& served) {
  for (std::atomic<FrameSource*>& slot : sources) {
    FrameSource* source = slot.load(std::memory_order_acquire);
    if (source == nullptr) continue;
    const FrameSource::Answer answer = source->ask(address);
    if (answer == FrameSource::Answer::kNotMine) continue;
    served = answer == FrameSource::Answer::kServed;
    return source;
  }
  return nullptr;
}

bool is_guarded(std::uintptr_t at) {
  return at >= reinterpret_cast<std::uintptr_t>(kGuardedBegin) && at < reinterpret_cast<std::uintptr_t>(kGuardedEnd);
}
}  // namespace

bool guarded_add_source(FrameSource& source) {
  return std::any_of(sources.begin(), sources.end(), [&](std::atomic<FrameSource*>& slot) {
    FrameSource* none = nullptr;
    return slot.compare_exchange_strong(none, &source);
  });
}

void guarded_remove_source(FrameSource& source) {
  for (std::atomic<FrameSource*>& slot : sources) {
    FrameSource* expected = &source;
    slot.compare_exchange_strong(expected, nullptr);
  }
}

bool guarded_fixup(ucontext_t* context) {
  constexpr greg_t kPageFaultTrap = 14;
  FrameSource* owner = nullptr;
  const HostVa address(static_cast<std::uint64_t>(context->uc_mcontext.gregs[REG_CR2]));
  if (context->uc_mcontext.gregs[REG_TRAPNO] == kPageFaultTrap) {
    bool served = false;
    owner = owner_of(address, served);
    if (served) return true;
  }
  auto& rip = context->uc_mcontext.gregs[REG_RIP];
  auto at = static_cast<std::uintptr_t>(rip);
  if (!is_guarded(at)) {
    if (owner != nullptr) owner->refuse(address);
    return false;
  }
  const bool lanes = at >= reinterpret_cast<std::uintptr_t>(kGuardedLanesBegin);
  rip = static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(lanes ? kGuardedLanesFixup : kGuardedFixup));
  return true;
}

namespace {
void on_memory_signal(int signal, siginfo_t*, void* context) {
  if (guarded_fixup(static_cast<ucontext_t*>(context))) return;
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
}
}  // namespace

void guarded_install_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_memory_signal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace softxe
