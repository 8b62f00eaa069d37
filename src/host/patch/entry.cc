#include "host/patch/entry.h"

#include <cpuid.h>
#include <sched.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>

#include "host/patch/calls.h"

// Shared between the assembly below and this file, and nobody else.
extern "C" {
[[gnu::used]] std::atomic<std::uint32_t> sx_patch_active{0};
[[gnu::used]] std::uint32_t sx_patch_vector_mode = 0;  // 0 fxsave, 1 xsave, 2 xsavec
[[gnu::used]] std::uint32_t sx_patch_vector_mask = 3;  // XCR0 bits that are saved
[[gnu::used]] std::uint32_t sx_patch_vector_bytes = 512;
extern const std::array<std::uint8_t, 512> kPatchClassTable asm("sx_patch_class_table");
void sx_patch_entry_call();
void sx_patch_entry_fork_before();
void sx_patch_entry_fork_after();
void sx_patch_entry_classify();
void sx_patch_serialize();
long sx_patch_on_call(softxe::patch::EntryFrame* frame);
long sx_patch_on_fork_before(softxe::patch::EntryFrame* frame);
long sx_patch_on_fork_after(softxe::patch::EntryFrame* frame);
}

static_assert(CLONE_VM == 0x100 && CLONE_VFORK == 0x4000 && CLONE_SETTLS == 0x80000);
static_assert(SYS_fork == 57, "the assembly compares with this number");

asm(R"(
    .pushsection .text.sx_patch, "ax", @progbits

    .macro SX_SAVE_AND_CALL function
    pushfq
    cld
    pushq %rbp
    movq %rsp, %rbp
    pushq %r9
    pushq %r8
    pushq %r10
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rax
    pushq 16(%rbp)
    movq %rsp, %rdi
    movl sx_patch_vector_bytes(%rip), %ecx
    subq %rcx, %rsp
    andq $-64, %rsp
    movl sx_patch_vector_mask(%rip), %eax
    xorl %edx, %edx
    cmpl $1, sx_patch_vector_mode(%rip)
    jb 81f
    movq %rdx, 512(%rsp)
    movq %rdx, 520(%rsp)
    movq %rdx, 528(%rsp)
    movq %rdx, 536(%rsp)
    movq %rdx, 544(%rsp)
    movq %rdx, 552(%rsp)
    movq %rdx, 560(%rsp)
    movq %rdx, 568(%rsp)
    ja 82f
    xsave64 (%rsp)
    jmp 83f
81: fxsave64 (%rsp)
    jmp 83f
82: xsavec64 (%rsp)
83: call \function
    movq %rax, %r11
    movl sx_patch_vector_mask(%rip), %eax
    xorl %edx, %edx
    cmpl $0, sx_patch_vector_mode(%rip)
    je 84f
    xrstor64 (%rsp)
    jmp 85f
84: fxrstor64 (%rsp)
85: leaq -56(%rbp), %rsp
    popq %rax
    popq %rdi
    popq %rsi
    popq %rdx
    popq %r10
    popq %r8
    popq %r9
    popq %rbp
    popfq
    .endm

    .macro SX_ENTRY name
    .hidden \name
    .globl \name
    .type \name, @function
\name:
    endbr64
    .endm

    .p2align 4
1:  syscall
    ret
# To unwinders, where the function is called, the caller is the site: its stack pointer is above the red zone, and
# its address in the EntryFrame.
SX_ENTRY sx_patch_entry_call
    .cfi_startproc
    .cfi_def_cfa %rbp, 152
    .cfi_offset %rbp, -152
    .cfi_offset %rip, -216
    movl sx_patch_active(%rip), %ecx
    jrcxz 1b
    SX_SAVE_AND_CALL sx_patch_on_call
    movq %r11, %rax
    ret
    .cfi_endproc

# rcx: 0 plain, 1 fork with hooks, 2 do not call. Children that share memory, the stack or get a
# TLS of their own are not forks: they leave before anything is done, with no flag changed.
    .p2align 4
2:  popfq
    movl $0, %ecx
1:  ret
SX_ENTRY sx_patch_entry_fork_before
    movl sx_patch_active(%rip), %ecx
    jrcxz 1b
    pushfq
    cmpl $57, %eax
    je 3f
    testl $0x84100, %edi
    jnz 2b
3:  popfq
    SX_SAVE_AND_CALL sx_patch_on_fork_before
    movq %r11, %rcx
    ret

    .p2align 4
SX_ENTRY sx_patch_entry_fork_after
    SX_SAVE_AND_CALL sx_patch_on_fork_after
    ret

# rcx: class of the number in eax. r11 is free, as at every syscall.
    .p2align 4
1:  ret
SX_ENTRY sx_patch_entry_classify
    movl sx_patch_active(%rip), %ecx
    jrcxz 1b
    pushfq
    xorl %ecx, %ecx
    cmpl $511, %eax
    ja 2f
    movl %eax, %r11d
    leaq sx_patch_class_table(%rip), %rcx
    movzbl (%rcx,%r11), %ecx
2:  popfq
    ret

# An interrupt return to the next instruction: serializes, and unlike cpuid does not leave a guest.
    .p2align 4
SX_ENTRY sx_patch_serialize
    popq %rdx
    movq %rsp, %rcx
    movl %ss, %eax
    pushq %rax
    pushq %rcx
    pushfq
    movl %cs, %eax
    pushq %rax
    pushq %rdx
    iretq

    .popsection
)");

