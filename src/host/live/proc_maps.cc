#include "host/live/proc_maps.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstring>

#include "base/raw_syscall.h"

namespace softxe::live {
namespace {

/// The kernel's user ABI of PROCMAP_QUERY (Linux 6.11).
struct ProcmapQuery {
  std::uint64_t size;
  std::uint64_t query_flags;
  std::uint64_t query_addr;
  std::uint64_t vma_start;
  std::uint64_t vma_end;
  std::uint64_t vma_flags;
  std::uint64_t vma_page_size;
  std::uint64_t vma_offset;
  std::uint64_t inode;
  std::uint32_t dev_major;
  std::uint32_t dev_minor;
  std::uint32_t vma_name_size;
  std::uint32_t build_id_size;
  std::uint64_t vma_name_addr;
  std::uint64_t build_id_addr;
};
constexpr unsigned long kIoProcmapQuery = _IOWR('f', 17, ProcmapQuery);
/// The kernel's user ABI of PAGEMAP_SCAN (Linux 6.7).
struct ScanArg {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t vec;
  std::uint64_t vec_len;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_anyof_mask;
  std::uint64_t return_mask;
};
struct PageRegion {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};
constexpr unsigned long kIoPagemapScan = _IOWR('f', 16, ScanArg);
constexpr std::uint64_t kPageIsHuge = 1u << 6;

constexpr std::uint64_t kReadable = 1;
constexpr std::uint64_t kWritable = 2;
constexpr std::uint64_t kExecutable = 4;
constexpr std::uint64_t kShared = 8;
constexpr std::uint64_t kCoveringOrNext = 16;

int open_proc(const char* path) {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  return static_cast<int>(fd);
}

constexpr const char* kMapsPath = "/proc/thread-self/maps";
constexpr const char* kPagemapPath = "/proc/thread-self/pagemap";

/// What `call` returns for `fd`; where the client has closed that by a system call of its own, for the same file anew.
/// No answer would be taken for memory that is gone.
template <typename Call>
long with_file(int fd, const char* path, Call call) {
  const long result = call(fd);
  if (errno_of(result) != EBADF) return result;
  const int anew = open_proc(path);
  if (anew < 0) return result;
  const long again = call(anew);
  raw_syscall(SYS_close, anew);
  return again;
}

/// Reads /proc/self/maps character by character through a small buffer on the stack.
class MapsText {
 public:
  explicit MapsText(int fd) : fd_(fd) {}

  /// The next line as a mapping; false at the end of the file.
  bool next(RawVma& vma) {
    if (peek() < 0) return false;
    vma = RawVma{};
    const std::uint64_t start = number(16);
    skip('-');
    const std::uint64_t end = number(16);
    skip(' ');
    vma.readable = get() == 'r';
    vma.writable = get() == 'w';
    vma.executable = get() == 'x';
    vma.shared = get() == 's';
    skip(' ');
    vma.offset = number(16);
    skip(' ');
    vma.dev_major = static_cast<std::uint32_t>(number(16));
    skip(':');
    vma.dev_minor = static_cast<std::uint32_t>(number(16));
    skip(' ');
    vma.inode = number(10);
    while (peek() == ' ') get();
    std::size_t n = 0;
    for (int c = get(); c >= 0 && c != '\n'; c = get()) {
      if (n + 1 < sizeof vma.name) vma.name[n++] = static_cast<char>(c);
    }
    if (start >= end) return false;
    vma.range = HostRange::between(HostVa(start), HostVa(end));
    return true;
  }

 private:
  int peek() {
    if (at_ == size_) {
      const long n = with_file(
          fd_, kMapsPath, [this](int fd) { return raw_syscall(SYS_pread64, fd, buffer_, sizeof buffer_, offset_); });
      if (n <= 0) return -1;
      offset_ += n;
      at_ = 0;
      size_ = static_cast<std::size_t>(n);
    }
    return static_cast<unsigned char>(buffer_[at_]);
  }
  int get() {
    const int c = peek();
    if (c >= 0) ++at_;
    return c;
  }
  void skip(char expected) {
    if (peek() == expected) get();
  }
  std::uint64_t number(unsigned base) {
    std::uint64_t value = 0;
    for (;;) {
      const int c = peek();
      unsigned digit;
      if (c >= '0' && c <= '9') {
        digit = static_cast<unsigned>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<unsigned>(c - 'a') + 10;
      } else {
        return value;
      }
      if (digit >= base) return value;
      value = value * base + digit;
      get();
    }
  }

