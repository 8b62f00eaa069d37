// The patcher on the real libc and loader of this machine. Forks and threads: patcher_fork_test.cc.
#include "host/patch/patcher.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <vector>

#include "base/step.h"
#include "host/patch/code_writer.h"
#include "host/patch/elf_image.h"
#include "host/patch/patch_test_util.h"

namespace softxe::patch {
namespace {

using test::count_calls;
using test::count_nr;
using test::forget_calls;
using test::install_active;
using test::record_call;
using test::Recorded;
using test::run_isolated;

constexpr HookTable kRecord = {.call = record_call, .fork = {}, .signals = SignalPolicy::kBlock};

std::vector<std::uint8_t> text_of(const char* soname) {
  const auto image = LoadedImage::find(soname);
  EXPECT_TRUE(image);
  if (!image) return {};
  return {image->text_bytes().begin(), image->text_bytes().end()};
}

TEST(Patcher, SitesOfThisLibc) {
  run_isolated([] {
    const PatchReport& r = install(kRecord);
    EXPECT_EQ(r.rung, Rung::kPatched) << r.why;
    EXPECT_EQ(r.refused(), 0u);
    struct Expected {
      Library library;
      long nr;
      std::size_t at_least;
    };
    const Expected table[] = {
        {Library::kLibc, SYS_mmap, 1},          {Library::kLibc, SYS_munmap, 1},
        {Library::kLibc, SYS_mprotect, 1},      {Library::kLibc, SYS_brk, 1},
        {Library::kLibc, SYS_mremap, 1},        {Library::kLibc, SYS_madvise, 2},
        {Library::kLibc, SYS_clone, 2},         {Library::kLibc, kNrAtRunTime, 1},
        {Library::kLibc, SYS_shmat, 1},         {Library::kLibc, SYS_shmdt, 1},
        {Library::kLibc, SYS_mlock, 2},         {Library::kLibc, SYS_mlock2, 1},
        {Library::kLibc, SYS_munlock, 1},       {Library::kLibc, SYS_mlockall, 1},
        {Library::kLibc, SYS_munlockall, 1},    {Library::kLibc, SYS_remap_file_pages, 1},
        {Library::kLibc, SYS_pkey_mprotect, 1}, {Library::kLibc, SYS_process_madvise, 1},
        {Library::kLoader, SYS_mmap, 1},        {Library::kLoader, SYS_munmap, 1},
        {Library::kLoader, SYS_mprotect, 1},    {Library::kLoader, SYS_brk, 1},
    };
    for (const Expected& e : table) EXPECT_GE(r.patched(e.library, e.nr), e.at_least) << call_name(e.nr);
    for (const SiteReport& s : r.span()) {
      EXPECT_EQ(s.patched, s.site.refused == nullptr) << call_name(s.site.nr);
      // The loader's mmap and brk are reached by dlopen and at start only.
      const bool reachable = s.library == Library::kLibc || s.starts_function;
      if (s.patched && reachable && !(s.library == Library::kLoader && s.site.nr == SYS_brk)) {
        EXPECT_EQ(s.test, TestState::kSeen) << call_name(s.site.nr);
      }
    }
  });
}

TEST(Patcher, NoFunctionOfTheLibraryJumpsIntoASite) {
  run_isolated([] {
    const PatchReport& r = install(kRecord, {.depth = Depth::kLibrary, .check = Check::kNone});
    EXPECT_EQ(r.rung, Rung::kPatched) << r.why;
    EXPECT_EQ(r.refused(), 0u);
  });
}

TEST(Patcher, OnlyTheFrontsOfSitesChangeAndUninstallRestoresThem) {
  run_isolated([] {
    const auto libc = text_of("libc.so.6");
    const auto loader = text_of("ld-linux-x86-64.so.2");
    const PatchReport& r = install(kRecord);
    const auto patched = text_of("libc.so.6");
    const auto image = LoadedImage::find("libc.so.6");
    ASSERT_TRUE(image);
    std::size_t outside = 0;
    for (std::size_t i = 0; i < libc.size(); ++i) {
      if (libc[i] == patched[i]) continue;
      const HostVa at = image->text().start() + i;
      bool inside = false;
      for (const SiteReport& s : r.span())
        inside = inside || (s.patched && HostRange::of(s.site.start, kJumpBytes).contains(at));
      outside += inside ? 0 : 1;
    }
    EXPECT_EQ(outside, 0u);
    EXPECT_NE(libc, patched);
    EXPECT_TRUE(uninstall());
    EXPECT_EQ(libc, text_of("libc.so.6"));
    EXPECT_EQ(loader, text_of("ld-linux-x86-64.so.2"));
    EXPECT_EQ(report().rung, Rung::kEventsOnly);
    EXPECT_EQ(install(kRecord).rung, Rung::kPatched) << "can be installed again";
  });
}

TEST(Patcher, MallocAndFreeOf4MiB) {
  run_isolated([] {
    install_active(kRecord);
    constexpr std::size_t k4M = 2 * k2M;
    void* volatile p = malloc(k4M);
    p = realloc(p, 4 * k4M);
    free(p);
    auto at_least_4m = [](const Recorded& c) { return c.a[1] >= 2 * k2M; };
    EXPECT_EQ(count_calls([&](auto& c) { return c.nr == SYS_mmap && at_least_4m(c); }), 1u);
    EXPECT_EQ(count_calls([&](auto& c) { return c.nr == SYS_mremap && at_least_4m(c); }), 1u);
    EXPECT_EQ(count_calls([&](auto& c) { return c.nr == SYS_munmap && at_least_4m(c); }), 1u);
  });
}

TEST(Patcher, HeapGrowthAndTrim) {
  run_isolated([] {
    install_active(kRecord);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);  // NOLINT(concurrency-mt-unsafe): run_isolated's child is one thread
    // More than other tests have left free: the break must move.
    void* volatile p = malloc(mallinfo2().fordblks + (1 << 20));
    free(p);
    malloc_trim(0);
    EXPECT_GE(count_nr(SYS_brk), 2u);
  });
}

TEST(Patcher, ThreadStacks) {
  run_isolated([] {
    install_active(kRecord);
    // A size that no cached stack of an earlier test has: glibc must map a new one.
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 96ul << 20);
    pthread_t thread;
    ASSERT_EQ(pthread_create(
                  &thread, &attributes, [](void*) -> void* { return nullptr; }, nullptr),
              0);
    pthread_join(thread, nullptr);
    EXPECT_GE(count_nr(SYS_mmap), 1u);
    EXPECT_GE(count_calls([](auto& c) { return c.nr == SYS_madvise && c.a[2] == MADV_DONTNEED && c.result == 0; }), 1u);
  });
}

