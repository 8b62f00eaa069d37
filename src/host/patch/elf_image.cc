#include "host/patch/elf_image.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace softxe::patch {
namespace {

/// Unaligned read of a trivially copyable value.
template <typename T>
T load(std::uint64_t address) {
  T value;
  std::memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

// DWARF pointer encodings (LSB core specification, "DWARF extensions"); only those that GNU ld and
// lld write for x86-64 are accepted.
constexpr std::uint8_t kPcRelSdata4 = 0x1b;
constexpr std::uint8_t kUdata4 = 0x03;
constexpr std::uint8_t kDataRelSdata4 = 0x3b;
constexpr std::uint64_t kHdrTableOffset = 12;
constexpr std::uint64_t kHdrEntryBytes = 8;

std::uint64_t skip_leb128(std::uint64_t at) {
  while ((load<std::uint8_t>(at) & 0x80) != 0) ++at;
  return at + 1;
}

std::uint64_t symbol_count_by_gnu_hash(std::uint64_t table) {
  const auto buckets = load<std::uint32_t>(table);
  const auto first = load<std::uint32_t>(table + 4);
  const auto bloom_words = load<std::uint32_t>(table + 8);
  const std::uint64_t bucket_at = table + 16 + 8ull * bloom_words;
  const std::uint64_t chain_at = bucket_at + 4ull * buckets;
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < buckets; ++i) last = std::max(last, load<std::uint32_t>(bucket_at + 4ull * i));
  if (last < first) return first;
  while ((load<std::uint32_t>(chain_at + 4ull * (last - first)) & 1) == 0) ++last;
  return last + 1ull;
}

}  // namespace

struct LoadedImage::Symbol : Elf64_Sym {};

Result<LoadedImage> LoadedImage::from_headers(const Headers& headers) {
  const auto* phdr = static_cast<const Elf64_Phdr*>(headers.program_headers);
  std::optional<HostRange> text;
  const void* dynamic = nullptr;
  std::uint64_t hdr = 0;
  std::uint64_t hdr_bytes = 0;
  for (std::uint16_t i = 0; i < headers.count; ++i) {
    const std::uint64_t at = headers.load_bias + phdr[i].p_vaddr;
    if (phdr[i].p_type == PT_DYNAMIC) dynamic = reinterpret_cast<const void*>(at);
    if (phdr[i].p_type == PT_GNU_EH_FRAME) {
      hdr = at;
      hdr_bytes = phdr[i].p_memsz;
    }
    if (phdr[i].p_type != PT_LOAD || (phdr[i].p_flags & PF_X) == 0) continue;
    if (text) return fail(EINVAL, "library has two executable segments");
    SX_TRY(text, HostRange::make(HostVa(at), phdr[i].p_memsz));
  }
  if (!text) return fail(EINVAL, "library has no executable segment");
  LoadedImage image(*text);
  image.bias_ = headers.load_bias;
  image.program_headers_ = headers.program_headers;
  image.program_header_count_ = headers.count;
  image.eh_frame_hdr_ = hdr;
  image.eh_frame_hdr_bytes_ = hdr_bytes;
  if (dynamic != nullptr) image.read_dynamic(dynamic);
  return image;
}

void LoadedImage::read_dynamic(const void* dynamic) {
  std::uint64_t hash = 0;
  std::uint64_t gnu_hash = 0;
  std::uint64_t soname_offset = 0;
  // The loader relocates these pointers in place, except where the section is read-only.
  auto absolute = [this](std::uint64_t p) { return p < bias_ ? p + bias_ : p; };
  for (const auto* d = static_cast<const Elf64_Dyn*>(dynamic); d->d_tag != DT_NULL; ++d) {
    switch (d->d_tag) {
      case DT_SYMTAB: symbols_ = absolute(d->d_un.d_ptr); break;
      case DT_STRTAB: strings_ = absolute(d->d_un.d_ptr); break;
      case DT_HASH: hash = absolute(d->d_un.d_ptr); break;
      case DT_GNU_HASH: gnu_hash = absolute(d->d_un.d_ptr); break;
      case DT_SONAME: soname_offset = d->d_un.d_val; break;
      default: break;
    }
  }
  if (symbols_ == 0 || strings_ == 0) return;
  if (hash != 0) {
    symbol_count_ = load<std::uint32_t>(hash + 4);
  } else if (gnu_hash != 0) {
    symbol_count_ = symbol_count_by_gnu_hash(gnu_hash);
  }
  if (soname_offset != 0) soname_ = reinterpret_cast<const char*>(strings_ + soname_offset);
}

Result<LoadedImage> LoadedImage::find(std::string_view soname) {
  struct Search {
    std::string_view soname;
    std::optional<LoadedImage> found;
  } search{soname, std::nullopt};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& s = *static_cast<Search*>(data);
        auto image = from_headers({info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum});
        if (!image || s.soname != image->soname_) return 0;
        s.found = *image;
        return 1;
      },
      &search);
  if (!search.found) return fail(ENOENT, "library is not loaded or is not glibc's");
  return *search.found;
}

std::span<const std::uint8_t> LoadedImage::text_bytes() const {
  return {reinterpret_cast<const std::uint8_t*>(text_.start().value()), text_.size()};
}

