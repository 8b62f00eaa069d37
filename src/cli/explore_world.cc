#include "cli/explore_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace softxe::scenario {

namespace {

using Store = explore::History::Store;

explore::Bytes bytes_of(Span span) { return {span.start, span.size}; }
explore::Bytes bytes_of(const Access& access) { return {access.address, access.bytes}; }

Store store_of(const Access& access) {
  Store store{.where = bytes_of(access)};
  if (access.bytes < 4) return store;
  store.low = static_cast<std::uint32_t>(access.value);
  if (access.bytes == 8) store.high = static_cast<std::uint32_t>(access.value >> 32);
  return store;
}

Store fill_of(Span span, std::uint8_t value) { return {.where = bytes_of(span), .low = value * 0x01010101u}; }
Store zeroes_of(Span span) { return {.where = bytes_of(span), .low = 0}; }

}  // namespace

/// Only the mirrored process is judged: what a child sees of a page is a copy from some moment of its fork.
template <typename Do>
Status ExploreWorld::storing(const std::string& process, const Store& store, Do call) {
  if (!process.empty()) return call();
  const std::size_t noted = history_.begins(store);
  const Status done = call();
  history_.ended(noted, done ? explore::History::Result::kDone : explore::History::Result::kUnknown);
  return done;
}

template <typename Do>
Result<std::uint64_t> ExploreWorld::loading(const std::string& process, const Access& access, Do call) {
  if (!process.empty()) return call();
  const std::uint64_t began = history_.now();
  Result<std::uint64_t> found = call();
  if (!found || anything_) return found;
  if (std::string why = history_.loaded(bytes_of(access), *found, began); !why.empty() && unexplained_.empty()) {
    unexplained_ = scheduler_.name_of(scheduler_.current()) + ": " + why;
  }
  return found;
}

/// What stands behind an object or nothing at all is no memory of the client.
Status ExploreWorld::bind(const BindSpec& spec) {
  if (spec.what != BindSpec::What::kMirror && spec.what != BindSpec::What::kUnbind) stores_anything();
  return SimWorld::bind(spec);
}

// --- the client -------------------------------------------------------------------------------------------

Status ExploreWorld::cpu_mmap(const std::string& process, const CpuMmap& call) {
  if (call.backing != Backing::kAnon) has_objects_ = true;
  return storing(process, zeroes_of(call.span), [&] { return SimWorld::cpu_mmap(process, call); });
}

Status ExploreWorld::cpu_munmap(const std::string& process, Span span) {
  return storing(process, zeroes_of(span), [&] { return SimWorld::cpu_munmap(process, span); });
}

Status ExploreWorld::cpu_mremap(const std::string& process, const CpuMremap& call) {
  stores_anything();
  return SimWorld::cpu_mremap(process, call);
}

Status ExploreWorld::cpu_madvise(const std::string& process, const CpuMadvise& call) {
  if (call.advice == "dontneed") {
    return storing(process, zeroes_of(call.span), [&] { return SimWorld::cpu_madvise(process, call); });
  }
  const bool may_drop = call.advice == "free" || call.advice == "remove";
  if (!may_drop) return SimWorld::cpu_madvise(process, call);
  Store store = zeroes_of(call.span);
  store.maybe = true;
  return storing(process, store, [&] { return SimWorld::cpu_madvise(process, call); });
}

Result<std::uint64_t> ExploreWorld::cpu_read(const std::string& process, const Access& access) {
  return loading(process, access, [&] { return SimWorld::cpu_read(process, access); });
}

Status ExploreWorld::cpu_write(const std::string& process, const Access& access) {
  return storing(process, store_of(access), [&] { return SimWorld::cpu_write(process, access); });
}

Status ExploreWorld::cpu_fill(const std::string& process, Span span, std::uint8_t value) {
  return storing(process, fill_of(span, value), [&] { return SimWorld::cpu_fill(process, span, value); });
}

// --- the GPU ----------------------------------------------------------------------------------------------

Result<std::uint64_t> ExploreWorld::gpu_read(const GpuTarget& gpu, const Access& access) {
  return loading({}, access, [&] { return SimWorld::gpu_read(gpu, access); });
}

Status ExploreWorld::gpu_write(const GpuTarget& gpu, const Access& access) {
  return storing({}, store_of(access), [&] { return SimWorld::gpu_write(gpu, access); });
}

Result<std::uint64_t> ExploreWorld::gpu_atomic(const GpuTarget& gpu, const Access& access) {
  std::uint64_t old = 0;
  SX_TRY_VOID(storing({}, {.where = bytes_of(access)}, [&]() -> Status {
    SX_TRY(old, SimWorld::gpu_atomic(gpu, access));
    return {};
  }));
  return old;
}

Status ExploreWorld::gpu_copy(const GpuTarget& gpu, std::uint64_t to, Span from) {
  return storing({}, {.where = {to, from.size}}, [&] { return SimWorld::gpu_copy(gpu, to, from); });
}

Status ExploreWorld::gpu_fill(const GpuTarget& gpu, Span span, std::uint8_t value) {
  return storing({}, fill_of(span, value), [&] { return SimWorld::gpu_fill(gpu, span, value); });
}

/// What code stores is not known.
Status ExploreWorld::gpu_kernel(const KernelSpec& kernel) {
  stores_anything();
  return SimWorld::gpu_kernel(kernel);
}

