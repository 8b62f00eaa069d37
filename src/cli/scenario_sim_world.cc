// SimWorld: the machine, and the system calls, loads and stores of its processes.
#include <vector>

#include "base/guarded.h"
#include "cli/scenario_sim_world.h"

namespace softxe::scenario {
namespace {

Prot prot_of(Protection protection) {
  switch (protection) {
    case Protection::kNone: return Prot::kNone;
    case Protection::kRead: return Prot::kRead;
    case Protection::kReadWrite: return Prot::kReadWrite;
  }
  return Prot::kNone;
}

CpuVma::Kind kind_of(Backing backing) {
  switch (backing) {
    case Backing::kAnon: return CpuVma::Kind::kAnonPrivate;
    case Backing::kShmem: return CpuVma::Kind::kShmem;
    case Backing::kFile: return CpuVma::Kind::kFile;
    case Backing::kHugetlb: return CpuVma::Kind::kHugetlb;
    case Backing::kDevice: return CpuVma::Kind::kDevice;
  }
  return CpuVma::Kind::kSpecial;
}

struct AdviceName {
  const char* name;
  CpuAdvice advice;
};
constexpr AdviceName kAdvices[] = {
    {"normal", CpuAdvice::kNormal},
    {"dontneed", CpuAdvice::kDontNeed},
    {"free", CpuAdvice::kFree},
    {"remove", CpuAdvice::kRemove},
    {"pageout", CpuAdvice::kPageout},
    {"cold", CpuAdvice::kCold},
    {"populate_read", CpuAdvice::kPopulateRead},
    {"populate_write", CpuAdvice::kPopulateWrite},
    {"guard_install", CpuAdvice::kGuardInstall},
    {"guard_remove", CpuAdvice::kGuardRemove},
    {"dontfork", CpuAdvice::kDontFork},
    {"dofork", CpuAdvice::kDoFork},
};

Result<HostRange> host_range(Span span) { return HostRange::make(HostVa(span.start), span.size); }

}  // namespace

SimWorld::~SimWorld() {
  end_all();
  close_devices();
}

void SimWorld::end_all() {
  close_vms();
  for (const auto& [name, pid] : processes_) {
    if (mm_) mm_->cpu_exit(pid);
  }
}

// --- the machine ----------------------------------------------------------------------------------

Status SimWorld::host_option(const std::string& key, const std::string& value) {
  if (key != "order" || (value != "before" && value != "after")) {
    return fail(EINVAL, "unknown device option for the simulated backend");
  }
  options_.order = value == "after" ? NotifyOrder::kAfter : NotifyOrder::kBefore;
  return {};
}

Result<HostMm*> SimWorld::host() {
  if (!mm_) {
    // A userptr's entries hold addresses of the client, which is not there: the engine's accesses are refused.
    guarded_install_handler();
    mm_ = std::make_unique<SimHostMm>(clock_, options_);
  }
  return mm_.get();
}

Status SimWorld::evict_pages(Span span) {
  for (std::uint64_t at = align_down(span.start, kPageSize); at < span.end(); at += kPageSize) {
    if (DevmemAllocation* allocation = mm_->allocation_at(HostVa(at))) {
      SX_TRY_VOID(mm_->evict(*allocation));
    }
  }
  return {};
}

void SimWorld::check_host() {
  if (mm_) mm_->check_invariants();
}

Status SimWorld::sleep_ns(std::uint64_t ns) {
  clock_.advance_ns(ns);
  return {};
}

// --- the client -----------------------------------------------------------------------------------

Result<Pid> SimWorld::find_pid(const std::string& process) {
  if (!mm_) return fail(ENODEV, "a device line comes first");
  auto it = processes_.find(process);
  if (it == processes_.end()) return fail(ESRCH, "no process of that name");
  return it->second;
}

Status SimWorld::cpu_mmap(const std::string& process, const CpuMmap& call) {
  SX_TRY(Pid pid, find_pid(process));
  std::shared_ptr<SimObject> object;
  if (call.file_bytes != 0) {
    object = std::make_shared<SimObject>();
    object->size_bytes = call.file_bytes;
  }
  SX_TRY_VOID(mm_->cpu_mmap({.size_bytes = call.span.size,
                             .at = HostVa(call.span.start),
                             .place = MmapRequest::Place::kFixed,
                             .kind = kind_of(call.backing),
                             .prot = prot_of(call.prot),
                             .share = call.shared ? Share::kShared : Share::kPrivate,
                             .object = std::move(object)},
                            pid));
  return {};
}

Status SimWorld::cpu_munmap(const std::string& process, Span span) {
  SX_TRY(Pid pid, find_pid(process));
  SX_TRY(HostRange range, host_range(span));
  return mm_->cpu_munmap(range, pid);
}

Status SimWorld::cpu_mremap(const std::string& process, const CpuMremap& call) {
  SX_TRY(Pid pid, find_pid(process));
  SX_TRY(HostRange old, host_range(call.old));
  MremapRequest request{.old = old, .new_size_bytes = call.new_size};
  if (call.to) request.to = HostVa(*call.to);
  if (call.to) request.move = MremapRequest::Move::kFixed;
  if (call.dont_unmap) request.move = MremapRequest::Move::kDontUnmap;
  SX_TRY_VOID(mm_->cpu_mremap(request, pid));
  return {};
}

Status SimWorld::cpu_mprotect(const std::string& process, Span span, Protection prot) {
  SX_TRY(Pid pid, find_pid(process));
  SX_TRY(HostRange range, host_range(span));
  return mm_->cpu_mprotect(range, prot_of(prot), pid);
}

Status SimWorld::cpu_madvise(const std::string& process, const CpuMadvise& call) {
  SX_TRY(Pid pid, find_pid(process));
  SX_TRY(HostRange range, host_range(call.span));
  for (const AdviceName& entry : kAdvices) {
    if (call.advice == entry.name) return mm_->cpu_madvise(range, entry.advice, pid);
  }
  return fail(EINVAL, "no such advice");
}

Status SimWorld::cpu_mlock(const std::string& process, Span span) {
  SX_TRY(Pid pid, find_pid(process));
  SX_TRY(HostRange range, host_range(span));
  return mm_->cpu_mlock(range, pid);
}

Status SimWorld::cpu_munlock(const std::string& process, Span span) {
  SX_TRY(Pid pid, find_pid(process));
  SX_TRY(HostRange range, host_range(span));
  return mm_->cpu_munlock(range, pid);
}

Status SimWorld::cpu_fork(const std::string& process, const std::string& child) {
  SX_TRY(Pid pid, find_pid(process));
  if (processes_.contains(child)) return fail(EEXIST, "a process of that name exists");
  SX_TRY(processes_[child], mm_->cpu_fork(pid));
  return {};
}

Status SimWorld::cpu_exit(const std::string& process) {
  SX_TRY(Pid pid, find_pid(process));
  mm_->cpu_exit(pid);
  return {};
}

Result<std::uint64_t> SimWorld::cpu_read(const std::string& process, const Access& access) {
  SX_TRY(Pid pid, find_pid(process));
  std::uint64_t value = 0;
  auto bytes = std::as_writable_bytes(std::span(&value, 1)).first(access.bytes);
  SX_TRY_VOID(mm_->cpu_read(HostVa(access.address), bytes, pid));
  return value;
}

Status SimWorld::cpu_write(const std::string& process, const Access& access) {
  SX_TRY(Pid pid, find_pid(process));
  auto bytes = std::as_bytes(std::span(&access.value, 1)).first(access.bytes);
  return mm_->cpu_write(HostVa(access.address), bytes, pid);
}

Status SimWorld::cpu_fill(const std::string& process, Span span, std::uint8_t value) {
  SX_TRY(Pid pid, find_pid(process));
  std::vector<std::byte> bytes(span.size, std::byte{value});
  return mm_->cpu_write(HostVa(span.start), bytes, pid);
}

Status SimWorld::cpu_pin(std::uint64_t address) { return mm_->pin(HostVa(address)); }

Status SimWorld::cpu_unpin(std::uint64_t address) {
  mm_->unpin(HostVa(address));
  return {};
}

Result<std::string> SimWorld::page(const std::string& process, std::uint64_t address) {
  SX_TRY(Pid pid, find_pid(process));
  using State = SimHostMm::PageState;
  switch (mm_->page_state(HostVa(address), pid)) {
    case State::kUnmapped: return std::string("unmapped");
    case State::kHole: return std::string("hole");
    case State::kZero: return std::string("zero");
    case State::kSystem: return std::string("system");
    case State::kSwapped: return std::string("swapped");
    case State::kGuard: return std::string("guard");
    case State::kDevice: break;
  }
  return vram_name(mm_->allocation_at(HostVa(address))->heap);
}

}  // namespace softxe::scenario