namespace softxe::patch {
namespace {

constexpr std::array<std::uint8_t, 512> make_class_table() {
  std::array<std::uint8_t, 512> table{};
  for (const KnownCall& call : kKnownCalls) {
    if (call.klass == CallClass::kMm) table[static_cast<std::size_t>(call.nr)] = 1;
    if (call.klass == CallClass::kFork) table[static_cast<std::size_t>(call.nr)] = 2;
  }
  return table;
}

HookTable g_hooks;
std::array<StubBlock, kMaxBlocks> g_blocks;
std::array<std::atomic<std::uint64_t>, kMaxSites> g_site_calls;
std::atomic<std::uint64_t> g_nested_calls{0};

constinit thread_local int t_depth = 0;
constinit thread_local std::uint64_t t_saved_signals = 0;
constinit thread_local Probe* t_probe = nullptr;

constexpr std::uint64_t signal_bit(int number) { return 1ull << (number - 1); }
// A fault must reach its handler at once: the kernel kills a process that blocks it.
constexpr std::uint64_t kSynchronousSignals = signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGILL) |
                                              signal_bit(SIGFPE) | signal_bit(SIGTRAP) | signal_bit(SIGSYS);

void block_signals() {
  const std::uint64_t blocked = ~kSynchronousSignals;
  raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &blocked, &t_saved_signals, sizeof blocked);
}

void restore_signals() { raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &t_saved_signals, 0, sizeof t_saved_signals); }

void enter_hook() {
  if (g_hooks.signals == SignalPolicy::kBlock) block_signals();
  ++t_depth;
}

void leave_hook() {
  --t_depth;
  if (g_hooks.signals == SignalPolicy::kBlock) restore_signals();
}

std::size_t site_of(std::uint64_t return_address) {
  for (const StubBlock& block : g_blocks) {
    if (return_address < block.start || return_address >= block.end) continue;
    return block.site_of_stub[(return_address - block.start - kStubsOffset) / kStubBytes];
  }
  return 0;
}

}  // namespace

HostVa entry_address(EntrySlot slot) {
  switch (slot) {
    case EntrySlot::kCall: return HostVa(reinterpret_cast<std::uint64_t>(&sx_patch_entry_call));
    case EntrySlot::kForkBefore: return HostVa(reinterpret_cast<std::uint64_t>(&sx_patch_entry_fork_before));
    case EntrySlot::kForkAfter: return HostVa(reinterpret_cast<std::uint64_t>(&sx_patch_entry_fork_after));
    case EntrySlot::kClassify: return HostVa(reinterpret_cast<std::uint64_t>(&sx_patch_entry_classify));
    case EntrySlot::kCount: break;
  }
  return HostVa();
}

