// EuProgram: instructions of kernels, decoded and checked, by address.
//
// Decoded along the flow, an instruction when it is first reached, so that nothing behind an end of thread is ever
// read. What is kept is compared with memory once after every start(): code is written before the walker that runs it.
// One per worker, used by its thread only. Memory is bounded: when it is used up, everything is dropped.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "hw/eu/eu_fast.h"
#include "hw/eu/eu_memory.h"
#include "hw/eu/eu_record.h"
#include "hw/eu/eu_stop.h"
#include "hw/eu/eu_touched.h"

namespace softxe {

class EuProgram {
 public:
  explicit EuProgram(EuLevel level = eu_host_level());
  ~EuProgram();
  EuProgram(const EuProgram&) = delete;
  EuProgram& operator=(const EuProgram&) = delete;

  /// A walker begins, or goes on after others had the engine. Calls keep addresses relative to `instruction_base`.
  void start(GpuVa instruction_base);
  GpuVa instruction_base() const { return base_; }

  /// Where code is read and for which thread it must be legal.
  struct Reader {
    EuMemory& memory;
    const EuThread& thread;
    std::uint64_t va_mask;
  };
  /// The instruction at `ip`; null when there is none, and then stop() says why. Pointers live until the next call.
  const EuRecord* find(std::uint64_t ip, const Reader& reader);
  /// The instruction that follows `record` in memory, without a search from the second time on. As find().
  const EuRecord* behind(const EuRecord& record, const Reader& reader) {
    return record.next != nullptr ? record.next : link(record, reader);
  }
  const EuStop& stop() const { return stop_; }

  /// Instructions that are kept.
  std::uint32_t size() const { return used_; }
  static constexpr std::uint32_t kRecordsMax = 1u << 17;
  /// Pages that anything was decoded in or may jump to; a few more until the next page is entered.
  std::size_t pages() const { return pages_.size(); }
  static constexpr std::size_t kPagesMax = 4096;

  /// Channels of the thread that runs may wait at `address`. What is decoded marks such places by itself; this is for
  /// a thread whose branches were decoded by another worker's program, or before everything was dropped.
  void expect_waiting(std::uint64_t address);
  /// How often everything was dropped.
  std::uint64_t drops() const { return drops_; }
  /// By anything that this walker's threads may have carried out here.
  const EuTouched& touched() const { return touched_; }

 private:
  static constexpr std::uint32_t kBlock = 64;
  static constexpr std::uint32_t kGranules = kPageSize / 8;

  /// A page of code, so far as it was decoded.
  struct Page {
    std::array<EuRecord*, kGranules> records{};
    std::bitset<kGranules> wake;     ///< channels may wait here
    std::bitset<kGranules> decoded;  ///< these bytes are in `bytes`
    std::array<std::byte, kPageSize> bytes{};
    /// The second half of an instruction that begins in the last 8 bytes.
    std::array<std::byte, 8> tail{};
    bool has_tail = false;
    bool large_grf = false;  ///< registers that the records were checked for
    std::uint64_t checked = 0;
    EuTouched touched;  ///< by what was ever decoded here
  };

  void drop_if_full();
  const EuRecord* link(const EuRecord& record, const Reader& reader);
  Page* enter(std::uint64_t key, const Reader& reader);
  bool check(std::uint64_t key, Page& page, const Reader& reader);
  EuRecord* decode(std::uint64_t ip, Page& page, const Reader& reader);
  bool fetch(std::uint64_t ip, const Reader& reader, std::span<std::byte> to);
  void keep(std::uint64_t ip, Page& page, std::span<const std::byte> bytes);
  void mark(std::uint64_t ip, const EuInst& inst, std::uint64_t va_mask);
  Page& page_of(std::uint64_t key);
  EuRecord* new_record();
  void forget(Page& page);
  std::nullptr_t fail_with(EuStopKind kind, std::uint64_t ip, const char* reason);

  const EuLevel level_;
  GpuVa base_{};
  std::uint64_t walker_ = 0;
  std::uint64_t key_ = ~std::uint64_t{0};  ///< of `page_`
  Page* page_ = nullptr;
  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;
  std::vector<std::unique_ptr<EuRecord[]>> blocks_;
  std::uint32_t used_ = 0;
  std::uint64_t drops_ = 0;
  EuTouched touched_;
  EuStop stop_{};
};

}  // namespace softxe
