// A loaded shared object as the patcher sees it: its executable bytes and the bounds of its
// functions, from what is in memory of a stripped library (.eh_frame_hdr, .eh_frame, .dynsym).
//
// Read next: site_finder.h, which asks `enclosing()`.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/result.h"

namespace softxe::patch {

/// Where functions begin and end. Implemented by LoadedImage and by the tests' byte strings.
class FunctionBounds {
 public:
  virtual ~FunctionBounds() = default;
  /// The function that holds the whole of `site`. ENOENT when nothing says so.
  virtual Result<HostRange> enclosing(HostRange site) const = 0;
};

/// One mapped ELF object. Points into the object's own memory; valid while it stays loaded. Read
/// only, no lock.
class LoadedImage final : public FunctionBounds {
 public:
  /// The object of this process with the given DT_SONAME.
  static Result<LoadedImage> find(std::string_view soname);
  /// From the start address and program headers of a loaded object (dl_iterate_phdr).
  struct Headers {
    std::uint64_t load_bias;
    const void* program_headers;
    std::uint16_t count;
  };
  static Result<LoadedImage> from_headers(const Headers& headers);

  HostRange text() const { return text_; }
  std::span<const std::uint8_t> text_bytes() const;
  /// An address as the file's tools print it.
  std::uint64_t file_address(HostVa a) const { return a.value() - bias_; }

  Result<HostRange> enclosing(HostRange site) const override;
  /// Bounds by unwind information alone.
  Result<HostRange> unwind_bounds(HostVa a) const;
  /// Bounds by the exported symbol around `a` alone.
  Result<HostRange> symbol_bounds(HostVa a) const;
  /// Exported name of the function around `a`, or "".
  const char* symbol_name(HostVa a) const;

  /// Calls `visit(HostRange)` for each function that has unwind information, in address order.
  template <typename Visit>
  void for_each_function(Visit visit) const {
    for (std::uint64_t i = 0; i < unwind_entries(); ++i)
      if (auto bounds = unwind_entry(i)) visit(*bounds);
  }

 private:
  struct Symbol;
  explicit LoadedImage(HostRange text) : text_(text) {}
  void read_dynamic(const void* dynamic);
  const Symbol* symbol_at(HostVa a) const;
  std::uint64_t unwind_entries() const;
  Result<HostRange> unwind_entry(std::uint64_t index) const;
  Result<HostRange> parse_fde(std::uint64_t fde) const;
  /// `size` readable bytes at `a` inside one loadable segment.
  bool readable(std::uint64_t a, std::uint64_t size) const;

  HostRange text_;
  std::uint64_t bias_ = 0;
  const void* program_headers_ = nullptr;
  std::uint16_t program_header_count_ = 0;
  std::uint64_t eh_frame_hdr_ = 0;
  std::uint64_t eh_frame_hdr_bytes_ = 0;
  std::uint64_t symbols_ = 0;
  std::uint64_t symbol_count_ = 0;
  std::uint64_t strings_ = 0;
  const char* soname_ = "";
};

}  // namespace softxe::patch
