// The VA-space workload (docs/BENCH.md): what is asked of a container of mappings, in which order,
// and the values that every correct container ends with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/prng.h"

namespace softxe::bench {

inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t kFold = 0x9e3779b97f4a7c15;

/// Prng is the splitmix64 of the definition.
class Random : public Prng {
 public:
  using Prng::Prng;
  std::vector<std::uint32_t> permutation(std::uint64_t n) {
    std::vector<std::uint32_t> v(n);
    for (std::uint64_t i = 0; i < n; ++i) v[i] = static_cast<std::uint32_t>(i);
    for (std::uint64_t i = n - 1; i > 0; --i) std::swap(v[i], v[below(i + 1)]);
    return v;
  }
};

/// One request; 0 bytes are never asked for.
struct Piece {
  std::uint64_t address;
  std::uint64_t bytes;
};
struct Mapping {
  Piece at;
  std::uint64_t backing;  ///< 1 to 9
  std::uint64_t offset;
};

/// What was done to mappings, as a hash: two containers that did the same have the same.
struct OpsHash {
  std::uint64_t acc = 0;
  std::uint64_t maps = 0;
  std::uint64_t unmaps = 0;
  std::uint64_t remaps = 0;

  void fold(std::uint64_t x) { acc = (acc ^ x) * kFold; }
  void map(std::uint64_t address, std::uint64_t bytes) {
    ++maps;
    fold(address + bytes);
  }
  void unmap(std::uint64_t address, std::uint64_t bytes) {
    ++unmaps;
    fold(address + 3 * bytes);
  }
  /// `hole` is the part of the old mapping that goes away.
  void remap(Piece old, Piece hole) {
    ++remaps;
    fold(old.address + 5 * old.bytes);
    fold(hole.address + hole.address + hole.bytes);
  }
  friend bool operator==(const OpsHash&, const OpsHash&) = default;
};

struct StateHash {
  std::uint64_t h = 0xcbf29ce484222325;
  std::uint64_t count = 0;
  void add(const Mapping& m) {
    for (const std::uint64_t x : {m.at.address, m.at.bytes, m.backing, m.offset}) {
      h = (h ^ x) * kFold;
      h ^= h >> 29;
    }
    ++count;
  }
};

enum class Workload : std::uint8_t {
  kMapSeq,
  kMapRand,
  kOverwrite,
  kSplit,
  kUnmapRand,
  kUnmapHole,
  kFind,
  kFindGap,
  kIterate,
  kIterateShuffled,
};
inline constexpr const char* kWorkloadNames[] = {"map-seq",    "map-rand", "overwrite", "split",   "unmap-rand",
                                                 "unmap-hole", "find",     "find-gap",  "iterate", "iterate-shuffled"};
inline constexpr std::size_t kWorkloads = 10;

/// What a repetition ended with; equal for every container.
struct Outcome {
  OpsHash ops;
  std::uint64_t final_count = 0;
  std::uint64_t state_hash = 0;
  std::uint64_t check = 0;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

struct Size {
  std::uint64_t mappings;  ///< N
  /// Requests of the timed loop where the workload does not say N: 0 for as many as it defines.
  std::uint64_t requests = 0;
};

/// CLOCK_THREAD_CPUTIME_ID: what others do on this machine does not count.
std::uint64_t thread_ns();

/// One repetition of one workload on a fresh Container.
///   map(Mapping, OpsHash&), unmap(Piece, OpsHash&), find(address) -> start + backing or 0,
///   each(visitor) in address order, clear()
template <typename Container>
class Repetition {
 public:
  Repetition(Workload workload, Size size, std::uint64_t seed)
      : workload_(workload), n_(size.mappings), requests_(size.requests), random_(seed) {}

  /// Returns the time of the timed loop. `requests()` of it were made.
  std::uint64_t run() {
    prepare();
    const std::uint64_t begin = thread_ns();
    loop();
    const std::uint64_t end = thread_ns();
    outcome_.check = check_;
    StateHash state;
    container_.each([&state](const Mapping& m) { state.add(m); });
    outcome_.final_count = state.count;
    outcome_.state_hash = state.h;
    outcome_.ops = ops_;
    container_.clear();
    return end - begin;
  }
  std::uint64_t requests() const { return requests_; }
  const Outcome& outcome() const { return outcome_; }

