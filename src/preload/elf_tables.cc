#include "preload/elf_tables.h"

namespace softxe::preload {
namespace {

constexpr std::uint16_t kVersionMask = 0x7fff;
constexpr std::uint16_t kNotTheDefault = 0x8000;

/// The table of DT_GNU_HASH: a header, a Bloom filter, buckets of symbol numbers, one hash per symbol.
struct HashHeader {
  std::uint32_t buckets;
  std::uint32_t first_symbol;
  std::uint32_t filter_words;
  std::uint32_t filter_shift;
};

std::uint32_t hash_of(const char* name) {
  std::uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<std::uint8_t>(*name);
  return hash;
}

template <typename T>
const T& at_address(std::uint64_t address) {
  return *reinterpret_cast<const T*>(address);
}

}  // namespace

bool same_text(const char* one, const char* other) {
  for (; *one == *other; ++one, ++other)
    if (*one == '\0') return true;
  return false;
}

ElfTables::ElfTables(std::uint64_t load_bias, const Elf64_Dyn* dynamic) : bias_(load_bias) {
  for (; dynamic->d_tag != DT_NULL; ++dynamic) note(*dynamic);
}

void ElfTables::note(const Elf64_Dyn& entry) {
  const std::uint64_t value = entry.d_un.d_val;
  // The loader has added the bias where it could write.
  const std::uint64_t address = value < bias_ ? bias_ + value : value;
  switch (entry.d_tag) {
    case DT_SYMTAB: symbols_ = &at_address<Elf64_Sym>(address); break;
    case DT_STRTAB: strings_ = &at_address<char>(address); break;
    case DT_GNU_HASH: hash_ = &at_address<std::uint32_t>(address); break;
    case DT_RELA: relocations_.at = address; break;
    case DT_RELASZ: relocations_.bytes = value; break;
    case DT_JMPREL: calls_.at = address; break;
    case DT_PLTRELSZ: calls_.bytes = value; break;
    case DT_VERSYM: versions_ = &at_address<std::uint16_t>(address); break;
    case DT_VERNEED: needed_ = address; break;
    case DT_VERDEF: defined_ = address; break;
    default: break;
  }
}

bool ElfTables::is_import(const Elf64_Rela& entry) const {
  const std::uint64_t kind = ELF64_R_TYPE(entry.r_info);
  if (kind != R_X86_64_GLOB_DAT && kind != R_X86_64_JUMP_SLOT) return false;
  const Elf64_Sym& symbol = symbol_of(entry);
  return symbol.st_shndx == SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT;
}

VersionHash ElfTables::version_of(const Elf64_Rela& entry) const {
  if (versions_ == nullptr || needed_ == 0) return VersionHash::kDefault;
  const unsigned wanted = versions_[ELF64_R_SYM(entry.r_info)] & kVersionMask;
  for (std::uint64_t file_at = needed_;;) {
    const auto& file = at_address<Elf64_Verneed>(file_at);
    std::uint64_t version_at = file_at + file.vn_aux;
    for (unsigned i = 0; i < file.vn_cnt; ++i) {
      const auto& version = at_address<Elf64_Vernaux>(version_at);
      if (version.vna_other == wanted) return VersionHash(version.vna_hash);
      version_at += version.vna_next;
    }
    if (file.vn_next == 0) return VersionHash::kDefault;
    file_at += file.vn_next;
  }
}

bool ElfTables::has_version(std::uint64_t symbol, VersionHash version) const {
  if (versions_ == nullptr || defined_ == 0) return true;
  if (version == VersionHash::kDefault) return (versions_[symbol] & kNotTheDefault) == 0;
  for (std::uint64_t at = defined_;;) {
    const auto& defined = at_address<Elf64_Verdef>(at);
    if (defined.vd_ndx == (versions_[symbol] & kVersionMask)) return VersionHash(defined.vd_hash) == version;
    if (defined.vd_next == 0) return false;
    at += defined.vd_next;
  }
}

void* ElfTables::find_function(const char* name, VersionHash version) const {
  if (hash_ == nullptr || symbols_ == nullptr) return nullptr;
  const auto& header = *reinterpret_cast<const HashHeader*>(hash_);
  const std::uint32_t* buckets = hash_ + sizeof header / sizeof *hash_ + 2ULL * header.filter_words;
  const std::uint32_t* hashes = buckets + header.buckets;
  const std::uint32_t wanted = hash_of(name);
  std::uint32_t index = buckets[wanted % header.buckets];
  if (index < header.first_symbol) return nullptr;
  for (;; ++index) {
    const std::uint32_t hash = hashes[index - header.first_symbol];
    const Elf64_Sym& symbol = symbols_[index];
    if ((hash | 1) == (wanted | 1) && symbol.st_shndx != SHN_UNDEF && same_text(name_of(symbol), name) &&
        has_version(index, version)) {
      const std::uint64_t at = bias_ + symbol.st_value;
      if (ELF64_ST_TYPE(symbol.st_info) == STT_GNU_IFUNC) return reinterpret_cast<void* (*)()>(at)();
      return ELF64_ST_TYPE(symbol.st_info) == STT_FUNC ? reinterpret_cast<void*>(at) : nullptr;
    }
    if ((hash & 1) != 0) return nullptr;
  }
}

}  // namespace softxe::preload
