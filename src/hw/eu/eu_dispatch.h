// EuDispatch: a walker under way: which groups have started, which are left, and what is written at the end.
//
// Part of the hardware context, as a long blit is: it is stopped between two instructions and goes on later, on
// another engine if need be. Who runs it is EuUnits (eu_units.h): groups are taken, run for a while, and put back.
//
//     groups of the walker:   ended | resident (ready, taken or stuck) | not started
//
// An ordinary walker has one resident group per worker. More are let in when slice after slice passes without the end
// of any group, up to what fits a device: kernels whose groups wait for later ones make progress as on hardware. A
// cooperative walker has all its groups resident. Where there are more groups than workers they take turns.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "hw/eu/eu_group.h"
#include "hw/eu/eu_start.h"
#include "hw/eu/eu_thread_ids.h"
#include "hw/eu/eu_walker.h"

namespace softxe {

/// What a walker has done, for statistics.
struct EuWork {
  std::uint64_t groups = 0;
  std::uint64_t threads = 0;
  std::uint64_t lanes = 0;  ///< work items
  std::uint64_t instructions = 0;
  std::uint64_t sends = 0;
  std::uint64_t images = 0;  ///< of these, to images
  std::uint64_t texels = 0;  ///< elements of images that were read or written

  EuWork& operator+=(const EuWork& other) {
    groups += other.groups;
    threads += other.threads;
    lanes += other.lanes;
    instructions += other.instructions;
    sends += other.sends;
    images += other.images;
    texels += other.texels;
    return *this;
  }
  EuWork& operator-=(const EuWork& other) {
    groups -= other.groups;
    threads -= other.threads;
    lanes -= other.lanes;
    instructions -= other.instructions;
    sends -= other.sends;
    images -= other.images;
    texels -= other.texels;
    return *this;
  }
};

/// A place for one group: its threads, and a hardware thread id for each. Used for one group after the other.
struct EuResident {
  explicit EuResident(const EuGroup::Shape& capacity) : group(capacity), ids(new EuIdRows[capacity.threads]) {}

  /// Starts the threads of the group `id`: the part of a group's start that needs no lock.
  void start(const EuWalker& walker);
  /// Of the group so far.
  EuWork work() const;

  EuGroup group;
  EuTriple id{};                    ///< of the group, first group's id included
  bool fresh = false;               ///< start() is due
  std::unique_ptr<EuIdRows[]> ids;  ///< of its threads in the walker `ids_of`
  std::uint64_t ids_of = 0;
  std::array<std::uint16_t, kEuGroupThreadsMax> hw_ids{};
  EuResident* next = nullptr;  ///< in a list of its dispatch
};

/// Places that nobody uses, kept by an engine so that the next walker need not allocate. One thread at a time.
/// About 20 KiB per thread and the SLM each.
class EuResidentPool {
 public:
  explicit EuResidentPool(std::size_t kept_max) : kept_max_(kept_max) { kept_.reserve(kept_max); }
  std::unique_ptr<EuResident> take(const EuGroup::Shape& shape);
  void give(std::unique_ptr<EuResident> resident);

 private:
  std::size_t kept_max_;
  std::vector<std::unique_ptr<EuResident>> kept_;
};

/// One per hardware context. Used by one thread at a time, or under the lock of the units that run it.
class EuDispatch {
 public:
  EuDispatch() = default;
  ~EuDispatch() { drop(); }
  EuDispatch(const EuDispatch&) = delete;
  EuDispatch& operator=(const EuDispatch&) = delete;

  /// EBADRQC: a cooperative walker whose groups cannot all be resident. On success the dispatch is active.
  Status begin(const EuWalker& walker);
  /// Ends it in any state; what groups did stays done.
  void drop();

  bool active() const { return active_; }
  const EuWalker& walker() const { return walker_; }
  /// All groups have ended.
  bool finished() const { return ended_ == walker_.group_count(); }

  /// Before a slice: makes room for the groups that may be resident in it, one for each of `workers` at least.
  void reserve(std::uint32_t workers, EuThreadIds& ids, EuResidentPool& pool);
  /// After the last slice.
  void release(EuResidentPool& pool);

  /// The next group to run: one that has been put back, or a new one (`fresh`). Null when there is none for another
  /// worker.
  EuResident* take();
  enum class Back : std::uint8_t { kReady, kStuck };
  /// Taken and not ended. kStuck: its threads all wait for each other; it is never taken again.
  void put_back(EuResident& resident, Back back);
  /// Taken and ended. Its place is free.
  void retire(EuResident& resident);
  /// Groups that are ready or may start now.
  std::uint64_t could_run() const;
  /// There are more groups than workers: none keeps a worker for a whole slice. Constant within a slice.
  bool takes_turns() const { return rotates_; }
  std::uint64_t slices() const { return slices_; }  ///< reserve() calls so far

  /// What it has done since this was asked last. Not while groups are taken.
  EuWork take_new_work();

 private:
  struct List {
    EuResident* first = nullptr;
    EuResident* last = nullptr;
    std::uint64_t size = 0;
    void push(EuResident& resident);
    EuResident* pop();
  };

  void name_next_group(EuResident& resident);
  std::uint64_t residents_wanted(std::uint32_t workers);

  bool active_ = false;
  bool rotates_ = false;
  EuWalker walker_;
  std::uint64_t started_ = 0;
  std::uint64_t ended_ = 0;
  std::uint64_t ended_at_reserve_ = 0;
  std::uint64_t slices_ = 0;
  std::uint32_t stalled_ = 0;  ///< slices since a group ended or another one was let in
  EuTriple next_group_{};      ///< without the first group's id
  std::uint32_t extra_ = 0;    ///< residents beyond one per worker
  std::vector<std::unique_ptr<EuResident>> residents_;
  List ready_;
  List free_;
  EuThreadIds* ids_ = nullptr;  ///< of hw_ids; set while there are residents
  EuThreadIds::Own own_ids_;
  EuWork work_;       ///< of groups that have ended
  EuWork work_told_;  ///< by take_new_work()
};

}  // namespace softxe
