#include "hw/eu/eu_dispatch.h"

#include <algorithm>
#include <bit>

#include "hw/eu/eu_trace.h"

namespace softxe {

// ---- EuResident ----------------------------------------------------------------------------------

void EuResident::start(const EuWalker& walker) {
  fresh = false;
  group.restart({.threads = walker.threads, .slm_bytes = walker.slm_bytes}, walker.bases);
  if (ids_of != walker.number) {
    for (std::uint32_t i = 0; i < walker.threads; ++i) ids[i] = eu_id_rows(walker, i);
    ids_of = walker.number;
  }
  for (std::uint32_t i = 0; i < walker.threads; ++i) {
    eu_start_thread(group.threads()[i], walker, {.group = id, .thread = i, .hw_id = hw_ids[i]}, ids[i]);
  }
}

EuWork EuResident::work() const {
  EuWork work{.groups = 1, .threads = group.threads().size()};
  for (const EuThread& thread : group.threads()) {
    work.lanes += static_cast<std::uint64_t>(std::popcount(thread.sr[2]));
    work.instructions += thread.instructions;
    work.sends += thread.sends;
    work.images += thread.images;
    work.texels += thread.texels;
  }
  return work;
}

// ---- EuResidentPool ------------------------------------------------------------------------------

std::unique_ptr<EuResident> EuResidentPool::take(const EuGroup::Shape& shape) {
  const auto fits = [&](const auto& resident) { return resident->group.fits(shape); };
  const auto found = std::find_if(kept_.begin(), kept_.end(), fits);
  if (found == kept_.end()) return std::make_unique<EuResident>(shape);
  std::unique_ptr<EuResident> resident = std::move(*found);
  kept_.erase(found);
  return resident;
}

/// The newest stay: they are most likely what the next walker needs.
void EuResidentPool::give(std::unique_ptr<EuResident> resident) {
  if (kept_.size() == kept_max_) kept_.erase(kept_.begin());
  kept_.push_back(std::move(resident));
}

// ---- EuDispatch ----------------------------------------------------------------------------------

void EuDispatch::List::push(EuResident& resident) {
  resident.next = nullptr;
  (first == nullptr ? first : last->next) = &resident;
  last = &resident;
  ++size;
}

EuResident* EuDispatch::List::pop() {
  EuResident* resident = first;
  if (resident == nullptr) return nullptr;
  first = resident->next;
  --size;
  return resident;
}

Status EuDispatch::begin(const EuWalker& walker) {
  SX_ASSERT(residents_.empty());
  if (walker.cooperative && walker.group_count() > kEuThreadIds / walker.threads) {
    return fail(EBADRQC, "a cooperative walker of more than 512 threads");
  }
  walker_ = walker;
  walker_.number = eu_next_kernel_number();
  active_ = true;
  rotates_ = walker.cooperative;
  started_ = ended_ = ended_at_reserve_ = 0;
  stalled_ = 0;
  slices_ = 0;
  next_group_ = {};
  extra_ = 0;
  work_ = work_told_ = {};
  return {};
}

void EuDispatch::drop() {
  for (const auto& resident : residents_) {
    for (std::uint32_t i = 0; i < walker_.threads; ++i) ids_->give(resident->hw_ids[i]);
  }
  residents_.clear();
  own_ids_.reset();
  ready_ = free_ = {};
  active_ = false;
}

std::uint64_t EuDispatch::residents_wanted(std::uint32_t workers) {
  constexpr std::uint32_t kStalledMax = 4;
  const std::uint64_t left = walker_.group_count() - ended_;
  const std::uint64_t most = std::min<std::uint64_t>(left, kEuThreadIds / walker_.threads);
  if (walker_.cooperative) return most;
  stalled_ = !residents_.empty() && ended_ == ended_at_reserve_ ? stalled_ + 1 : 0;
  ended_at_reserve_ = ended_;
  if (stalled_ == kStalledMax) {
    stalled_ = 0;
    extra_ = extra_ * 2 + 1;
  }
  const std::uint64_t wanted = std::min<std::uint64_t>(most, workers + extra_);
  extra_ = wanted > workers ? static_cast<std::uint32_t>(wanted - workers) : 0;
  return wanted;
}

void EuDispatch::reserve(std::uint32_t workers, EuThreadIds& ids, EuResidentPool& pool) {
  ++slices_;
  const std::uint64_t wanted = residents_wanted(workers);
  rotates_ = wanted > workers;
  ids_ = &ids;
  while (residents_.size() < wanted) {
    auto resident = pool.take({.threads = walker_.threads, .slm_bytes = walker_.slm_bytes});
    for (std::uint32_t i = 0; i < walker_.threads; ++i) {
      resident->hw_ids[i] = ids.take(own_ids_);
      own_ids_.set(resident->hw_ids[i]);
    }
    free_.push(*resident);
    residents_.push_back(std::move(resident));
  }
}

void EuDispatch::release(EuResidentPool& pool) {
  for (auto& resident : residents_) {
    for (std::uint32_t i = 0; i < walker_.threads; ++i) ids_->give(resident->hw_ids[i]);
    pool.give(std::move(resident));
  }
  residents_.clear();
  drop();
}

/// Groups start in the order x, y, z.
void EuDispatch::name_next_group(EuResident& resident) {
  for (unsigned i = 0; i < 3; ++i) resident.id[i] = walker_.first[i] + next_group_[i];
  for (unsigned i = 0; i < 3; ++i) {
    if (++next_group_[i] < walker_.groups[i]) break;
    next_group_[i] = 0;
  }
  ++started_;
  resident.fresh = true;
}

EuResident* EuDispatch::take() {
  // Turn and turn about means that new groups come in before old ones have a second turn.
  if (!rotates_) {
    if (EuResident* ready = ready_.pop()) return ready;
  }
  if (started_ < walker_.group_count()) {
    if (EuResident* place = free_.pop()) {
      name_next_group(*place);
      return place;
    }
  }
  return ready_.pop();
}

void EuDispatch::put_back(EuResident& resident, Back back) {
  if (back == Back::kReady) ready_.push(resident);
}

void EuDispatch::retire(EuResident& resident) {
  work_ += resident.work();
  ++ended_;
  free_.push(resident);
}

std::uint64_t EuDispatch::could_run() const {
  return ready_.size + std::min<std::uint64_t>(free_.size, walker_.group_count() - started_);
}

EuWork EuDispatch::take_new_work() {
  EuWork sum = work_;
  for (const auto& resident : residents_) {
    if (!resident->group.ended() && !resident->fresh) sum += resident->work();
  }
  EuWork fresh = sum;
  fresh -= work_told_;
  work_told_ = sum;
  return fresh;
}

}  // namespace softxe