  int fd_;
  long offset_ = 0;
  std::size_t at_ = 0;
  std::size_t size_ = 0;
  char buffer_[1024] = {};
};

bool starts_with(const char* text, const char* prefix) { return std::strncmp(text, prefix, std::strlen(prefix)) == 0; }

/// Device number of the kernel's internal shared-memory file system, seen through a memfd.
std::uint64_t shared_memory_dev() {
  const long fd = raw_syscall(SYS_memfd_create, "softxe-probe", 1u /* MFD_CLOEXEC */);
  if (fd < 0) return 0;
  struct stat st {};
  const long result = raw_syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH);
  raw_syscall(SYS_close, fd);
  return result < 0 ? 0 : st.st_dev;
}

}  // namespace

ProcMaps& ProcMaps::operator=(ProcMaps&& o) noexcept {
  std::swap(fd_, o.fd_);
  source_ = o.source_;
  shm_dev_ = o.shm_dev_;
  return *this;
}

void ProcMaps::close() {
  if (fd_ >= 0) raw_syscall(SYS_close, fd_);
  fd_ = -1;
}

Result<ProcMaps> ProcMaps::open_at(const char* path, MapsSource source) {
  ProcMaps maps;
  maps.fd_ = open_proc(path);
  if (maps.fd_ < 0) return fail(-maps.fd_, "/proc/self/maps cannot be opened");
  maps.shm_dev_ = shared_memory_dev();
  maps.source_ = source;
  const int err = maps.query(HostVa(0)) ? 0 : maps.query(HostVa(0)).error().err;
  if (err == ENOTTY || err == EINVAL) maps.source_ = MapsSource::kTextOnly;
  SX_TRY_VOID(maps.at_or_above(HostVa(0)));  // a thread that has ended shows nothing
  return maps;
}

// The text can be read as long as the thread lives that it is of: the first one for preference. When main() has left
// by pthread_exit() there is nothing to see of that one.
Result<ProcMaps> ProcMaps::open(MapsSource source) {
  if (auto maps = open_at("/proc/self/maps", source)) return maps;
  return open_at(kMapsPath, source);
}

bool ProcMaps::query_supported() {
  auto maps = open(MapsSource::kBest);
  return maps && maps->source_ == MapsSource::kBest;
}

Result<RawVma> ProcMaps::at_or_above(HostVa va) const {
  if (source_ != MapsSource::kBest) return parse(va);
  auto vma = query(va);
  // A sandbox that this thread is in may forbid the question, but not to read.
  return vma || (vma.error().err != EPERM && vma.error().err != EACCES) ? vma : parse(va);
}

Result<RawVma> ProcMaps::query(HostVa va) const {
  RawVma vma;
  char path[256];  // a longer path gives ENAMETOOLONG; then ask again without the name
  ProcmapQuery q{};
  q.size = sizeof q;
  q.query_flags = kCoveringOrNext;
  q.query_addr = va.value();
  q.vma_name_addr = reinterpret_cast<std::uint64_t>(path);
  q.vma_name_size = sizeof path;
  const auto ask = [&q](int fd) { return raw_syscall(SYS_ioctl, fd, kIoProcmapQuery, &q); };
  long result = with_file(fd_, kMapsPath, ask);
  if (errno_of(result) == ENAMETOOLONG) {
    q.vma_name_addr = 0;
    q.vma_name_size = 0;
    result = with_file(fd_, kMapsPath, ask);
  }
  if (int err = errno_of(result)) return fail(err, "no mapping there");
  vma.range = HostRange::between(HostVa(q.vma_start), HostVa(q.vma_end));
  vma.readable = (q.vma_flags & kReadable) != 0;
  vma.writable = (q.vma_flags & kWritable) != 0;
  vma.executable = (q.vma_flags & kExecutable) != 0;
  vma.shared = (q.vma_flags & kShared) != 0;
  vma.offset = q.vma_offset;
  vma.inode = q.inode;
  vma.dev_major = q.dev_major;
  vma.dev_minor = q.dev_minor;
  vma.page_bytes = q.vma_page_size;
  const std::size_t length = std::min<std::size_t>(q.vma_name_size, sizeof vma.name - 1);
  std::memcpy(vma.name, path, length);
  vma.name[length] = '\0';
  return vma;
}

