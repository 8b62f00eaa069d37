#include "preload/own_libc.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/raw_syscall.h"
#include "preload/elf_tables.h"

// The linker's name for the header of this library.
extern "C" {
__attribute__((visibility("hidden"))) extern const Elf64_Ehdr __ehdr_start;
}

namespace softxe::preload {
namespace {

constinit const link_map* libc = nullptr;

bool ends_with(const char* text, const char* end) {
  for (; *text != '\0'; ++text)
    if (same_text(text, end)) return true;
  return false;
}

/// Libc allocates for a new thread in the one that makes it, which a sanitizer must know for that.
bool is_the_programs(const char* name) {
  for (const char* other : {"malloc", "calloc", "realloc", "free", "pthread_create", "pthread_join"})
    if (same_text(name, other)) return true;
  return false;
}

std::uint64_t own_base() { return reinterpret_cast<std::uint64_t>(&__ehdr_start); }

/// What the loader has made read-only behind itself: the slots lie in it.
std::optional<HostRange> own_relro() {
  const auto* segment = reinterpret_cast<const Elf64_Phdr*>(own_base() + __ehdr_start.e_phoff);
  for (const Elf64_Phdr* end = segment + __ehdr_start.e_phnum; segment != end; ++segment) {
    if (segment->p_type != PT_GNU_RELRO) continue;
    const std::uint64_t start = own_base() + segment->p_vaddr;
    return HostRange::between(HostVa(align_down(start, kPageSize)),
                              HostVa(align_down(start + segment->p_memsz, kPageSize)));
  }
  return std::nullopt;
}

/// In the loader's list, which nobody changes while constructors run.
const link_map* find_libc() {
  Dl_info info{};
  link_map* map = nullptr;
  if (dladdr1(&__ehdr_start, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0) return nullptr;
  while (map->l_prev != nullptr) map = map->l_prev;
  while (map != nullptr && !ends_with(map->l_name, "/libc.so.6")) map = map->l_next;
  return map;
}

/// Where a library ends that begins at `base`.
std::uint64_t end_of(std::uint64_t base) {
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(base);
  const auto* segment = reinterpret_cast<const Elf64_Phdr*>(base + header->e_phoff);
  std::uint64_t end = base;
  for (const Elf64_Phdr* last = segment + header->e_phnum; segment != last; ++segment)
    if (segment->p_type == PT_LOAD) end = base + segment->p_vaddr + segment->p_memsz;
  return end;
}

/// In most programs the loader has done it already, and nothing is written.
void bind_own_libc() {
  libc = find_libc();
  const std::optional<HostRange> relro = own_relro();
  if (libc == nullptr || !relro) return;
  const auto protect = [&](int protection) {
    return raw_syscall(SYS_mprotect, relro->start().value(), relro->size(), protection) == 0;
  };
  const std::uint64_t end = end_of(libc->l_addr);
  const auto is_elsewhere = [end](const void* bound) {
    const auto at = reinterpret_cast<std::uint64_t>(bound);
    return at < libc->l_addr || at >= end;
  };
  const ElfTables exports(libc->l_addr, libc->l_ld);
  bool writable = false;
  ElfTables(own_base(), _DYNAMIC)
      .for_each_import(is_elsewhere, [&](void** slot, const char* name, VersionHash version) {
        if (is_the_programs(name)) return;
        void* own = exports.find_function(name, version);
        writable = writable || (own != nullptr && protect(PROT_READ | PROT_WRITE));
        if (own != nullptr && writable) *slot = own;
      });
  if (writable) protect(PROT_READ);
}

bool is_active(char** environment) {
  for (; environment != nullptr && *environment != nullptr; ++environment)
    if (same_text(*environment, "SOFTXE_ACTIVE=1")) return true;
  return false;
}

// Before all other constructors of this library, which call libc.
__attribute__((constructor(101))) void bind_on_load(int, char**, char** environment) {
  if (is_active(environment)) bind_own_libc();
}

}  // namespace

bool libc_is_bound() { return libc != nullptr; }

void* own_libc_symbol(const char* name) {
  void* found =
      libc == nullptr ? nullptr : ElfTables(libc->l_addr, libc->l_ld).find_function(name, VersionHash::kDefault);
  return found != nullptr ? found : next_symbol(name);
}

}  // namespace softxe::preload