/// Uses the stack a hook is promised, and needs it intact behind the call.
long deep_hook(SyscallArgs& call) {
  volatile std::uint8_t stack[9 * 1024];
  for (std::size_t i = 0; i < sizeof stack; ++i) stack[i] = 0xa5;
  const long result = record_call(call);
  for (std::size_t i = 0; i < sizeof stack; ++i)
    if (stack[i] != 0xa5) raw_syscall(SYS_exit_group, 99);
  return result;
}

TEST(Patcher, ADyingThreadsStackStillCarriesTheHook) {
  run_isolated([] {
    install_active({.call = deep_hook, .fork = {}, .signals = SignalPolicy::kBlock});
    pthread_t thread;
    ASSERT_EQ(pthread_create(
                  &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr),
              0);
    pthread_join(thread, nullptr);
    EXPECT_GE(count_nr(SYS_madvise), 1u);
  });
}

std::uint64_t loader_calls(long nr) {
  std::uint64_t n = 0;
  const auto sites = report().span();
  for (std::size_t i = 0; i < sites.size(); ++i)
    if (sites[i].library == Library::kLoader && sites[i].site.nr == nr) n += site_calls(i);
  return n;
}

TEST(Patcher, LibrariesThatComeAndGo) {
  run_isolated([] {
    install_active(kRecord);
    void* handle = dlopen("libBrokenLocale.so.1", RTLD_NOW);
    ASSERT_NE(handle, nullptr) << dlerror();  // NOLINT(concurrency-mt-unsafe): glibc's is of the thread
    EXPECT_GE(loader_calls(SYS_mmap), 2u);
    EXPECT_GE(loader_calls(SYS_mprotect), 1u);
    const auto before = loader_calls(SYS_munmap);
    ASSERT_EQ(dlclose(handle), 0);
    EXPECT_GT(loader_calls(SYS_munmap), before);
  });
}