Result<RawVma> ProcMaps::parse(HostVa va) const {
  MapsText text(fd_);
  RawVma vma;
  while (text.next(vma)) {
    if (vma.range.end() <= va) continue;
    if (starts_with(vma.name, "/anon_hugepage")) vma.page_bytes = k2M;
    return vma;
  }
  return fail(ENOENT, "no mapping there");
}

std::size_t ProcMaps::count() const {
  char text[4096];
  std::size_t lines = 0;
  for (long at = 0;;) {
    const long n =
        with_file(fd_, kMapsPath, [&](int fd) { return raw_syscall(SYS_pread64, fd, text, sizeof text, at); });
    if (n <= 0) return lines;
    lines += static_cast<std::size_t>(std::count(text, text + n, '\n'));
    at += n;
  }
}

CpuVma::Kind ProcMaps::kind_of(const RawVma& vma, DevicePredicate is_device) const {
  using Kind = CpuVma::Kind;
  if (vma.page_bytes != kPageSize) return Kind::kHugetlb;
  if (vma.anonymous()) {
    const bool special = starts_with(vma.name, "[v") || starts_with(vma.name, "[uprobes");
    return special ? Kind::kSpecial : Kind::kAnonPrivate;
  }
  const std::uint64_t dev = makedev(vma.dev_major, vma.dev_minor);
  if (is_device != nullptr && is_device(dev, vma.inode)) return Kind::kDevice;
  // The client's mapping of a buffer object: on hardware that is the card's memory, not the process's.
  if (starts_with(vma.name, kBoMappingName)) return Kind::kDevice;
  if (dev == shm_dev_) return Kind::kShmem;
  if (starts_with(vma.name, "/dev/") && !starts_with(vma.name, "/dev/shm/") && !starts_with(vma.name, "/dev/zero")) {
    return Kind::kDevice;
  }
  return Kind::kFile;
}

PageMap& PageMap::operator=(PageMap&& o) noexcept {
  std::swap(fd_, o.fd_);
  return *this;
}

void PageMap::close() {
  if (fd_ >= 0) raw_syscall(SYS_close, fd_);
  fd_ = -1;
}

Result<PageMap> PageMap::open() {
  PageMap map;
  map.fd_ = open_proc(kPagemapPath);
  if (map.fd_ == -EACCES) {
    // A process that changed its user is not dumpable, and root owns its /proc files. It may say for a
    // moment that it is.
    const long before = raw_syscall(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
    raw_syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    map.fd_ = open_proc(kPagemapPath);
    raw_syscall(SYS_prctl, PR_SET_DUMPABLE, before, 0, 0, 0);
  }
  if (map.fd_ < 0) return fail(-map.fd_, "/proc/self/pagemap cannot be opened");
  return map;
}

Status PageMap::read(HostVa start, std::span<std::uint64_t> words) const {
  const std::uint64_t offset = (start.value() >> kPageShift) * sizeof(std::uint64_t);
  const long n = with_file(fd_, kPagemapPath, [&](int fd) {
    return raw_syscall(SYS_pread64, fd, words.data(), words.size_bytes(), offset);
  });
  if (n != static_cast<long>(words.size_bytes())) return fail(EIO, "short read of pagemap");
  return {};
}

bool PageMap::maybe_huge(HostVa page) const {
  PageRegion region{};
  ScanArg arg{};
  arg.size = sizeof arg;
  arg.start = page.value();
  arg.end = page.value() + kPageSize;
  arg.vec = reinterpret_cast<std::uint64_t>(&region);
  arg.vec_len = 1;
  arg.category_mask = kPageIsHuge;
  arg.return_mask = kPageIsHuge;
  const long result =
      with_file(fd_, kPagemapPath, [&](int fd) { return raw_syscall(SYS_ioctl, fd, kIoPagemapScan, &arg); });
  return errno_of(result) != 0 || result == 1;
}

bool PageMap::occupied(HostVa page) const {
  std::uint64_t word = 0;
  return read(page, std::span(&word, 1)) && is_occupied(word);
}

std::optional<HostRange> loaded_pages(const dl_phdr_info& object) {
  std::uint64_t low = ~0ull;
  std::uint64_t high = 0;
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object.dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    low = std::min<std::uint64_t>(low, object.dlpi_addr + segment.p_vaddr);
    high = std::max<std::uint64_t>(high, object.dlpi_addr + segment.p_vaddr + segment.p_memsz);
  }
  if (low >= high) return std::nullopt;
  return HostRange::between(HostVa(align_down(low, kPageSize)), HostVa(align_up(high, kPageSize)));
}

}  // namespace softxe::live