bool LoadedImage::readable(std::uint64_t a, std::uint64_t size) const {
  const auto* phdr = static_cast<const Elf64_Phdr*>(program_headers_);
  for (std::uint16_t i = 0; i < program_header_count_; ++i) {
    const std::uint64_t start = bias_ + phdr[i].p_vaddr;
    if (phdr[i].p_type == PT_LOAD && a >= start && a - start <= phdr[i].p_memsz &&
        phdr[i].p_memsz - (a - start) >= size)
      return true;
  }
  return false;
}

std::uint64_t LoadedImage::unwind_entries() const {
  if (eh_frame_hdr_bytes_ < kHdrTableOffset) return 0;
  const auto head = load<std::array<std::uint8_t, 4>>(eh_frame_hdr_);
  const bool known = head[0] == 1 && head[1] == kPcRelSdata4 && head[2] == kUdata4 && head[3] == kDataRelSdata4;
  if (!known) return 0;
  const std::uint64_t count = load<std::uint32_t>(eh_frame_hdr_ + 8);
  return std::min(count, (eh_frame_hdr_bytes_ - kHdrTableOffset) / kHdrEntryBytes);
}

Result<HostRange> LoadedImage::unwind_entry(std::uint64_t index) const {
  const std::uint64_t at = eh_frame_hdr_ + kHdrTableOffset + index * kHdrEntryBytes;
  return parse_fde(eh_frame_hdr_ + static_cast<std::uint64_t>(load<std::int32_t>(at + 4)));
}

Result<HostRange> LoadedImage::parse_fde(std::uint64_t fde) const {
  if (!readable(fde, 16)) return fail(EINVAL, "unwind table points outside the library");
  const auto length = load<std::uint32_t>(fde);
  const auto cie_distance = load<std::uint32_t>(fde + 4);
  if (length < 12 || length == 0xffffffff || cie_distance == 0) return fail(EINVAL, "unwind entry of unknown form");
  const std::uint64_t cie = fde + 4 - cie_distance;
  if (!readable(cie, 32)) return fail(EINVAL, "unwind table points outside the library");
  // CIE: length, id, version, augmentation string, then four LEB128 (code and data
  // alignment, return register, size of what follows) and the augmentation data.
  if (load<std::uint32_t>(cie + 4) != 0 || load<std::uint8_t>(cie + 8) != 1)
    return fail(EINVAL, "unwind entry of unknown version");
  const std::string_view augmentation(reinterpret_cast<const char*>(cie + 9));
  // Functions with a personality routine (zPLR) are not understood: no system call wrapper has one.
  if (augmentation != "zR" && augmentation != "zRS") return fail(EINVAL, "unwind entry of unknown augmentation");
  std::uint64_t at = cie + 9 + augmentation.size() + 1;
  at = skip_leb128(skip_leb128(skip_leb128(skip_leb128(at))));
  if (load<std::uint8_t>(at) != kPcRelSdata4) return fail(EINVAL, "unwind entry of unknown encoding");
  const std::uint64_t begin = fde + 8 + static_cast<std::uint64_t>(load<std::int32_t>(fde + 8));
  return HostRange::make(HostVa(begin), load<std::uint32_t>(fde + 12));
}

Result<HostRange> LoadedImage::unwind_bounds(HostVa a) const {
  std::uint64_t low = 0;
  std::uint64_t high = unwind_entries();
  auto function_start = [this](std::uint64_t i) {
    const std::uint64_t at = eh_frame_hdr_ + kHdrTableOffset + i * kHdrEntryBytes;
    return eh_frame_hdr_ + static_cast<std::uint64_t>(load<std::int32_t>(at));
  };
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (function_start(middle) <= a.value()) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return fail(ENOENT, "no unwind information");
  SX_TRY(HostRange bounds, unwind_entry(low - 1));
  if (!bounds.contains(a)) return fail(ENOENT, "no unwind information");
  return bounds;
}

const LoadedImage::Symbol* LoadedImage::symbol_at(HostVa a) const {
  const auto* symbol = reinterpret_cast<const Symbol*>(symbols_);
  const std::uint64_t value = file_address(a);
  for (std::uint64_t i = 0; i < symbol_count_; ++i) {
    if (ELF64_ST_TYPE(symbol[i].st_info) != STT_FUNC || symbol[i].st_shndx == SHN_UNDEF) continue;
    if (value >= symbol[i].st_value && value - symbol[i].st_value < symbol[i].st_size) return &symbol[i];
  }
  return nullptr;
}

Result<HostRange> LoadedImage::symbol_bounds(HostVa a) const {
  const Symbol* symbol = symbol_at(a);
  if (symbol == nullptr) return fail(ENOENT, "no exported symbol");
  return HostRange::make(HostVa(bias_ + symbol->st_value), symbol->st_size);
}

const char* LoadedImage::symbol_name(HostVa a) const {
  const Symbol* symbol = symbol_at(a);
  return symbol == nullptr ? "" : reinterpret_cast<const char*>(strings_ + symbol->st_name);
}

Result<HostRange> LoadedImage::enclosing(HostRange site) const {
  // Hand-written clone stubs end their unwind information at the syscall, because the child's
  // stack cannot be unwound; their symbol still spans the whole function.
  if (auto bounds = unwind_bounds(site.start()); bounds && bounds->contains(site)) return bounds;
  if (auto bounds = symbol_bounds(site.start()); bounds && bounds->contains(site)) return bounds;
  return fail(ENOENT, "no function bounds around the site");
}

}  // namespace softxe::patch
