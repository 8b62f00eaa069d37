// Stubs and entries on functions of this file: what a patched site must preserve.
#include "host/patch/stub.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstring>
#include <memory>

#include "host/patch/code_writer.h"
#include "host/patch/entry.h"
#include "host/patch/patch_test_util.h"

extern "C" {
extern std::uint32_t sx_patch_vector_mode;
extern std::uint32_t sx_patch_vector_mask;

/// Registers and flags before and after a call, in the order of the assembly.
struct SxTestRegisters {
  std::uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
};
void sx_test_call_with(SxTestRegisters* registers, const void* function);
void sx_test_vectors(const void* in, void* out, const void* function, int level);

void sx_test_munmap();
void sx_test_munmap_pushed();
void sx_test_munmap_pushed_site();
void sx_test_mmap32();
long sx_test_red_zone();
void sx_test_red_zone_site();
}

asm(R"(
    .pushsection .text.sx_test, "ax", @progbits
    .macro SX_TEST_FUNCTION name
    .hidden \name
    .globl \name
    .type \name, @function
\name:
    .endm

SX_TEST_FUNCTION sx_test_munmap
    movl $11, %eax
    syscall
    ret

SX_TEST_FUNCTION sx_test_munmap_pushed
    pushq %rbx
SX_TEST_FUNCTION sx_test_munmap_pushed_site
    movl $11, %eax
    syscall
    popq %rbx
    ret

SX_TEST_FUNCTION sx_test_mmap32
    movl $9, %eax
    orl $0x40, %r10d
    syscall
    ret

# Returns how many of the 16 words below the stack pointer changed over the call.
SX_TEST_FUNCTION sx_test_red_zone
    .irp o, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128
    movq $(0x5a5a0000 + \o), -\o(%rsp)
    .endr
SX_TEST_FUNCTION sx_test_red_zone_site
    movl $11, %eax
    syscall
    xorl %eax, %eax
    .irp o, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128
    xorl %ecx, %ecx
    cmpq $(0x5a5a0000 + \o), -\o(%rsp)
    setne %cl
    addl %ecx, %eax
    .endr
    ret

SX_TEST_FUNCTION sx_test_call_with
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $24, %rsp
    movq %rdi, (%rsp)
    movq %rsi, 8(%rsp)
    pushq 120(%rdi)
    popfq
    movq 0(%rdi), %rax
    movq 8(%rdi), %rbx
    movq 16(%rdi), %rcx
    movq 24(%rdi), %rdx
    movq 32(%rdi), %rsi
    movq 48(%rdi), %rbp
    movq 56(%rdi), %r8
    movq 64(%rdi), %r9
    movq 72(%rdi), %r10
    movq 80(%rdi), %r11
    movq 88(%rdi), %r12
    movq 96(%rdi), %r13
    movq 104(%rdi), %r14
    movq 112(%rdi), %r15
    movq 40(%rdi), %rdi
    call *8(%rsp)
    movq %rdi, 16(%rsp)
    movq (%rsp), %rdi
    movq %rax, 0(%rdi)
    movq %rbx, 8(%rdi)
    movq %rcx, 16(%rdi)
    movq %rdx, 24(%rdi)
    movq %rsi, 32(%rdi)
    movq %rbp, 48(%rdi)
    movq %r8, 56(%rdi)
    movq %r9, 64(%rdi)
    movq %r10, 72(%rdi)
    movq %r11, 80(%rdi)
    movq %r12, 88(%rdi)
    movq %r13, 96(%rdi)
    movq %r14, 104(%rdi)
    movq %r15, 112(%rdi)
    movq 16(%rsp), %rbx
    movq %rbx, 40(%rdi)
    pushfq
    popq 120(%rdi)
    cld
    addq $24, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

# level 0: xmm0-15, 1: ymm0-15, 2: zmm0-31 and k1-k7. Slots of 64 bytes; masks at 2048; mxcsr at 2112.
SX_TEST_FUNCTION sx_test_vectors
    pushq %rbx
    pushq %r12
    subq $8, %rsp
    movq %rsi, %rbx
    movl %ecx, %r12d
    ldmxcsr 2112(%rdi)
    cmpl $1, %r12d
    ja 3f
    je 2f
    .irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movdqu \i*64(%rdi), %xmm\i
    .endr
    call *%rdx
    .irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movdqu %xmm\i, \i*64(%rbx)
    .endr
    jmp 4f
2:  .irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovdqu \i*64(%rdi), %ymm\i
    .endr
    call *%rdx
    .irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovdqu %ymm\i, \i*64(%rbx)
    .endr
    jmp 4f
3:  .irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    vmovdqu64 \i*64(%rdi), %zmm\i
    .endr
    .irp i, 1,2,3,4,5,6,7
    kmovw 2048+\i*8(%rdi), %k\i
    .endr
    call *%rdx
    .irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    vmovdqu64 %zmm\i, \i*64(%rbx)
    .endr
    .irp i, 1,2,3,4,5,6,7
    kmovw %k\i, 2048+\i*8(%rbx)
    .endr
4:  stmxcsr 2112(%rbx)
    addq $8, %rsp
    popq %r12
    popq %rbx
    ret
    .popsection
)");

