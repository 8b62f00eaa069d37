// Process: the simulated one and this one behind one set of calls.
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <span>

#include "base/guarded.h"
#include "embed/impl.h"

namespace softxe::api {
namespace {

/// How far the heap may grow before its new pages are not known any more.
constexpr std::uint64_t kHeapRoomBytes = 1 * k1G;

// What engine calls execute and read may never be in VRAM: this library or program, libc and the
// loader.
int pin_object(dl_phdr_info* info, std::size_t, void* argument) {
  const auto pages = live::loaded_pages(*info);
  if (!pages) return 0;
  const std::string_view path = info->dlpi_name;
  const std::string_view file = path.substr(path.rfind('/') + 1);
  const bool needed = pages->contains(HostVa(reinterpret_cast<std::uint64_t>(&pin_object))) ||
                      file.starts_with("libc.so") || file.starts_with("ld-linux") || file.starts_with("libstdc++");
  if (needed) static_cast<live::LiveHostMm*>(argument)->pin(*pages);
  return 0;
}

void pin_engine(live::LiveHostMm& mm) {
  dl_iterate_phdr(pin_object, &mm);
  const auto heap_end = reinterpret_cast<std::uint64_t>(sbrk(0));
  // The heap has no start that one could ask for; the mapping that holds its last page begins
  // there.
  std::uint64_t heap_start = heap_end;
  if (auto heap = mm.find_vma(HostVa(heap_end - kPageSize)); heap) {
    heap_start = heap->range.start().value();
  }
  mm.pin(HostRange::between(HostVa(align_down(heap_start, kPageSize)),
                            HostVa(align_up(heap_end + kHeapRoomBytes, kPageSize))));
}

Status from_kernel(long result) {
  if (result >= 0 || result < -4095) return {};
  return Error{static_cast<int>(-result), "refused by the kernel"};
}

softxe::Result<HostRange> host_range(Range range) { return HostRange::make(HostVa(range.start), range.bytes); }

Prot sim_protection(Protection protection) {
  switch (protection) {
    case Protection::kNone: return Prot::kNone;
    case Protection::kRead: return Prot::kRead;
    case Protection::kReadWrite: break;
  }
  return Prot::kReadWrite;
}

long live_protection(Protection protection) {
  switch (protection) {
    case Protection::kNone: return PROT_NONE;
    case Protection::kRead: return PROT_READ;
    case Protection::kReadWrite: break;
  }
  return PROT_READ | PROT_WRITE;
}

long word(std::uint64_t value) { return static_cast<long>(value); }

}  // namespace

Process::Impl::~Impl() {
  const EngineCall call;
  if (hooked) static_cast<void>(aim_hooks(nullptr));
  if (sim) sim->cpu_exit(Pid::kMain);
  live.reset();  // before the devices of the graveyard: it drops what is left in their VRAM
}

Result<Process> Process::simulated() {
  auto impl = std::make_shared<Impl>();
  impl->sim = std::make_unique<SimHostMm>(impl->manual_clock);
  return Process(std::move(impl));
}

Result<Process> Process::live(const LiveOptions& options) {
  const EngineCall call;
  auto impl = std::make_shared<Impl>();
  if (options.hooks == LiveOptions::Hooks::kPatchLibc) {
    if (softxe::Status patched = patch_libc(); !patched) return to_api(patched.error());
  }
  live::LiveOptions live_options;
  live_options.dma = options.dma == LiveOptions::Dma::kCopy ? live::DmaMode::kCopy : live::DmaMode::kMove;
  auto made = live::LiveHostMm::create(live_options);
  if (!made) return to_api(made.error());
  impl->live = std::move(*made);
  pin_engine(*impl->live);
  if (options.signals == LiveOptions::Signals::kInstall) guarded_install_handler();
  if (options.hooks == LiveOptions::Hooks::kPatchLibc) {
    if (softxe::Status aimed = aim_hooks(impl->live.get()); !aimed) return to_api(aimed.error());
    impl->hooked = true;
  }
  return Process(std::move(impl));
}

bool Process::is_simulated() const { return impl_->sim != nullptr; }

bool Process::can_migrate() const { return impl_->sim != nullptr || impl_->live->rung() == live::Rung::kFull; }

// --- system calls -------------------------------------------------------------------------------------------------

long Process::system_call(long number, const std::array<long, 6>& arguments) {
  if (!impl_->live) return -ENOSYS;
  const EngineCall call;
  return impl_->live->hook_syscall(number, arguments);
}

Result<std::uint64_t> Process::map(std::uint64_t bytes, std::uint64_t at) {
  const EngineCall call;
  if (impl_->sim) {
    MmapRequest request{.size_bytes = bytes, .at = HostVa(at)};
    if (at != 0) request.place = MmapRequest::Place::kFixedNoReplace;
    auto mapped = impl_->sim->cpu_mmap(request);
    if (!mapped) return to_api(mapped.error());
    return mapped->value();
  }
  long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (at != 0) flags |= MAP_FIXED_NOREPLACE;
  const long got = system_call(SYS_mmap, {word(at), word(bytes), PROT_READ | PROT_WRITE, flags, -1, 0});
  if (Status status = from_kernel(got); !status) return status.error();
  return static_cast<std::uint64_t>(got);
}

Status Process::unmap(Range range) {
  const EngineCall call;
  if (impl_->live) return from_kernel(system_call(SYS_munmap, {word(range.start), word(range.bytes)}));
  auto host = host_range(range);
  return to_api(host ? impl_->sim->cpu_munmap(*host) : softxe::fail(host.error()));
}

Status Process::protect(Range range, Protection protection) {
  const EngineCall call;
  if (impl_->live) {
    return from_kernel(system_call(SYS_mprotect, {word(range.start), word(range.bytes), live_protection(protection)}));
  }
  auto host = host_range(range);
  return to_api(host ? impl_->sim->cpu_mprotect(*host, sim_protection(protection)) : softxe::fail(host.error()));
}

Status Process::discard(Range range) {
  const EngineCall call;
  if (impl_->live) {
    return from_kernel(system_call(SYS_madvise, {word(range.start), word(range.bytes), MADV_DONTNEED}));
  }
  auto host = host_range(range);
  return to_api(host ? impl_->sim->cpu_madvise(*host, CpuAdvice::kDontNeed) : softxe::fail(host.error()));
}

Result<std::uint64_t> Process::remap(Range range, std::uint64_t new_bytes) {
  const EngineCall call;
  if (impl_->live) {
    const long got = system_call(SYS_mremap, {word(range.start), word(range.bytes), word(new_bytes), MREMAP_MAYMOVE});
    if (Status status = from_kernel(got); !status) return status.error();
    return static_cast<std::uint64_t>(got);
  }
  auto host = host_range(range);
  if (!host) return to_api(host.error());
  auto moved = impl_->sim->cpu_mremap({.old = *host, .new_size_bytes = new_bytes});
  if (!moved) return to_api(moved.error());
  return moved->value();
}

// --- loads and stores ---------------------------------------------------------------------------------------------

Status Process::read(std::uint64_t at, void* to, std::size_t bytes) {
  if (impl_->sim) {
    return to_api(impl_->sim->cpu_read(HostVa(at), {static_cast<std::byte*>(to), bytes}));
  }
  if (guarded_copy(to, reinterpret_cast<const void*>(at), bytes)) return {};
  return Error{EFAULT, "the memory cannot be read"};
}

Status Process::write(std::uint64_t at, const void* from, std::size_t bytes) {
  if (impl_->sim) {
    return to_api(impl_->sim->cpu_write(HostVa(at), {static_cast<const std::byte*>(from), bytes}));
  }
  if (guarded_copy(reinterpret_cast<void*>(at), from, bytes)) return {};
  return Error{EFAULT, "the memory cannot be written"};
}

PageState Process::page_state(std::uint64_t at) {
  const EngineCall call;
  HostMm& host = impl_->host();
  const HostVa page = HostVa(at).aligned_down(kPageSize);
  if (!host.find_vma(page)) return PageState::kUnmapped;
  const HostRange range = HostRange::of(page, kPageSize);
  if (host.populated(range, OwnerGroup::kNobody)) return PageState::kSystem;
  return host.populated(range, softxe::Device::kOwnerGroup) ? PageState::kVram : PageState::kAbsent;
}

void Process::advance_ns(std::uint64_t ns) { impl_->manual_clock.advance_ns(ns); }

void Process::before_fork() {
  if (impl_->live) impl_->live->fork_before();
}
void Process::after_fork_in_parent() {
  if (impl_->live) impl_->live->fork_after_parent();
}
void Process::after_fork_in_child() {
  if (impl_->live) impl_->live->fork_after_child();
}

bool Process::fixed_up(void* ucontext) { return guarded_fixup(static_cast<ucontext_t*>(ucontext)); }

}  // namespace softxe::api
