#include "cli/scenario_live_world.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <ctime>

namespace softxe::scenario {
namespace {

using live_client::Call;
using live_client::Object;
using live_client::Op;

// Values the headers of Debian 12 may lack.
constexpr int kPopulateRead = 22;
constexpr int kPopulateWrite = 23;
constexpr int kGuardInstall = 102;
constexpr int kGuardRemove = 103;
constexpr int kMremapDontUnmap = 4;

long prot_of(Protection protection) {
  switch (protection) {
    case Protection::kNone: return PROT_NONE;
    case Protection::kRead: return PROT_READ;
    case Protection::kReadWrite: return PROT_READ | PROT_WRITE;
  }
  return PROT_NONE;
}

Object object_of(const CpuMmap& call) {
  switch (call.backing) {
    case Backing::kAnon:
    case Backing::kHugetlb: return Object::kNone;
    case Backing::kShmem: return Object::kShmem;
    case Backing::kFile: return Object::kFile;
    case Backing::kDevice: return Object::kDevice;
  }
  return Object::kNone;
}

struct AdviceName {
  const char* name;
  int advice;
};
constexpr AdviceName kAdvices[] = {
    {"normal", MADV_NORMAL},          {"dontneed", MADV_DONTNEED},        {"free", MADV_FREE},
    {"remove", MADV_REMOVE},          {"pageout", MADV_PAGEOUT},          {"cold", MADV_COLD},
    {"populate_read", kPopulateRead}, {"populate_write", kPopulateWrite}, {"guard_install", kGuardInstall},
    {"guard_remove", kGuardRemove},   {"dontfork", MADV_DONTFORK},        {"dofork", MADV_DOFORK},
};

long word(std::uint64_t value) { return static_cast<long>(value); }

}  // namespace

LiveWorld::~LiveWorld() {
  close_vms();
  // Pages leave VRAM before the device goes, and the device's windows before the memory they are part of.
  static_cast<void>(evict({}));
  close_devices();
  mm_.reset();
  for (const Span& span : ours_) munmap(reinterpret_cast<void*>(span.start), span.size);
}

// --- the machine ------------------------------------------------------------------------------------------

Status LiveWorld::host_option(const std::string& key, const std::string& value) {
  if (key == "order" && value == "before") return {};
  if (key != "dma" || (value != "move" && value != "copy")) {
    return fail(EINVAL, "unknown device option for the live backend");
  }
  options_.dma = value == "copy" ? live::DmaMode::kCopy : live::DmaMode::kMove;
  return {};
}

Result<HostMm*> LiveWorld::host() {
  if (!mm_) {
    options_.is_device_mapping = live_client::is_device_object;
    SX_TRY(mm_, live::LiveHostMm::create(options_));
    if (mm_->rung() != live::Rung::kFull) return fail(ENOTSUP, "live memory is not available here");
  }
  return mm_.get();
}

// The VRAM allocations cannot be asked for by address, but each was made for one range.
Status LiveWorld::evict_pages(Span span) {
  const Span whole = around_vram_ranges(span);
  return mm_->migrate_to_system(HostRange::of(HostVa(whole.start), whole.size), MoveCause::kEviction,
                                Residency::kIgnore);
}

// Whoever was served under the mm lock has been counted under it.
void LiveWorld::settle() {
  if (!mm_) return;
  static_cast<void>(
      mm_->migrate_to_system(HostRange::of(HostVa(kPageSize), kPageSize), MoveCause::kEviction, Residency::kIgnore));
}

Status LiveWorld::sleep_ns(std::uint64_t ns) {
  timespec time{.tv_sec = static_cast<time_t>(ns / 1'000'000'000), .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
  while (nanosleep(&time, &time) != 0 && errno == EINTR) {
  }
  return {};
}

Result<std::string> LiveWorld::vram_of(HostVa page) {
  const HostRange range = HostRange::of(page, kPageSize);
  for (const auto& card : cards()) {
    for (unsigned tile = 0; tile < card->device->vram_tiles(); ++tile) {
      const OwnerGroup owner = card->device->pagemap(tile)->owner();
      // The process has no page there, so only VRAM of this owner counts as populated; then collecting
      // the page looks and does not touch.
      if (!mm_->populated(range, owner)) continue;
      PageHomes homes;
      SX_TRY_VOID(mm_->collect(range, {.intent = CollectRequest::Intent::kRead, .owner = owner}, homes));
      const PageHome home = homes[0];
      if (home.where == PageHome::Where::kDevice) return vram_name(home.allocation->heap);
    }
  }
  return std::string("hole");
}

Result<std::string> LiveWorld::page(const std::string& process, std::uint64_t address) {
  Call call;
  call.op = Op::kPage;
  call.address = address;
  SX_TRY(std::uint64_t word, perform(process, call));
  if ((word & live_client::kMapped) == 0) return std::string("unmapped");
  if ((word & live_client::kGuard) != 0) return std::string("guard");
  if ((word & live_client::kZero) != 0) return std::string("zero");
  if ((word & live_client::kPresent) != 0) return std::string("system");
  if ((word & live_client::kSwapped) != 0) return std::string("swapped");
  if (!process.empty()) return std::string("hole");
  return vram_of(HostVa(address).aligned_down(kPageSize));
}

// --- the client -------------------------------------------------------------------------------------------

Result<std::uint64_t> LiveWorld::perform(const std::string& process, const Call& call) {
  if (!process.empty()) return children_.call(process, call);
  if (!mm_) return fail(ENODEV, "a device line comes first");
  const live_client::Reply reply = live_client::perform(call, mm_.get());
  if (reply.err != 0) return fail(reply.err, "refused by the kernel");
  return reply.value;
}

Status LiveWorld::system_call(const std::string& process, long number, const std::array<long, 6>& args) {
  Call call{.op = Op::kSyscall, .number = number, .args = args};
  SX_TRY_VOID(perform(process, call));
  return {};
}

Status LiveWorld::claim(Span span) {
  std::vector<Span> missing{
      {align_down(span.start, kPageSize), align_up(span.end(), kPageSize) - align_down(span.start, kPageSize)}};
  for (const Span& have : ours_) {
    std::vector<Span> left;
    for (const Span& piece : missing) {
      if (have.end() <= piece.start || piece.end() <= have.start) {
        left.push_back(piece);
        continue;
      }
      if (piece.start < have.start) left.push_back({piece.start, have.start - piece.start});
      if (have.end() < piece.end()) left.push_back({have.end(), piece.end() - have.end()});
    }
    missing = std::move(left);
  }
  for (const Span& piece : missing) {
    void* at = mmap(reinterpret_cast<void*>(piece.start), piece.size, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == MAP_FAILED) return fail(errno, "the scenario's addresses are in use by this process");
    munmap(at, piece.size);
    ours_.push_back(piece);
  }
  return {};
}

Status LiveWorld::cpu_mmap(const std::string& process, const CpuMmap& call) {
  if (process.empty() && call.span.size != 0) SX_TRY_VOID(claim(call.span));
  long flags = MAP_FIXED;
  const Object object = object_of(call);
  const bool shared = call.shared || object == Object::kShmem || object == Object::kDevice;
  flags |= shared ? MAP_SHARED : MAP_PRIVATE;
  if (object == Object::kNone) flags |= MAP_ANONYMOUS | MAP_NORESERVE;
  if (call.backing == Backing::kHugetlb) flags |= MAP_HUGETLB;
  Call made{.op = Op::kMmap, .object = object};
  made.args = {word(call.span.start), word(call.span.size), prot_of(call.prot), flags, -1, 0};
  made.bytes = call.file_bytes != 0 ? call.file_bytes : call.span.size;
  SX_TRY_VOID(perform(process, made));
  return {};
}

Status LiveWorld::cpu_munmap(const std::string& process, Span span) {
  return system_call(process, SYS_munmap, {word(span.start), word(span.size)});
}

Status LiveWorld::cpu_mremap(const std::string& process, const CpuMremap& call) {
  long flags = MREMAP_MAYMOVE;
  if (call.dont_unmap) flags |= kMremapDontUnmap;
  if (call.to) {
    flags |= MREMAP_FIXED;
    if (process.empty()) SX_TRY_VOID(claim({*call.to, call.new_size}));
  }
  return system_call(
      process, SYS_mremap,
      {word(call.old.start), word(call.old.size), word(call.new_size), flags, word(call.to.value_or(0))});
}

Status LiveWorld::cpu_mprotect(const std::string& process, Span span, Protection prot) {
  return system_call(process, SYS_mprotect, {word(span.start), word(span.size), prot_of(prot)});
}

Status LiveWorld::cpu_madvise(const std::string& process, const CpuMadvise& call) {
  for (const AdviceName& entry : kAdvices) {
    if (call.advice != entry.name) continue;
    return system_call(process, SYS_madvise, {word(call.span.start), word(call.span.size), entry.advice});
  }
  return fail(EINVAL, "no such advice");
}

Status LiveWorld::cpu_mlock(const std::string& process, Span span) {
  return system_call(process, SYS_mlock, {word(span.start), word(span.size)});
}

Status LiveWorld::cpu_munlock(const std::string& process, Span span) {
  return system_call(process, SYS_munlock, {word(span.start), word(span.size)});
}

Status LiveWorld::cpu_fork(const std::string& process, const std::string& child) {
  if (!mm_) return fail(ENODEV, "a device line comes first");
  if (!process.empty()) return fail(ENOTSUP, "children of children: simulated memory only");
  if (children_.has(child)) return fail(EEXIST, "a process of that name exists");
  return children_.fork_child(child, *mm_);
}

Status LiveWorld::cpu_exit(const std::string& process) {
  if (process.empty()) return fail(ENOTSUP, "the mirrored process ends on simulated memory only");
  SX_TRY_VOID(perform(process, {.op = Op::kExit}));
  return {};
}

Result<std::uint64_t> LiveWorld::cpu_read(const std::string& process, const Access& access) {
  Call call{.op = Op::kLoad, .address = access.address, .bytes = access.bytes};
  return perform(process, call);
}

Status LiveWorld::cpu_write(const std::string& process, const Access& access) {
  Call call{.op = Op::kStore, .address = access.address, .bytes = access.bytes, .value = access.value};
  SX_TRY_VOID(perform(process, call));
  return {};
}

Status LiveWorld::cpu_fill(const std::string& process, Span span, std::uint8_t value) {
  Call call{.op = Op::kFill, .address = span.start, .bytes = span.size, .value = value};
  SX_TRY_VOID(perform(process, call));
  return {};
}

Status LiveWorld::cpu_pin(std::uint64_t) { return fail(ENOTSUP, "pins: simulated memory only"); }
Status LiveWorld::cpu_unpin(std::uint64_t) { return fail(ENOTSUP, "pins: simulated memory only"); }

}  // namespace softxe::scenario