TEST(Patcher, ErrnoIsThatOfTheCall) {
  run_isolated([] {
    install_active(kRecord);
    errno = 0;
    EXPECT_EQ(munmap(reinterpret_cast<void*>(1), kPageSize), -1);
    EXPECT_EQ(errno, EINVAL);
    void* p = mmap(nullptr, kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = EL2NSYNC;
    EXPECT_EQ(munmap(p, kPageSize), 0);
    EXPECT_EQ(errno, EL2NSYNC) << "a success leaves errno alone, whatever the hook did";
    EXPECT_EQ(count_nr(SYS_munmap), 2u);
  });
}

TEST(Patcher, HookMayAnswerAndChangeTheCall) {
  run_isolated([] {
    install_active({.call = [](SyscallArgs& call) -> long {
                      if (call.nr == SYS_mmap && call.a[1] == 3 * kPageSize) return -ENOSPC;
                      if (call.nr == SYS_mmap) call.a[1] = 2 * kPageSize;
                      return raw_syscall(call);
                    },
                    .fork = {},
                    .signals = SignalPolicy::kBlock});
    auto map = [](std::size_t bytes) { return mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); };
    void* refused = map(3 * kPageSize);
    const int refused_errno = errno;
    auto* twice = static_cast<unsigned char*>(map(kPageSize));
    deactivate();
    EXPECT_EQ(refused, MAP_FAILED);
    EXPECT_EQ(refused_errno, ENOSPC);
    ASSERT_NE(twice, MAP_FAILED);
    unsigned char resident[2];
    EXPECT_EQ(mincore(twice, 2 * kPageSize, resident), 0) << "two pages were mapped";
  });
}

TEST(Patcher, GenericSyscallFunction) {
  run_isolated([] {
    install_active(kRecord);
    // The sixth argument comes from the stack: an offset the kernel must refuse.
    EXPECT_EQ(syscall(SYS_mmap, 0ul, kPageSize, long{PROT_READ}, long{MAP_PRIVATE | MAP_ANONYMOUS}, -1l, 7ul), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(count_calls([](auto& c) { return c.nr == SYS_mmap && c.a[5] == 7; }), 1u);
    EXPECT_EQ(syscall(SYS_munmap, 1ul, 0ul), -1);
    EXPECT_EQ(count_nr(SYS_munmap), 1u);
    const std::size_t before = test::g_call_count.load();
    EXPECT_EQ(syscall(SYS_getpid), getpid());
    EXPECT_EQ(syscall(1000), -1);
    EXPECT_EQ(errno, ENOSYS);
    EXPECT_EQ(syscall(-1), -1);
    EXPECT_EQ(errno, ENOSYS);
    EXPECT_EQ(test::g_call_count.load(), before) << "calls that are not ours do not reach the hook";
  });
}

TEST(Patcher, AsleepNothingReachesTheHook) {
  run_isolated([] {
    EXPECT_EQ(install(kRecord).rung, Rung::kPatched);
    EXPECT_FALSE(active());
    forget_calls();
    void* volatile p = malloc(2 * k2M);
    free(p);
    EXPECT_EQ(syscall(SYS_munmap, 1ul, 0ul), -1);
    EXPECT_EQ(test::g_call_count.load(), 0u);
    activate();
    EXPECT_EQ(munmap(reinterpret_cast<void*>(1), 0), -1);
    deactivate();
    EXPECT_EQ(munmap(reinterpret_cast<void*>(1), 0), -1);
    EXPECT_EQ(test::g_call_count.load(), 1u);
  });
}

TEST(Patcher, CallsOfAHookGoStraightToTheKernel) {
  run_isolated([] {
    install_active({.call = [](SyscallArgs& call) -> long {
                      test::g_call_count.fetch_add(1);
                      munmap(reinterpret_cast<void*>(1), 0);
                      return raw_syscall(call);
                    },
                    .fork = {},
                    .signals = SignalPolicy::kBlock});
    const std::uint64_t nested = nested_calls();
    EXPECT_EQ(munmap(reinterpret_cast<void*>(1), 0), -1);
    EXPECT_EQ(test::g_call_count.load(), 1u);
    EXPECT_EQ(nested_calls(), nested + 1);
  });
}

std::atomic<int> g_handled{0};
std::atomic<int> g_handled_in_hook{0};
std::atomic<int> g_faults_in_hook{0};

long signalling_hook(SyscallArgs& call) {
  const auto pid = static_cast<unsigned long>(raw_syscall(SYS_getpid));
  raw_syscall(SYS_kill, pid, SIGUSR1);
  g_handled_in_hook = g_handled.load();
  const int before = g_handled;
  raw_syscall(SYS_kill, pid, SIGSEGV);
  g_faults_in_hook = g_handled - before;
  return raw_syscall(call);
}

TEST(Patcher, SignalsWaitForTheHookByDefault) {
  for (const SignalPolicy policy : {SignalPolicy::kBlock, SignalPolicy::kLeave}) {
    run_isolated([policy] {
      struct sigaction action {};
      action.sa_handler = [](int) { g_handled.fetch_add(1); };
      sigaction(SIGUSR1, &action, nullptr);
      sigaction(SIGSEGV, &action, nullptr);
      install_active({.call = signalling_hook, .fork = {}, .signals = policy});
      munmap(reinterpret_cast<void*>(1), 0);
      deactivate();
      EXPECT_EQ(g_handled_in_hook, policy == SignalPolicy::kBlock ? 0 : 1);
      EXPECT_EQ(g_faults_in_hook, 1) << "faults are never held back";
      EXPECT_EQ(g_handled, 2);
      sigset_t mask;
      pthread_sigmask(SIG_BLOCK, nullptr, &mask);
      EXPECT_EQ(sigismember(&mask, SIGUSR1), 0) << "the mask is given back";
    });
  }
}

TEST(Patcher, OtherThreadsMeanEventsOnly) {
  run_isolated([] {
    const auto libc = text_of("libc.so.6");
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&gate);
    pthread_t thread;
    auto wait = [](void* g) -> void* {
      pthread_mutex_lock(static_cast<pthread_mutex_t*>(g));
      return nullptr;
    };
    ASSERT_EQ(pthread_create(&thread, nullptr, wait, &gate), 0);
    const PatchReport& r = install(kRecord);
    EXPECT_EQ(r.rung, Rung::kEventsOnly);
    EXPECT_STREQ(r.why, "other threads run already");
    EXPECT_EQ(libc, text_of("libc.so.6"));
    EXPECT_FALSE(self_test());
    pthread_mutex_unlock(&gate);
    pthread_join(thread, nullptr);
  });
}

