// The dynamic section of a loaded library: what it imports, what it exports.
//
// For the moment before anything is ready (own_libc.h): nothing here calls libc or allocates. The loader's own look-up
// knows scopes only, and for it libc stands behind whoever comes before.
#pragma once

#include <elf.h>

#include <cstdint>
#include <initializer_list>

namespace softxe::preload {

/// strcmp() is one of the functions that are about to be bound.
bool same_text(const char* one, const char* other);

/// The ELF hash of a symbol version's name, which both sides carry; kDefault is whatever the library calls its default.
enum class VersionHash : std::uint32_t { kDefault = 0 };

/// A value; points into the library's memory, which must stay loaded. Never changes: no lock.
class ElfTables {
 public:
  /// `load_bias` is what the loader has added to the addresses of the file; `dynamic` ends with DT_NULL.
  ElfTables(std::uint64_t load_bias, const Elf64_Dyn* dynamic);

  /// Where the function is, an indirect one resolved; null: none of this name and version.
  void* find_function(const char* name, VersionHash version) const;

  /// Calls `visit(slot, name, version)` for each slot that the loader has filled with the address of a function
  /// which this library asks of a versioned other one, where `wanted(address)` says so.
  template <typename Wanted, typename Visit>
  void for_each_import(Wanted wanted, Visit visit) const {
    for (const Table& table : {relocations_, calls_}) {
      const auto* entry = reinterpret_cast<const Elf64_Rela*>(table.at);
      for (const Elf64_Rela* end = entry + table.bytes / sizeof *entry; entry != end; ++entry) {
        auto** slot = reinterpret_cast<void**>(bias_ + entry->r_offset);
        if (!is_import(*entry) || !wanted(*slot)) continue;
        const VersionHash version = version_of(*entry);
        if (version != VersionHash::kDefault) visit(slot, name_of(symbol_of(*entry)), version);
      }
    }
  }

 private:
  struct Table {
    std::uint64_t at;
    std::uint64_t bytes;
  };

  void note(const Elf64_Dyn& entry);
  const Elf64_Sym& symbol_of(const Elf64_Rela& entry) const { return symbols_[ELF64_R_SYM(entry.r_info)]; }
  const char* name_of(const Elf64_Sym& symbol) const { return strings_ + symbol.st_name; }
  bool is_import(const Elf64_Rela& entry) const;
  /// kDefault when it has none.
  VersionHash version_of(const Elf64_Rela& entry) const;
  bool has_version(std::uint64_t symbol, VersionHash version) const;

  std::uint64_t bias_;
  const Elf64_Sym* symbols_ = nullptr;
  const char* strings_ = nullptr;
  Table relocations_{};
  Table calls_{};
  const std::uint32_t* hash_ = nullptr;
  const std::uint16_t* versions_ = nullptr;
  std::uint64_t needed_ = 0;   ///< versions of others that are used
  std::uint64_t defined_ = 0;  ///< versions of its own
};

}  // namespace softxe::preload
