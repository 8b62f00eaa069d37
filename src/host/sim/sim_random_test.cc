// Random client operations, migrations and evictions against a flat model of page contents.
#include <algorithm>
#include <map>

#include "base/prng.h"
#include "host/sim/sim_test_machine.h"

namespace softxe::sim_test {
namespace {

/// What a process of the model sees: page number -> value of its first word; absent: not mapped.
using FlatMemory = std::map<std::uint64_t, std::uint32_t>;

class RandomWorld {
 public:
  explicit RandomWorld(std::uint64_t seed) : rng_(seed) { flat_.emplace_back(); }

  void step() {
    HostRange range = some_range();
    switch (rng_.below(14)) {
      case 0: map(range); break;
      case 1: unmap(range); break;
      case 2: move(range); break;
      case 3: clear(range); break;
      case 4:
      case 5:
      case 6: store(); break;
      case 7:
      case 8: to_device(); break;
      case 9: static_cast<void>(m_.mm.migrate_to_system(range, MoveCause::kPrefetch, Residency::kIgnore)); break;
      case 10: evict(); break;
      case 11: static_cast<void>(m_.mm.cpu_madvise(range, CpuAdvice::kPageout)); break;
      case 12:
        if (flat_.size() < 4) fork();
        break;
      case 13: collect(range); break;
    }
    check_one();
  }
  void check_all() {
    m_.mm.check_invariants();
    for (std::uint32_t pid = 0; pid < flat_.size(); ++pid) {
      for (std::uint64_t page = 0; page < kPages; ++page) check(page, Pid{pid});
    }
  }

 private:
  static constexpr std::uint64_t kPages = 128;

  HostRange some_range() {
    std::uint64_t first = rng_.below(kPages);
    return m_.pages(first, 1 + rng_.below(std::min<std::uint64_t>(32, kPages - first)));
  }
  std::uint64_t index(HostVa va) { return (va.value() - kBase.value()) / kPageSize; }
  template <typename Each>
  void each(HostRange range, Each fn) {
    for (std::uint64_t p = index(range.start()); p < index(range.end()); ++p) fn(p);
  }

  void map(HostRange range) {
    m_.map(index(range.start()), range.pages());
    each(range, [&](std::uint64_t p) { flat_[0][p] = 0; });
  }
  void unmap(HostRange range) {
    ASSERT_TRUE(m_.mm.cpu_munmap(range));
    each(range, [&](std::uint64_t p) { flat_[0].erase(p); });
  }
  void clear(HostRange range) {
    static_cast<void>(m_.mm.cpu_madvise(range, CpuAdvice::kDontNeed));
    each(range, [&](std::uint64_t p) {
      if (flat_[0].count(p)) flat_[0][p] = 0;
    });
  }
  void move(HostRange range) {
    HostRange to = some_range();
    auto result = m_.mm.cpu_mremap(
        {.old = range, .new_size_bytes = range.size(), .move = MremapRequest::Move::kFixed, .to = to.start()});
    if (!result) return;
    FlatMemory& flat = flat_[0];
    for (std::uint64_t i = 0; i < range.pages(); ++i) {
      std::uint64_t from = index(range.start()) + i;
      flat[index(to.start()) + i] = flat.at(from);
      flat.erase(from);
    }
  }
  void store() {
    std::uint64_t page = rng_.below(kPages);
    auto pid = static_cast<std::uint32_t>(rng_.below(flat_.size()));
    auto value = static_cast<std::uint32_t>(rng_.next());
    auto status = m_.write(kBase + page * kPageSize, value, Pid{pid});
    ASSERT_EQ(status.has_value(), flat_[pid].count(page) == 1);
    if (status) flat_[pid][page] = value;
  }
  void to_device() {
    std::uint64_t pages = rng_.chance(1, 2) ? 16 : 1;
    HostRange range = m_.pages(rng_.below(kPages / pages) * pages, pages);
    auto moved = m_.to_device(range, rng_.chance(1, 4) ? m_.far : m_.heap);
    if (!moved) return;
    // The GPU writes through the VRAM pages it was given.
    auto value = static_cast<std::uint32_t>(rng_.next());
    std::memcpy(m_.mm.allocation_at(range.start())->frame, &value, sizeof value);
    flat_[0][index(range.start())] = value;
  }
  void evict() {
    if (m_.heap.all().empty()) return;
    auto it = m_.heap.all().begin();
    std::advance(it, static_cast<long>(rng_.below(m_.heap.live())));
    ASSERT_TRUE(m_.mm.evict(**it));
  }
  void fork() {
    ASSERT_TRUE(m_.mm.cpu_fork());
    flat_.push_back(flat_[0]);
  }
  void collect(HostRange range) {
    PageHomes homes;
    if (!m_.mm.collect(range, {.owner = kOurs}, homes)) return;
    for (std::size_t i = 0; i < homes.pages(); ++i) {
      const PageHome home = homes[i];
      bool device = home.where == PageHome::Where::kDevice;
      std::byte* at = device ? home.allocation->frame + (home.device - home.allocation->block.start()) : home.system;
      std::uint32_t seen;
      std::memcpy(&seen, at, sizeof seen);
      ASSERT_EQ(seen, flat_[0].at(index(range.start()) + i));
      ASSERT_TRUE(home.writable);
      ++seen;
      std::memcpy(at, &seen, sizeof seen);
      flat_[0][index(range.start()) + i] = seen;
    }
  }
  void check_one() { check(rng_.below(kPages), Pid{static_cast<std::uint32_t>(rng_.below(flat_.size()))}); }
  void check(std::uint64_t page, Pid pid) {
    const FlatMemory& flat = flat_[static_cast<std::size_t>(pid)];
    auto it = flat.find(page);
    std::int64_t expected = it == flat.end() ? -kCpuSegv : std::int64_t{it->second};
    ASSERT_EQ(m_.read(kBase + page * kPageSize, pid), expected) << "page " << page;
  }

  Prng rng_;
  Machine m_;
  std::vector<FlatMemory> flat_;
};

TEST(SimHostMm, RandomOperationsKeepTheData) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    RandomWorld world(seed);
    for (int i = 0; i < 1500 && !testing::Test::HasFatalFailure(); ++i) {
      world.step();
      if (i % 50 == 0) world.check_all();
    }
    world.check_all();
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace softxe::sim_test
