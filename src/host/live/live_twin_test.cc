// Twins: the same calls on two stretches of memory, one hooked and with its pages on the move, one plain. The kernel
// is the oracle: answers, mappings and contents must be equal after every call. A difference is printed as the calls
// that lead to it.
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/uio.h>

#include <string>
#include <thread>

#include "base/prng.h"
#include "base/raw_syscall.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

constexpr std::uint64_t kBytes = 2 * k2M;
constexpr std::uint64_t kPages = kBytes / kPageSize;

/// One call; addresses are relative to the stretch it is made on.
struct TwinCall {
  long number;
  std::array<long, 6> args;
  unsigned addresses;  ///< bit i: args[i] is one
};

std::string text_of(const TwinCall& call) {
  char line[160];
  std::snprintf(line, sizeof line, "  syscall(%ld, %#lx, %#lx, %#lx, %#lx, %#lx, %ld), addresses %#x\n", call.number,
                call.args[0], call.args[1], call.args[2], call.args[3], call.args[4], call.args[5], call.addresses);
  return line;
}

/// Who sees the calls on the stretch that moves: the hooks, or the events of userfaultfd alone.
enum class SeenBy : std::uint8_t { kHooks, kEvents };

/// When pages go to VRAM: between two calls, or at any time.
enum class Pages : std::uint8_t { kBetweenCalls, kStirred };

struct Way {
  const char* name;
  SeenBy seen_by;
  DmaMode dma;
  Pages pages;
};