 private:
  void map(std::uint64_t address, std::uint64_t bytes, std::uint64_t backing, std::uint64_t offset) {
    container_.map(Mapping{{address, bytes}, backing, offset}, ops_);
  }
  void prefill(std::uint64_t slot, std::uint64_t pages) {
    for (std::uint64_t i = 0; i < n_; ++i) {
      map(i * slot * kPage, pages * kPage, 1 + i % 8, i * slot * kPage);
    }
  }
  void want(std::uint64_t requests) {
    if (requests_ == 0) requests_ = requests;
  }

  void prepare() {
    switch (workload_) {
      case Workload::kMapSeq: requests_ = n_; break;
      case Workload::kMapRand:
        requests_ = n_;
        order_ = random_.permutation(n_);
        break;
      case Workload::kOverwrite:
        want(400'000);
        prefill(16, 16);
        break;
      case Workload::kSplit:
        want(400'000);
        prefill(512, 512);
        break;
      case Workload::kUnmapRand:
      case Workload::kUnmapHole:
        requests_ = n_;
        order_ = random_.permutation(n_);
        prefill(16, 16);
        break;
      case Workload::kFind:
        want(2'000'000);
        prefill(16, 16);
        break;
      case Workload::kFindGap:
        want(2'000'000);
        prefill(16, 8);
        break;
      case Workload::kIterate:
        want(10'000'000);
        prefill(16, 16);
        break;
      case Workload::kIterateShuffled:
        want(10'000'000);
        order_ = random_.permutation(n_);
        for (const std::uint64_t i : order_) {
          map(i * 16 * kPage, 16 * kPage, 1 + i % 8, i * 16 * kPage);
        }
        break;
    }
  }

  void loop() {
    switch (workload_) {
      case Workload::kMapSeq:
        for (std::uint64_t i = 0; i < n_; ++i) {
          map(i * 16 * kPage, 16 * kPage, 1 + i % 8, i * 16 * kPage);
        }
        break;
      case Workload::kMapRand:
        for (std::uint64_t i = 0; i < n_; ++i) {
          const std::uint64_t at = order_[i];
          map(at * 16 * kPage, 8 * kPage, 1 + i % 8, at * 16 * kPage);
        }
        break;
      case Workload::kOverwrite:
        for (std::uint64_t i = 0; i < requests_; ++i) {
          const std::uint64_t pages = 1 + random_.below(32);
          const std::uint64_t at = random_.below(16 * n_ - pages + 1);
          map(at * kPage, pages * kPage, 1 + i % 8, i % 65536 * kPage);
        }
        break;
      case Workload::kSplit:
        for (std::uint64_t i = 0; i < requests_ / 2; ++i) {
          const std::uint64_t s = random_.below(n_);
          const std::uint64_t q = 1 + random_.below(510);
          map((512 * s + q) * kPage, kPage, 9, i * kPage);
          map(512 * s * kPage, 512 * kPage, 1 + s % 8, 512 * s * kPage);
        }
        break;
      case Workload::kUnmapRand:
        for (const std::uint64_t at : order_) container_.unmap({at * 16 * kPage, 16 * kPage}, ops_);
        break;
      case Workload::kUnmapHole:
        for (const std::uint64_t at : order_) {
          container_.unmap({(at * 16 + 6) * kPage, 4 * kPage}, ops_);
        }
        break;
      case Workload::kFind:
      case Workload::kFindGap:
        for (std::uint64_t i = 0; i < requests_; ++i) {
          check_ += container_.find(random_.below(16 * n_) * kPage);
        }
        break;
      case Workload::kIterate:
      case Workload::kIterateShuffled: walk(); break;
    }
  }

  void walk() {
    const std::uint64_t rounds = requests_ / n_;
    std::uint64_t sum = 0;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      container_.each([&sum](const Mapping& m) { sum += m.at.address + m.at.bytes + m.backing + m.offset; });
    }
    check_ = sum;
    requests_ = rounds * n_;
  }

  const Workload workload_;
  const std::uint64_t n_;
  std::uint64_t requests_;
  Random random_;
  std::vector<std::uint32_t> order_;
  Container container_;
  OpsHash ops_;
  Outcome outcome_;
  std::uint64_t check_ = 0;
};

}  // namespace softxe::bench