TEST(Patcher, AFailureOnTheWayLeavesLibcAsItWas) {
  struct Case {
    const char* step;
    std::uint64_t nth;
  };
  for (const Case c :
       {Case{"host.patch.open_writer", 1}, Case{"host.patch.map_stubs", 1}, Case{"host.patch.map_stubs", 2},
        Case{"host.patch.write_jump", 1}, Case{"host.patch.write_jump", 9}}) {
    SCOPED_TRACE(testing::Message() << c.step << " " << c.nth);
    run_isolated([c] {
      const auto libc = text_of("libc.so.6");
      FailNth fault(c.step, c.nth, EPERM);
      set_step_hook(&fault);
      const PatchReport& r = install(kRecord);
      set_step_hook(nullptr);
      EXPECT_TRUE(fault.fired());
      EXPECT_EQ(r.rung, Rung::kEventsOnly);
      EXPECT_EQ(r.patched(), 0u);
      EXPECT_EQ(libc, text_of("libc.so.6"));
    });
  }
}

TEST(Patcher, SelfTestNoticesASiteThatDoesNotReachItsHook) {
  run_isolated([] {
    EXPECT_EQ(install(kRecord).rung, Rung::kPatched);
    EXPECT_TRUE(self_test());
    // Puts the original bytes of munmap back behind the patcher's back.
    for (const SiteReport& s : report().span()) {
      if (s.library != Library::kLibc || s.site.nr != SYS_munmap) continue;
      const std::uint8_t original[] = {0xb8, SYS_munmap, 0, 0, 0};
      const auto writer = CodeWriter::open();
      ASSERT_TRUE(writer && writer->write(s.site.start, original));
    }
    EXPECT_FALSE(self_test());
    for (const SiteReport& s : report().span()) {
      const bool spoiled = s.library == Library::kLibc && s.site.nr == SYS_munmap;
      EXPECT_EQ(s.test == TestState::kMissed, spoiled) << call_name(s.site.nr);
    }
  });
}

TEST(Patcher, BoundsComeFromUnwindInformationOrSymbols) {
  const auto image = LoadedImage::find("libc.so.6");
  ASSERT_TRUE(image);
  const HostVa at(reinterpret_cast<std::uint64_t>(dlsym(RTLD_DEFAULT, "munmap")));
  const auto unwind = image->unwind_bounds(at + 3);
  const auto symbol = image->symbol_bounds(at + 3);
  ASSERT_TRUE(unwind && symbol);
  EXPECT_EQ(unwind->start(), at);
  EXPECT_EQ(symbol->start(), at);
  EXPECT_STRNE(image->symbol_name(at), "");
  EXPECT_FALSE(image->unwind_bounds(image->text().start() - 1));
  EXPECT_EQ(LoadedImage::find("libc.musl-x86_64.so.1").error().err, ENOENT);
}

}  // namespace
}  // namespace softxe::patch