class LiveTwins : public LiveTest, public ::testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    alarm(120);
    LiveOptions options;
    options.dma = GetParam().dma;
    start(options);
    if (IsSkipped()) return;
    file_ = static_cast<int>(syscall(SYS_memfd_create, "twins", 1u /* MFD_CLOEXEC */));
    ASSERT_EQ(ftruncate(file_, kBytes), 0);
    write_only_ = open("/dev/shm", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  }
  void TearDown() override {
    close(file_);
    close(write_only_);
    LiveTest::TearDown();
  }

  /// Memory that lies alone: whatever a call does beyond its ends meets nothing.
  std::byte* stretch() {
    constexpr std::uint64_t kRoom = 8 * k2M;
    auto* raw =
        static_cast<std::byte*>(mmap(nullptr, kRoom, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    mapped_.push_back(range_at(raw, kRoom));
    auto* at = reinterpret_cast<std::byte*>(align_up(number_of(raw) + k2M, k2M));
    munmap(raw, kRoom);
    fresh(at);
    return at;
  }
  static void fresh(std::byte* at) {
    munlock(at, 3 * k2M);
    munmap(at, 3 * k2M);
    EXPECT_EQ(mmap(at, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), at);
    for (std::uint64_t i = 0; i < kPages; i += 1) word(at, i) = i + 1;
  }

  std::uint64_t page() { return random_.below(kPages); }
  /// Mostly a few pages somewhere, at times at or beyond the end, at times odd.
  long offset() {
    const std::uint64_t bytes = page() * kPageSize;
    return static_cast<long>(random_.below(40) == 0 ? bytes + 8 : bytes);
  }
  long length() {
    static constexpr std::uint64_t kSome[] = {kPageSize, 3 * kPageSize, k64K, 5 * k64K, k2M, 0, 100};
    return static_cast<long>(kSome[random_.below(std::size(kSome))]);
  }
  long protection() {
    static constexpr long kSome[] = {PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE,
                                     PROT_READ | PROT_WRITE | PROT_EXEC};
    return kSome[random_.below(std::size(kSome))];
  }

  TwinCall map_call() {
    struct Kind {
      long flags;
      int fd;
    };
    const Kind kinds[] = {
        {MAP_PRIVATE | MAP_ANONYMOUS, -1},
        {MAP_PRIVATE | MAP_ANONYMOUS, -1},
        {MAP_SHARED | MAP_ANONYMOUS, -1},
        {MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1},
        {MAP_PRIVATE, file_},
        {MAP_SHARED, file_},
        {MAP_PRIVATE, write_only_},
        {MAP_PRIVATE, 9999},
        {MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1},
    };
    const Kind& kind = kinds[random_.below(std::size(kinds))];
    const long fixed = random_.below(4) == 0 ? MAP_FIXED_NOREPLACE : MAP_FIXED;
    return {SYS_mmap, {offset(), length(), protection(), kind.flags | fixed, kind.fd, 0}, 1};
  }
  TwinCall remap_call() {
    static constexpr unsigned long kDontunmap = 4;
    static constexpr unsigned long kFlags[] = {MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED, 0,
                                               MREMAP_MAYMOVE | MREMAP_FIXED | kDontunmap, MREMAP_FIXED};
    const unsigned long flags = kFlags[random_.below(std::size(kFlags))];
    const long from = length();
    return {SYS_mremap,
            {offset(), from, random_.below(3) == 0 ? length() : from, static_cast<long>(flags), offset()},
            (flags & MREMAP_FIXED) != 0 ? 17u : 1u};
  }
  TwinCall advice_call() {
    static constexpr long kSome[] = {MADV_DONTNEED,
                                     MADV_DONTNEED,
                                     24,
                                     MADV_REMOVE,
                                     MADV_PAGEOUT,
                                     MADV_COLD,
                                     MADV_WILLNEED,
                                     MADV_MERGEABLE,
                                     MADV_UNMERGEABLE,
                                     MADV_RANDOM,
                                     MADV_DONTFORK,
                                     MADV_POPULATE_READ,
                                     MADV_POPULATE_WRITE,
                                     MADV_HUGEPAGE,
                                     MADV_NOHUGEPAGE,
                                     25 /* COLLAPSE */,
                                     102 /* GUARD_INSTALL */,
                                     103 /* GUARD_REMOVE */,
                                     4711};
    return {SYS_madvise, {offset(), length(), kSome[random_.below(std::size(kSome))]}, 1};
  }
  /// What has an event, or needs none. (mremap() does not pass the borders that registration makes.)
  TwinCall any_call_with_event() {
    switch (random_.below(5)) {
      case 0: return {SYS_munmap, {offset(), length()}, 1};
      case 1:
      case 2: return map_call();
      case 3: return {SYS_mprotect, {offset(), length(), protection()}, 1};
      default: return {SYS_madvise, {offset(), length(), MADV_DONTNEED}, 1};
    }
  }
  TwinCall any_call() {
    if (GetParam().seen_by == SeenBy::kEvents) return any_call_with_event();
    switch (random_.below(12)) {
      case 0: return {SYS_munmap, {offset(), length()}, 1};
      case 1:
      case 2:
      case 3: return map_call();
      case 4:
      case 5: return remap_call();
      case 6:
      case 7: return {SYS_mprotect, {offset(), length(), random_.below(9) == 0 ? 0x10000 : protection()}, 1};
      case 8: return {SYS_mlock, {offset(), length()}, 1};
      case 9: return {SYS_munlock, {offset(), length()}, 1};
      default: return advice_call();
    }
  }

  static std::array<long, 6> args_on(const TwinCall& call, const std::byte* base) {
    std::array<long, 6> args = call.args;
    for (unsigned i = 0; i < args.size(); ++i) {
      if ((call.addresses >> i & 1) != 0) args[i] += static_cast<long>(number_of(base));
    }
    return args;
  }
  static long relative(long result, const std::byte* base) {
    return errno_of(result) != 0 || result == 0 ? result : result - static_cast<long>(number_of(base));
  }

  /// What each page is: its first word, or kNone where it cannot be read.
  static constexpr std::uint64_t kNone = ~0ull;
  static constexpr std::uint64_t kLooked = kPages + k2M / kPageSize;
  using Looks = std::array<std::uint64_t, kLooked>;
  static void look(const std::byte* base, Looks& looks) {
    static std::array<iovec, kLooked> from;
    for (std::uint64_t i = 0; i < kLooked; ++i) {
      from[i] = {const_cast<std::byte*>(base) + i * kPageSize, sizeof(std::uint64_t)};
    }
    constexpr std::uint64_t kVectorMax = 1024;
    for (std::uint64_t i = 0; i < kLooked;) {
      const std::uint64_t n = std::min(kLooked - i, kVectorMax);
      const iovec to{&looks[i], n * sizeof(std::uint64_t)};
      const long got = raw_syscall(SYS_process_vm_readv, getpid(), &to, 1, &from[i], n, 0);
      i += got > 0 ? static_cast<std::uint64_t>(got) / sizeof(std::uint64_t) : 0;
      if (got != static_cast<long>(to.iov_len)) looks[i++] = kNone;
    }
  }
  bool equal(const std::byte* hooked, const std::byte* plain, std::string& why) {
    static Looks a;
    static Looks b;
    look(hooked, a);
    look(plain, b);
    for (std::uint64_t i = 0; i < kLooked; ++i) {
      if (a[i] == b[i]) continue;
      why = "page " + std::to_string(i) + ": " + std::to_string(a[i]) + ", plain " + std::to_string(b[i]);
      return false;
    }
    return true;
  }
  void store_somewhere(std::byte* hooked, std::byte* plain) {
    std::uint64_t value = random_.next();
    const std::uint64_t at = page() * kPageSize;
    for (std::byte* base : {hooked, plain}) {
      const iovec from{&value, sizeof value};
      const iovec to{base + at, sizeof value};
      raw_syscall(SYS_process_vm_writev, getpid(), &from, 1, &to, 1, 0);
    }
  }
  void move_some(std::byte* at, Prng& random) {
    static constexpr std::uint64_t kSizes[] = {kPageSize, k64K, k64K, k2M};
    const std::uint64_t bytes = kSizes[random.below(std::size(kSizes))];
    const std::uint64_t from = align_down(random.below(kPages) * kPageSize, bytes);
    DevmemAllocation* allocation = heap().try_take(bytes);
    if (allocation == nullptr) {  // VRAM is full: all of it goes home
      EXPECT_TRUE(mm_->migrate_to_system(range_at(at, kBytes), MoveCause::kEviction, Residency::kIgnore));
      return;
    }
    if (!mm_->migrate_to_device(range_at(at + from, bytes), *allocation, 0)) heap().give_back_unused(*allocation);
  }
  long make_hooked(const TwinCall& call, const std::array<long, 6>& args) {
    if (GetParam().seen_by == SeenBy::kHooks) return mm_->hook_syscall(call.number, args);
    const long result = raw_syscall(call.number, args[0], args[1], args[2], args[3], args[4], args[5]);
    mm_->submission_probe();
    return result;
  }
  /// Sends pages away all the time and reads some of them.
  void stir(std::byte* at, const std::atomic<bool>& stop) {
    Prng random(7);
    while (!stop.load()) {
      move_some(at, random);
      std::uint64_t value = 0;
      const iovec to{&value, sizeof value};
      const iovec from{at + random.below(kPages) * kPageSize, sizeof value};
      raw_syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0);
    }
  }
  void run(std::uint64_t seed, int rounds);

  Prng random_{1};
  int file_ = -1;
  int write_only_ = -1;
};

