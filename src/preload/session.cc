#include "preload/session.h"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/call_stack.h"
#include "base/engine_memory.h"
#include "base/log.h"
#include "base/raised_limit.h"
#include "base/raw_syscall.h"
#include "preload/engine_alloc.h"
#include "preload/engine_fds.h"
#include "preload/engine_scope.h"
#include "preload/environment.h"
#include "preload/fd_owner.h"
#include "preload/fd_table.h"
#include "preload/fork_image.h"
#include "preload/hooks.h"
#include "preload/paths.h"
#include "preload/signals.h"
#include "preload/slots.h"
#include "preload/thread_ends.h"
#include "preload/threads.h"

namespace softxe::preload {
namespace {

/// Made in the constructor when a run is active, never destroyed.
struct Run {
  explicit Run(Settings s) : settings(std::move(s)), paths(settings.run_dir + "/tree") {}
  Settings settings;
  PathMap paths;
};
constinit Run* run = nullptr;

constinit std::atomic<Session*> current{nullptr};
constinit std::atomic<live::LiveHostMm*> current_mm{nullptr};
constinit std::atomic<std::uint64_t> generation_now{1};
// Plain and outside the rank table: making a session takes every lock there is.
constinit std::atomic<pthread_mutex_t*> make_lock{nullptr};

/// 1 on a page that the kernel wipes at every fork; no page before the first session.
constinit std::atomic<std::atomic<std::uint32_t>*> fork_mark{nullptr};
constinit std::atomic<std::uint32_t> mark_at_fork{0};

void make_fork_mark() {
  if (fork_mark.load() != nullptr) return;
  const long at = raw_syscall(SYS_mmap, nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (errno_of(at) != 0) return;
  if (raw_syscall(SYS_madvise, at, kPageSize, MADV_WIPEONFORK) != 0) {
    raw_syscall(SYS_munmap, at, kPageSize);
    return;
  }
  static_cast<void>(note_engine_memory(HostRange::of(HostVa(static_cast<std::uint64_t>(at)), kPageSize)));
  auto* mark = ::new (reinterpret_cast<void*>(at)) std::atomic<std::uint32_t>(1);
  fork_mark.store(mark, std::memory_order_release);
}

struct ClaimedSlot {
  SlotFile* file = nullptr;
  std::uint32_t index = 0;
  ProcessSlot& process() const { return file->slots[index]; }
};

/// A slot of the run's counter file; no file when there is none (no report then).
ClaimedSlot claim_slot() {
  const std::string path = settings().run_dir + "/slots";
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) return {};
  const long at = raw_syscall(SYS_mmap, nullptr, sizeof(SlotFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  raw_syscall(SYS_close, fd);
  if (errno_of(at) != 0) return {};
  auto* file = reinterpret_cast<SlotFile*>(at);
  static_cast<void>(note_engine_memory(live::range_at(file, align_up(sizeof(SlotFile), kPageSize))));
  raw_syscall(SYS_madvise, at, sizeof(SlotFile), MADV_DONTDUMP);
  if (file->magic != kSlotsMagic) return {};
  const std::uint32_t index = file->used.fetch_add(1);
  if (index >= kSlotsMax) return {};
  ProcessSlot& slot = file->slots[index];
  slot.device_count = static_cast<std::uint32_t>(settings().devices.size());
  std::strncpy(slot.profile, settings().profile->name, sizeof slot.profile - 1);
  raw_syscall(SYS_readlink, "/proc/thread-self/exe", slot.exe, sizeof slot.exe - 1);
  slot.opened_ns = SteadyClock().now_ns();
  slot.pid.store(static_cast<std::uint32_t>(getpid()));
  return {file, index};
}

/// This process's part of a file of the run that has one for every process slot. It lasts as long as the process does.
/// Null where the run has no such file.
template <typename Part>
Part* map_part(const ClaimedSlot& claimed, const char* name) {
  const std::string path = settings().run_dir + name;
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) return nullptr;
  const std::uint64_t offset = claimed.index * sizeof(Part);
  const long at = raw_syscall(SYS_mmap, nullptr, sizeof(Part), PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  raw_syscall(SYS_close, fd);
  if (errno_of(at) != 0) return nullptr;
  auto* part = reinterpret_cast<Part*>(at);
  static_cast<void>(note_engine_memory(live::range_at(part, sizeof(Part))));
  raw_syscall(SYS_madvise, at, sizeof(Part), MADV_DONTDUMP);
  return part;
}

/// Where the run is traced.
void start_events(const ClaimedSlot& claimed) {
  static constinit SteadyClock* clock = nullptr;
  auto* ring = map_part<EventRing>(claimed, "/events");
  if (ring == nullptr) return;
  if (clock == nullptr) clock = new SteadyClock;
  set_event_stream(new EventStream(*ring, *clock, EventStream::Threads::kNumbered));
}

/// Where call stacks were asked for.
void start_stacks(const ClaimedSlot& claimed) {
  if (auto* ring = map_part<StackRing>(claimed, "/stacks"); ring != nullptr) set_stack_ring(ring);
}

/// Where a VM of this process counts: a slot of its own, or the one its device's other VMs share.
CounterWords* claim_vm_slot(const ClaimedSlot& claimed, unsigned device, std::uint32_t asid) {
  const std::uint32_t index = claimed.file->vms_used.fetch_add(1);
  if (index >= kVmSlotsMax) {
    claimed.process().other_vm_count[device].fetch_add(1);
    return &claimed.process().other_vms[device];
  }
  VmSlot& slot = claimed.file->vms[index];
  slot.device = device;
  slot.asid = asid;
  slot.process.store(claimed.index + 1);
  return &slot.counters;
}

/// For the report. Any engine's thread.
void note_kernel_failure(ProcessSlot& slot, unsigned device, const KernelFailure& failure) {
  const std::uint32_t index = slot.kernel_failures_begun.fetch_add(1);
  if (index >= kKernelFailuresMax) return;
  slot.kernel_failures[index].device = device;
  slot.kernel_failures[index].what = failure;
  slot.kernel_failures[index].written.store(1, std::memory_order_release);
}

/// The library's own data are the runtime's as its heap is. Its code and constants nobody can store to.
void note_own_data(const dl_phdr_info& library) {
  for (int i = 0; i < library.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = library.dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) == 0) continue;
    const std::uint64_t start = library.dlpi_addr + segment.p_vaddr;
    const auto range =
        HostRange::between(HostVa(align_down(start, kPageSize)), HostVa(align_up(start + segment.p_memsz, kPageSize)));
    if (!is_engine_memory(range)) static_cast<void>(note_engine_memory(range));
  }
}

/// What engine threads execute and read may never be in VRAM: this library, libc, the loader.
int pin_library(dl_phdr_info* info, std::size_t, void* argument) {
  auto* mm = static_cast<live::LiveHostMm*>(argument);
  const std::string_view name = info->dlpi_name;
  const std::string_view file = name.substr(name.rfind('/') + 1);
  if (!file.starts_with("libc.so") && !file.starts_with("ld-linux") && !file.starts_with("libsoftxe-preload")) return 0;
  if (const auto pages = live::loaded_pages(*info)) mm->pin(*pages);
  if (file.starts_with("libsoftxe-preload")) note_own_data(*info);
  return 0;
}

/// Collects what this thread maps while it makes the session: tables and records.
class OwnMappings {
 public:
  OwnMappings() { now = this; }
  ~OwnMappings() { now = nullptr; }
  OwnMappings(const OwnMappings&) = delete;
  OwnMappings& operator=(const OwnMappings&) = delete;

