// The naive model's client: memory of a process, page by page, and what its system calls do to it
// (svm 2.2).
//
// Every page is an entry of a flat array, every rule a loop. Nothing here knows of GPUs: who wants
// to hear of unmaps is told the interval. Next: model.h (VMAs, ranges, faults).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/address.h"

namespace softxe::sim {

/// Half-open, in bytes.
struct Span {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t size() const { return end - start; }
  bool contains(std::uint64_t at) const { return start <= at && at < end; }
  bool contains(Span o) const { return start <= o.start && o.end <= end; }
  bool intersects(Span o) const { return start < o.end && o.start < end; }
  friend bool operator==(const Span&, const Span&) = default;
};

/// The memory all work happens in: 4.5 MiB across a border of two notifier windows.
inline constexpr std::uint64_t kSpaceStart = 0x1fe00000;
inline constexpr std::uint64_t kSpaceBytes = 2 * k2M + k2M / 4;
inline constexpr std::uint64_t kSpacePages = kSpaceBytes / kPageSize;
inline constexpr Span kSpace{kSpaceStart, kSpaceStart + kSpaceBytes};
/// The heap grows from here towards the end of the space.
inline constexpr std::uint64_t kBrkBase = kSpace.end - k2M / 4;

/// Words of a page the model follows: its first and its last eight bytes.
inline constexpr std::array<std::uint64_t, 2> kWordOffsets = {0, kPageSize - 8};
using Words = std::array<std::uint64_t, 2>;

/// Private kinds other than kAnon are pages of a file of zeroes until they are written.
enum class MemoryKind : std::uint8_t { kAnon, kShmem, kFile, kSharedFile, kHugetlb };

struct ModelPage {
  MemoryKind kind = MemoryKind::kAnon;
  bool writable = true;
  bool readable = true;
  bool lazy = false;            ///< MADV_FREE and not written since: may read zero at any time
  std::uint64_t object = 0;     ///< of everything but anonymous memory
  std::uint64_t born_page = 0;  ///< page number at birth, or the page's number in the object
  Words own{};
  std::shared_ptr<Words> shared{};  ///< shared memory: by all who map the page

  bool is_shared() const { return kind == MemoryKind::kShmem || kind == MemoryKind::kSharedFile; }
  Words& words() { return shared ? *shared : own; }
  const Words& words() const { return shared ? *shared : own; }
};

/// One process, by page of the space.
using ModelMemory = std::vector<std::optional<ModelPage>>;

class ModelClient {
 public:
  struct Mapping {
    Span span;
    MemoryKind kind = MemoryKind::kAnon;
    bool writable = true;
  };
  void mmap(const Mapping& mapping);
  void munmap(Span span);
  /// False: the kernel refuses (not one mapping).
  bool mremap(Span old, std::uint64_t to, bool dont_unmap);
  bool mprotect(Span span, bool readable, bool writable);
  void dontneed(Span span);
  void free(Span span);
  void remove(Span span);
  /// The new break; the old one when the kernel refuses.
  std::uint64_t brk(std::uint64_t wanted);
  std::size_t fork();
  void exit(std::size_t process) { processes_[process].assign(kSpacePages, std::nullopt); }

  /// Called for every UNMAP event of process 0, the mirrored one.
  std::function<void(Span)> on_unmap = [](Span) {};

  /// Null: not mapped, or outside of the space.
  ModelPage* page(std::uint64_t at, std::size_t process = 0);
  const ModelPage* page(std::uint64_t at, std::size_t process = 0) const {
    return const_cast<ModelClient*>(this)->page(at, process);
  }
  /// The mapping around `at`: a run of pages that the kernel shows as one.
  Span mapping_around(std::uint64_t at) const;
  bool one_mapping(Span span) const;

 private:
  std::optional<ModelPage>& slot(std::uint64_t at) { return processes_[0][(at - kSpaceStart) / kPageSize]; }

  std::vector<ModelMemory> processes_{ModelMemory(kSpacePages)};
  std::uint64_t objects_ = 0;
  std::uint64_t break_ = kBrkBase;
};

}  // namespace softxe::sim