void LiveTwins::run(std::uint64_t seed, int rounds) {
  random_ = Prng(seed);
  std::byte* hooked = stretch();
  std::byte* plain = stretch();
  Apart<Diary> diary(range_at(hooked, kBytes));
  ASSERT_TRUE(mm_->watch(*diary));
  std::string story;
  std::atomic<bool> stop{false};
  std::thread stirrer;
  if (GetParam().pages == Pages::kStirred) stirrer = std::thread([&] { stir(hooked, stop); });
  struct Join {
    std::atomic<bool>& stop;
    std::thread& thread;
    ~Join() {
      stop.store(true);
      if (thread.joinable()) thread.join();
    }
  } const join{stop, stirrer};
  for (int round = 0; round < rounds; ++round) {
    if (round % 40 == 0) {
      for (std::byte* at : {hooked, plain}) {
        mm_->hook_munmap(number_of(at), 3 * k2M);
        fresh(at);
      }
      story = "seed " + std::to_string(seed) + "\n";
    }
    for (std::uint64_t n = random_.below(4); n != 0; --n) move_some(hooked, random_);
    store_somewhere(hooked, plain);
    const TwinCall call = any_call();
    story += text_of(call);
    const auto on_hooked = args_on(call, hooked);
    const auto on_plain = args_on(call, plain);
    const long a = relative(make_hooked(call, on_hooked), hooked);
    const long b = relative(
        raw_syscall(call.number, on_plain[0], on_plain[1], on_plain[2], on_plain[3], on_plain[4], on_plain[5]), plain);
    ASSERT_EQ(a, b) << story << text_of(call);
    std::string why;
    ASSERT_TRUE(equal(hooked, plain, why)) << why << "\n" << story;
  }
  stop.store(true);
  if (stirrer.joinable()) stirrer.join();
  mm_->unwatch(*diary);
}

TEST_P(LiveTwins, AnswersMappingsAndContentsAreTheKernels) {
  const int rounds = GetParam().pages == Pages::kStirred ? 60 : 200;
  const char* given = std::getenv("SOFTXE_TWIN_SEED");
  const std::uint64_t first = given == nullptr ? 1 : std::strtoull(given, nullptr, 0);
  for (std::uint64_t seed = first; seed < first + 2; ++seed) ASSERT_NO_FATAL_FAILURE(run(seed, rounds));
  EXPECT_GT(mm_->counters().pages_out.load(), 1'000u) << "pages have moved meanwhile";
  EXPECT_EQ(mm_->counters().events.load() == 0, GetParam().seen_by == SeenBy::kHooks);
}

INSTANTIATE_TEST_SUITE_P(, LiveTwins,
                         ::testing::Values(Way{"Hooks", SeenBy::kHooks, DmaMode::kMove, Pages::kBetweenCalls},
                                           Way{"HooksCopy", SeenBy::kHooks, DmaMode::kCopy, Pages::kBetweenCalls},
                                           Way{"HooksStirred", SeenBy::kHooks, DmaMode::kMove, Pages::kStirred},
                                           Way{"Events", SeenBy::kEvents, DmaMode::kMove, Pages::kBetweenCalls}),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace softxe::live