  static constinit thread_local OwnMappings* now;
  std::vector<HostRange> ranges;
};
constinit thread_local OwnMappings* OwnMappings::now = nullptr;

Result<Session*> make_session() {
  const OwnMappings own;
  make_fork_mark();
  auto made = std::make_unique<Session>();
  live::LiveOptions live_options;
  live_options.dma = settings().copy_dma ? live::DmaMode::kCopy : live::DmaMode::kMove;
  live_options.highest_rung = settings().highest_rung;
  const RaisedLimit raised(LimitKind::kDescriptors);  // so that there is room behind the client's numbers
  const LowFdsTaken low_fds;
  SX_TRY(made->mm, live::LiveHostMm::create(live_options));
  made->user_only_rung = made->mm->rung() == live::Rung::kUserOnly;
  dl_iterate_phdr(pin_library, made->mm.get());
  ProcessOptions options;
  options.device_count = static_cast<unsigned>(settings().devices.size());
  options.profile = settings().profile;
  options.vram_bytes = settings().vram_bytes;
  options.visible_bytes = settings().visible_bytes;
  options.reset = settings().reset;
  if (const ClaimedSlot slot = claim_slot(); slot.file != nullptr) {
    start_events(slot);
    start_stacks(slot);
    std::strncpy(slot.process().rung, live::rung_name(made->mm->rung()), sizeof slot.process().rung - 1);
    options.counters = slot.process().devices.data();
    options.vram_peak_bytes = [slot](unsigned device) { return std::span(slot.process().vram_peak_bytes[device]); };
    options.kernel_failed = [slot](unsigned device, const KernelFailure& failure) {
      note_kernel_failure(slot.process(), device, failure);
    };
    options.vm_counters = [slot](unsigned device, std::uint32_t asid) { return claim_vm_slot(slot, device, asid); };
  }
  SX_TRY(options.start_thread, engine_thread_starter(options.device_count));  // its collector lasts
  options.eu_threads = settings().eu_threads;
  if (settings().deterministic) options.collector = GcWorker::Mode::kManual;
  options.before_submit = [mm = made->mm.get()] { mm->submission_probe(); };
  options.signalled = [] { return pending_interruption() != Interruption::kNone; };
  options.fds = &fd_layer();
  if (made->user_only_rung) {
    options.memory_named = [mm = made->mm.get()](HostRange range) {
      if (const Status named = mm->allow_migration(range); !named)
        SX_DEBUG("{:#x}+{:#x} will not migrate: {}", range.start().value(), range.size(), named.error().why);
    };
  }
  SX_TRY(made->drm, DrmProcess::create(*made->mm, options));
  // Objects that a fork child inherits keep their fake offsets: its own lie elsewhere.
  constexpr std::uint64_t kOffsetsOfAProcess = 1ull << 40;
  for (unsigned index = 0; index < made->drm->device_count(); ++index) {
    DrmDevice& device = made->drm->device(index);
    if (generation() > 1) device.device().take_mmap_offset((generation() - 1) * kOffsetsOfAProcess);
    made->files.push_back(std::make_unique<PreloadDeviceFiles>(device));
  }
  for (const HostRange range : own.ranges) made->mm->pin(range);
  low_fds.remember();
  return made.release();  // lives until the process ends: engine threads do
}

/// As the kernel says it where a limit is all that is in the way: the next open tries again.
int errno_of_open(int error) { return error == EMFILE || error == EAGAIN ? error : ENODEV; }

pthread_mutex_t& session_lock() {
  pthread_mutex_t* lock = make_lock.load();
  if (lock != nullptr) return *lock;
  auto* fresh = new pthread_mutex_t(PTHREAD_MUTEX_INITIALIZER);
  if (make_lock.compare_exchange_strong(lock, fresh)) return *fresh;
  delete fresh;
  return *lock;
}

}  // namespace

bool active() { return run != nullptr; }
const Settings& settings() { return run->settings; }
const PathMap& paths() { return run->paths; }
Session* session() { return missed_fork() ? nullptr : current.load(std::memory_order_acquire); }
live::LiveHostMm* live_mm() { return missed_fork() ? nullptr : current_mm.load(std::memory_order_acquire); }
void wait_for_reader() {
  live::LiveHostMm* mm = live_mm();
  if (mm == nullptr) return;
  // The reader holds the mm lock meanwhile, and so does whoever answers this; the answer is of no interest.
  static_cast<void>(mm->populated(HostRange::of(HostVa(kPageSize), kPageSize), OwnerGroup::kNobody));
}
std::uint64_t generation() { return generation_now.load(std::memory_order_acquire); }

void start() {
  const char* wanted = getenv("SOFTXE_ACTIVE");
  if (wanted == nullptr || std::strcmp(wanted, "1") != 0) return;
  auto read = read_settings();
  if (!read) {
    SX_ERROR("not active: {}", read.error().why);
    return;
  }
  run = new Run(std::move(*read));
  note_fd_owner();
  note_environment(environ);
  note_working_directory();
  // Looked up now: the engine's locks sleep through it, and the loader's lock is none to take then.
  static_cast<void>(syscall(SYS_gettid));
  watch_thread_ends();
  install_hooks();
}

Result<Session*> session_or_make() {
  if (Session* made = session(); made != nullptr) return made;
  pthread_mutex_t& lock = session_lock();
  pthread_mutex_lock(&lock);
  Result<Session*> made = session();
  if (*made == nullptr) {
    made = make_session();
    if (made) {
      claim_fork_image(*(*made)->drm, (*made)->files);
      take_memory_signals();
      current_mm.store((*made)->mm.get(), std::memory_order_release);
      current.store(*made, std::memory_order_release);
      wake_hooks();
    } else {
      SX_ERROR("no device: {} (errno {})", made.error().why, made.error().err);
      made = fail(errno_of_open(made.error().err), made.error().why);
    }
  }
  pthread_mutex_unlock(&lock);
  return made;
}

void note_engine_mapping(HostVa start, std::uint64_t bytes) {
  if (OwnMappings::now != nullptr) OwnMappings::now->ranges.push_back(HostRange::of(start, align_up(bytes, kPageSize)));
}

bool missed_fork() {
  const auto* mark = fork_mark.load(std::memory_order_acquire);
  return mark != nullptr && mark->load(std::memory_order_relaxed) == 0;
}

void note_fork() { mark_at_fork.store(missed_fork() ? 0 : 1); }

void note_fork_child() {
  if (auto* mark = fork_mark.load(); mark != nullptr) mark->store(mark_at_fork.load());
}

void abandon_session() {
  forget_events_of_parent();
  current.store(nullptr);
  current_mm.store(nullptr);
  make_lock.store(nullptr);
  forget_engine_fds();
  note_fd_owner();
  generation_now.fetch_add(1);
}

namespace {
// Before every other constructor, libc's own included: the library is linked with initfirst, since
// libraries of the client may open a device in theirs. libc has no environment yet, the loader has.
// Not marked as engine code: the patcher's self-test calls libc through our symbols.
__attribute__((destructor)) void on_exit_of_program() {
  if (active() && settings().deterministic && session() != nullptr) run_in_engine([] { wait_for_reader(); });
}
__attribute__((constructor)) void on_load(int, char**, char** environment) {
  if (environ == nullptr) environ = environment;
  start();
}
}  // namespace

}  // namespace softxe::preload