namespace softxe::patch {
namespace {

using test::run_isolated;

/// Patches one function of this program the way install() patches libc.
void patch_here(void (*where)(), Site site) {
  site.start = HostVa(reinterpret_cast<std::uint64_t>(where));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(where);
  auto memory = map_near(site.range(), stub_block_bytes(1));
  ASSERT_TRUE(memory);
  auto writer = CodeWriter::open();
  ASSERT_TRUE(writer);
  std::array<std::uint64_t, static_cast<std::size_t>(EntrySlot::kCount)> slots;
  for (std::size_t s = 0; s < slots.size(); ++s) slots[s] = entry_address(static_cast<EntrySlot>(s)).value();
  ASSERT_TRUE(writer->write(memory->start(), {reinterpret_cast<const std::uint8_t*>(slots.data()), sizeof slots}));
  auto code = make_stub(site, {bytes, site.length_bytes}, memory->start(), 0);
  ASSERT_TRUE(code);
  ASSERT_TRUE(writer->write(stub_address(memory->start(), 0), *code));
  auto jump = make_jump(site.start, stub_address(memory->start(), 0));
  ASSERT_TRUE(jump);
  ASSERT_TRUE(writer->write(site.start, *jump));
  serialize_core();
}

Site munmap_site() { return {HostVa(), 7, SiteForm::kMovSyscall, SYS_munmap, nullptr}; }
Site mmap32_site() { return {HostVa(), 11, SiteForm::kMovOrSyscall, SYS_mmap, nullptr}; }

SyscallArgs g_seen{};
std::uint64_t g_flags_in_hook = 0;
bool g_frame_aligned = false;

/// Answers 0 and spoils everything an ordinary function may spoil.
long spoiling_hook(SyscallArgs& call) {
  g_seen = call;
  asm volatile("pushfq; popq %0" : "=r"(g_flags_in_hook));
  g_frame_aligned = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0)) % 16 == 0;
  const std::uint32_t other_mxcsr = 0x1fc0;
  asm volatile("ldmxcsr %0" ::"m"(other_mxcsr));
  asm volatile("pxor %%xmm0,%%xmm0; pxor %%xmm7,%%xmm7; pxor %%xmm15,%%xmm15" ::: "xmm0", "xmm7", "xmm15");
  if (__builtin_cpu_supports("avx")) asm volatile("vzeroall");
  if (__builtin_cpu_supports("avx512f"))
    asm volatile(
        "vpxorq %zmm16,%zmm16,%zmm16; vpxorq %zmm31,%zmm31,%zmm31; kxorw %k1,%k1,%k1; "
        "kxorw %k7,%k7,%k7");
  call.a.fill(~0ul);  // the hook's copy, not the caller's registers
  errno = EXDEV;
  asm volatile(
      "xorl %%ecx,%%ecx; xorl %%edx,%%edx; xorl %%esi,%%esi; xorl %%edi,%%edi;"
      "xorl %%r8d,%%r8d; xorl %%r9d,%%r9d; xorl %%r10d,%%r10d; xorl %%r11d,%%r11d" ::
          : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
  return 0x1234;
}

void wake(SyscallHook hook) {
  choose_vector_save();
  set_hooks({.call = hook, .fork = {}, .signals = SignalPolicy::kLeave});
  activate();
}

constexpr std::uint64_t kAllFlags = 0xcd5;  // carry, parity, adjust, zero, sign, direction, overflow
constexpr std::uint64_t kDirectionFlag = 0x400;

SxTestRegisters distinct_registers() {
  SxTestRegisters r{};
  std::uint64_t words[16];
  for (std::uint64_t i = 0; i < 16; ++i) words[i] = 0x0101010101010101u * (i + 1);
  std::memcpy(&r, words, sizeof r);
  r.flags = kAllFlags | 2;
  return r;
}

void expect_preserved(const SxTestRegisters& before, const SxTestRegisters& after) {
  EXPECT_EQ(after.rbx, before.rbx);
  EXPECT_EQ(after.rdx, before.rdx);
  EXPECT_EQ(after.rsi, before.rsi);
  EXPECT_EQ(after.rdi, before.rdi);
  EXPECT_EQ(after.rbp, before.rbp);
  EXPECT_EQ(after.r8, before.r8);
  EXPECT_EQ(after.r9, before.r9);
  EXPECT_EQ(after.r12, before.r12);
  EXPECT_EQ(after.r13, before.r13);
  EXPECT_EQ(after.r14, before.r14);
  EXPECT_EQ(after.r15, before.r15);
  EXPECT_EQ(after.flags & kAllFlags, before.flags & kAllFlags);
}

TEST(Stub, HookSeesTheCallAndAllElseIsPreserved) {
  run_isolated([] {
    patch_here(sx_test_munmap, munmap_site());
    wake(spoiling_hook);
    const SxTestRegisters before = distinct_registers();
    SxTestRegisters after = before;
    sx_test_call_with(&after, reinterpret_cast<const void*>(sx_test_munmap));
    EXPECT_EQ(g_seen.nr, SYS_munmap);
    const std::array<unsigned long, 6> arguments = {before.rdi, before.rsi, before.rdx,
                                                    before.r10, before.r8,  before.r9};
    EXPECT_EQ(g_seen.a, arguments);
    EXPECT_EQ(after.rax, 0x1234u);
    EXPECT_EQ(after.r10, before.r10);
    expect_preserved(before, after);
    EXPECT_EQ(g_flags_in_hook & kDirectionFlag, 0u);
  });
}

TEST(Stub, AsleepItIsTheSystemCall) {
  run_isolated([] {
    patch_here(sx_test_munmap, munmap_site());
    g_seen.nr = 0;
    wake(spoiling_hook);
    deactivate();
    SxTestRegisters before = distinct_registers();
    SxTestRegisters after = before;
    sx_test_call_with(&after, reinterpret_cast<const void*>(sx_test_munmap));
    EXPECT_EQ(g_seen.nr, 0);
    EXPECT_EQ(static_cast<std::int64_t>(after.rax), -EINVAL);
    EXPECT_EQ(after.r10, before.r10);
    expect_preserved(before, after);
  });
}

TEST(Stub, OrFormMovesTheOrIntoTheStub) {
  run_isolated([] {
    patch_here(sx_test_mmap32, mmap32_site());
    wake(spoiling_hook);
    SxTestRegisters before = distinct_registers();
    before.r10 = 0x22;
    SxTestRegisters after = before;
    sx_test_call_with(&after, reinterpret_cast<const void*>(sx_test_mmap32));
    EXPECT_EQ(g_seen.nr, SYS_mmap);
    EXPECT_EQ(g_seen.a[3], 0x62u);
    EXPECT_EQ(after.r10, 0x62u);
    EXPECT_EQ(after.rax, 0x1234u);
  });
}

TEST(Stub, RedZoneSurvives) {
  for (const bool awake : {true, false}) {
    run_isolated([awake] {
      patch_here(sx_test_red_zone_site, munmap_site());
      wake(spoiling_hook);
      if (!awake) deactivate();
      EXPECT_EQ(sx_test_red_zone(), 0);
    });
  }
}

TEST(Stub, HookStackIsAlignedFromAnySite) {
  run_isolated([] {
    patch_here(sx_test_munmap, munmap_site());
    patch_here(sx_test_munmap_pushed_site, munmap_site());
    wake(spoiling_hook);
    for (auto* function : {sx_test_munmap, sx_test_munmap_pushed}) {
      g_frame_aligned = false;
      function();
      EXPECT_TRUE(g_frame_aligned);
    }
  });
}

struct alignas(64) VectorImage {
  std::uint8_t bytes[2048];
  std::uint64_t masks[8];
  std::uint32_t mxcsr;
};

bool cpu_has(int level) {
  if (level == 2) return __builtin_cpu_supports("avx512f") != 0;
  return level == 0 || __builtin_cpu_supports("avx") != 0;
}

TEST(Stub, VectorRegistersSurviveInEverySaveMode) {
  struct Mode {
    std::uint32_t mode;
    int highest_level;
  };
  // fxsave knows xmm only; it serves machines that have no more.
  for (const Mode m : {Mode{0, 0}, Mode{1, 2}, Mode{2, 2}}) {
    for (int level = 0; level <= m.highest_level; ++level) {
      SCOPED_TRACE(testing::Message() << "mode " << m.mode << " level " << level);
      run_isolated([m, level] {
        patch_here(sx_test_munmap, munmap_site());
        wake(spoiling_hook);
        if (!cpu_has(level)) return;
        if (m.mode > sx_patch_vector_mode) return;
        sx_patch_vector_mode = m.mode;
        if (m.mode == 0) sx_patch_vector_mask = 3;
        VectorImage in{};
        VectorImage out{};
        const std::size_t register_count = level == 2 ? 32 : 16;
        const std::size_t width = level == 0 ? 16 : level == 1 ? 32 : 64;
        for (std::size_t i = 0; i < register_count; ++i)
          for (std::size_t b = 0; b < width; ++b) in.bytes[i * 64 + b] = static_cast<std::uint8_t>(i * 7 + b + 1);
        for (std::size_t k = 1; k < 8 && level == 2; ++k) in.masks[k] = 0x1110 + k;
        in.mxcsr = 0x3f80;  // round down
        sx_test_vectors(&in, &out, reinterpret_cast<const void*>(sx_test_munmap), level);
        EXPECT_EQ(g_seen.nr, SYS_munmap);
        EXPECT_EQ(std::memcmp(in.bytes, out.bytes, sizeof in.bytes), 0);
        EXPECT_EQ(std::memcmp(in.masks, out.masks, sizeof in.masks), 0);
        EXPECT_EQ(out.mxcsr, in.mxcsr);
      });
    }
  }
}

TEST(Stub, JumpOutOfReachIsRefused) {
  EXPECT_TRUE(make_jump(HostVa(0x10000), HostVa(0x7fff0000)));
  const auto far = make_jump(HostVa(0x10000), HostVa(0x1'8001'0000));
  ASSERT_FALSE(far);
  EXPECT_EQ(far.error().err, ERANGE);
}

TEST(Stub, MemoryIsFoundNearAnyCode) {
  const auto here = reinterpret_cast<std::uint64_t>(&sx_test_munmap);
  const auto libc = reinterpret_cast<std::uint64_t>(dlsym(RTLD_DEFAULT, "munmap"));
  for (const std::uint64_t at : {here, libc, std::uint64_t{0x40000000}, 0x5500'0000'0000ul}) {
    const HostRange text = HostRange::of(HostVa(align_down(at, kPageSize)), 2 * k2M);
    for (auto* map : {map_near, map_in_gap}) {
      auto memory = map(text, 3 * kPageSize);
      ASSERT_TRUE(memory) << memory.error().why;
      const std::uint64_t low = std::min(memory->start(), text.start()).value();
      const std::uint64_t high = std::max(memory->end(), text.end()).value();
      EXPECT_LT(high - low, 1ull << 31);
      EXPECT_EQ(memory->size(), 3 * kPageSize);
      EXPECT_EQ(*reinterpret_cast<const std::uint64_t*>(memory->start().value()), 0u);
      munmap(reinterpret_cast<void*>(memory->start().value()), memory->size());
    }
  }
}

}  // namespace
}  // namespace softxe::patch