/// A batch is carried out at some time, or never; as long as nobody changes it it stores what it says.
void ExploreWorld::note_stores(const ExecSpec& spec) {
  if (!spec.batch.empty()) batches_[spec.address] = spec.batch;
  const auto batch = batches_.find(spec.address);
  if (batch == batches_.end()) return stores_anything();
  for (const BatchCommand& command : batch->second) {
    if (command.kind != BatchCommand::Kind::kStore) continue;
    history_.begins({.where = {command.address, sizeof command.value}, .low = command.value, .maybe = true});
  }
}

Status ExploreWorld::exec(const ExecSpec& spec) {
  note_stores(spec);
  return SimWorld::exec(spec);
}

// --- judging ----------------------------------------------------------------------------------------------

ThreadStarter ExploreWorld::flows_named(const std::string& kind, Uses uses) {
  return [this, kind, uses](std::function<void()> body) -> std::function<void()> {
    const unsigned number = ++made_[kind];
    const std::string name = number == 1 ? kind : fmt::format("{}{}", kind, number);
    const explore::ActorIndex actor = scheduler_.spawn(name, std::move(body), uses);
    return [this, actor] { scheduler_.join(actor); };
  };
}

std::string ExploreWorld::look() {
  if (!unexplained_.empty()) return unexplained_;
  if (!scheduler_.nobody_holds_locks()) return {};
  const explore::Scheduler::Pause pause;
  const std::string broken = broken_vm();
  return broken.empty() ? broken : "an invariant is broken: " + broken;
}

void ExploreWorld::rests() {
  const explore::Scheduler::Pause pause;
  if (garbage_left() && unexplained_.empty()) unexplained_ = "at rest, dead ranges are left: a collector slept through";
}

void ExploreWorld::heard(std::span<const Event> events) {
  for (const Event& event : events) {
    if (event.kind == EventKind::kRangeDie) died_.push_back({event.asid, {event.address, event.size}, {}});
  }
  for (const Event& event : events) {
    if (event.kind != EventKind::kAdvice) continue;
    for (Died& died : died_) died.advised.push_back({event.address, event.size});
  }
}

/// Page by page: what was advised since, or beside the death, may have any attributes.
std::string ExploreWorld::lost_reset() {
  const explore::Scheduler::Pause pause;
  for (const Died& died : died_) {
    for (std::uint64_t at = died.span.start; at < died.span.end(); at += kPageSize) {
      const bool advised = std::any_of(died.advised.begin(), died.advised.end(),
                                       [at](const Span& s) { return s.start <= at && at < s.end(); });
      if (advised) continue;
      if (std::string lost = not_reset(died.asid, {at, kPageSize}); !lost.empty()) return lost;
    }
  }
  return {};
}

ExploreWorld::PeekedWord ExploreWorld::peek_word(std::uint64_t at) {
  const SimHostMm::Peeked found = machine()->peek(HostVa(at).aligned_down(kPageSize));
  PeekedWord word{.page = found.state};
  if (found.bytes != nullptr) std::memcpy(&word.value, found.bytes + (at % kPageSize), sizeof word.value);
  return word;
}

std::string ExploreWorld::unexplained() {
  if (!unexplained_.empty() || anything_ || machine() == nullptr) return unexplained_;
  const explore::Scheduler::Pause pause;
  for (std::uint64_t at : history_.words()) {
    const PeekedWord word = peek_word(at);
    if (word.page == SimHostMm::PageState::kUnmapped || word.page == SimHostMm::PageState::kGuard) continue;
    const std::string why = history_.loaded({at, sizeof word.value}, word.value, history_.now());
    if (!why.empty()) return "at rest: " + why;
  }
  return {};
}

std::string ExploreWorld::leak() {
  end_all();
  if (machine() == nullptr) return {};
  const explore::Scheduler::Pause pause;
  if (std::string stale = machine()->stored_after_free(); !stale.empty()) return stale;
  std::string text = still_in_use();
  if (const std::uint64_t frames = machine()->frames_in_use(); frames != 0 && !has_objects_)
    text += fmt::format("{} frames; ", frames);
  return text.empty() ? text : "a leak: " + text.substr(0, text.size() - 2) + " in use when everything has ended";
}

std::uint64_t ExploreWorld::fingerprint() {
  const explore::Scheduler::Pause pause;
  explore::Fingerprint seen;
  for (const std::string& name : vm_names()) {
    seen.add(1);
    for (const VmaInfo& vma : vmas(name).value_or(std::vector<VmaInfo>())) {
      seen.add(vma.span.start);
      seen.add(vma.span.size);
      seen.add(static_cast<std::uint64_t>(vma.atomic) << 16 | static_cast<std::uint64_t>(vma.preferred.kind) << 8 |
               vma.pat);
    }
    for (const RangeInfo& range : ranges(name).value_or(std::vector<RangeInfo>())) {
      seen.add(range.span.start);
      seen.add(range.span.size | (range.dead ? 1 : 0) | (range.mapped ? 2 : 0) | (range.vram ? 4 : 0));
    }
  }
  for (std::uint64_t at : history_.words()) {
    const PeekedWord word = peek_word(at);
    seen.add(static_cast<std::uint64_t>(word.page) << 32 | word.value);
  }
  return seen.value();
}

}  // namespace softxe::scenario
