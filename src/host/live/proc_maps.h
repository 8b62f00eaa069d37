// The process's mappings and page presence, as the kernel tells them.
//
//   ProcMaps  one mapping per question: PROCMAP_QUERY (Linux 6.11) or a parse of /proc/self/maps
//   PageMap   one word per page: present, swapped out, or nothing there
//   loaded_pages()  where a loaded object lies
//
// Neither allocates, neither uses stdio; both are for use under the mm lock and on the fault thread.
#pragma once

#include <link.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "base/address.h"
#include "base/result.h"
#include "host/host_mm.h"

namespace softxe::live {

/// One mapping exactly as the kernel has it (with the splits that our registrations made).
struct RawVma {
  HostRange range = HostRange::of(HostVa(0), kPageSize);
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  std::uint64_t offset = 0;  ///< of the first byte in its file
  std::uint64_t inode = 0;
  std::uint32_t dev_major = 0;
  std::uint32_t dev_minor = 0;
  std::uint64_t page_bytes = kPageSize;  ///< more than 4 KiB only for hugetlb
  char name[64] = {};                    ///< path or [name], cut

  /// A piece of a System V segment; the inode is the segment's number.
  bool is_segment() const { return shared && std::strncmp(name, "/SYSV", 5) == 0; }
  bool anonymous() const { return inode == 0 && dev_major == 0 && dev_minor == 0; }
};

/// Tells whether a file mapping shows device memory: the memfd of one of our buffer objects.
using DevicePredicate = bool (*)(std::uint64_t dev, std::uint64_t inode);

enum class MapsSource : std::uint8_t { kBest, kTextOnly };

/// Owner of a descriptor of /proc/self/maps. Thread-safe: every question stands alone.
class ProcMaps {
 public:
  ProcMaps() = default;
  ~ProcMaps() { close(); }
  int fd() const { return fd_; }
  ProcMaps(ProcMaps&& o) noexcept : fd_(o.fd_), source_(o.source_), shm_dev_(o.shm_dev_) { o.fd_ = -1; }
  ProcMaps& operator=(ProcMaps&& o) noexcept;

  static Result<ProcMaps> open(MapsSource source);
  static bool query_supported();

  /// The mapping that covers `va`, or else the first one above it. ENOENT: none.
  Result<RawVma> at_or_above(HostVa va) const;
  /// How many mappings the process has. Costs as much as reading them all.
  std::size_t count() const;
  CpuVma::Kind kind_of(const RawVma& vma, DevicePredicate is_device) const;
  void close();

 private:
  static Result<ProcMaps> open_at(const char* path, MapsSource source);
  Result<RawVma> query(HostVa va) const;
  Result<RawVma> parse(HostVa va) const;

  int fd_ = -1;
  MapsSource source_ = MapsSource::kBest;
  std::uint64_t shm_dev_ = 0;  ///< device number of memfds and shared anonymous memory
};

/// Owner of a descriptor of /proc/self/pagemap. Thread-safe.
class PageMap {
 public:
  PageMap() = default;
  ~PageMap() { close(); }
  int fd() const { return fd_; }
  PageMap(PageMap&& o) noexcept : fd_(o.fd_) { o.fd_ = -1; }
  PageMap& operator=(PageMap&& o) noexcept;

  static Result<PageMap> open();

  /// One word for each page from `start`. EIO when the kernel answers short.
  Status read(HostVa start, std::span<std::uint64_t> words) const;
  /// Present, swapped out, or under migration in the kernel: the page table holds something.
  bool occupied(HostVa page) const;
  /// Whether `page` is mapped by a huge page. True also when the kernel (before 6.7) cannot tell.
  bool maybe_huge(HostVa page) const;
  static bool is_present(std::uint64_t word) { return (word >> 63) & 1; }
  static bool is_occupied(std::uint64_t word) { return (word >> 62) != 0; }
  void close();

 private:
  int fd_ = -1;
};

/// The pages between the first and the last segment of a program or library that the loader has mapped, as
/// dl_iterate_phdr() shows it. Nothing when it has none.
std::optional<HostRange> loaded_pages(const dl_phdr_info& object);

}  // namespace softxe::live