void choose_vector_save() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kOsXsave = 1u << 27;
  __cpuid(1, a, b, c, d);
  if ((c & kOsXsave) == 0) return;  // fxsave
  unsigned xcr0_low = 0;
  unsigned xcr0_high = 0;
  asm volatile("xgetbv" : "=a"(xcr0_low), "=d"(xcr0_high) : "c"(0));
  // x87, SSE, AVX, and the three parts of AVX-512. Not PKRU, which a hook may not undo, and not
  // AMX tiles, which compiled C++ never touches.
  constexpr unsigned kAvx = 0x07;
  constexpr unsigned kAvx512 = 0xe0;
  sx_patch_vector_mask = xcr0_low & (kAvx | kAvx512);
  // Upper bounds of the areas of both vendors: AVX ends at 832, AVX-512 at 2688 (Intel, uncompacted).
  sx_patch_vector_bytes = (sx_patch_vector_mask & kAvx512) != 0 ? 2816 : 896;
  constexpr unsigned kXsavec = 1u << 1;
  __cpuid_count(0xd, 1, a, b, c, d);
  sx_patch_vector_mode = (a & kXsavec) != 0 ? 2 : 1;
}

void set_hooks(const HookTable& hooks) { g_hooks = hooks; }
void set_stub_block(std::size_t index, const StubBlock& block) { g_blocks[index] = block; }
void set_thread_probe(Probe* probe) { t_probe = probe; }
void serialize_core() { sx_patch_serialize(); }

void activate() { sx_patch_active.store(1, std::memory_order_release); }
void deactivate() { sx_patch_active.store(0, std::memory_order_release); }
bool active() { return sx_patch_active.load(std::memory_order_acquire) != 0; }

std::uint64_t site_calls(std::size_t index) {
  return index < kMaxSites ? g_site_calls[index].load(std::memory_order_relaxed) : 0;
}
std::uint64_t nested_calls() { return g_nested_calls.load(std::memory_order_relaxed); }

}  // namespace softxe::patch

using namespace softxe::patch;

[[gnu::used]] const std::array<std::uint8_t, 512> kPatchClassTable = make_class_table();

[[gnu::used]] long sx_patch_on_call(EntryFrame* frame) {
  const std::size_t site = site_of(frame->return_address);
  frame->return_address =
      back_of_call(softxe::HostVa(frame->return_address)).value();  // for unwinders, and nobody else
  SyscallArgs args{frame->nr, frame->a};
  if (Probe* probe = t_probe; probe != nullptr) {
    probe->seen[site] = true;
    probe->last_nr = args.nr;
    return args.nr == SYS_brk ? raw_syscall(args) : probe->answer;
  }
  g_site_calls[site].fetch_add(1, std::memory_order_relaxed);
  if (t_depth != 0) {
    g_nested_calls.fetch_add(1, std::memory_order_relaxed);
    return raw_syscall(args);
  }
  if (g_hooks.call == nullptr) return raw_syscall(args);
  const int saved_errno = errno;
  enter_hook();
  const long result = g_hooks.call(args);
  leave_hook();
  errno = saved_errno;
  return result;
}

[[gnu::used]] long sx_patch_on_fork_before(EntryFrame* frame) {
  constexpr long kPlain = 0;
  constexpr long kFork = 1;
  constexpr long kAnswered = 2;
  const std::size_t site = site_of(frame->return_address);
  if (Probe* probe = t_probe; probe != nullptr) {
    probe->seen[site] = true;
    probe->last_nr = frame->nr;
    frame->nr = probe->answer;
    return kAnswered;
  }
  g_site_calls[site].fetch_add(1, std::memory_order_relaxed);
  if (t_depth != 0 || g_hooks.fork.before == nullptr) return kPlain;
  const int saved_errno = errno;
  enter_hook();
  g_hooks.fork.before(frame->nr == SYS_fork ? SIGCHLD : frame->a[0]);
  errno = saved_errno;
  return kFork;
}

[[gnu::used]] long sx_patch_on_fork_after(EntryFrame* frame) {
  const int saved_errno = errno;
  if (frame->nr == 0) {
    g_hooks.fork.after_child();
  } else {
    g_hooks.fork.after_parent(frame->nr);
  }
  leave_hook();
  errno = saved_errno;
  return 0;
}
