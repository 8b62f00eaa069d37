// Functions of libc by its own tables: the loader's look-up is the oracle.
#include "preload/elf_tables.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>

namespace softxe::preload {
namespace {

const link_map* loaded_libc() { return static_cast<const link_map*>(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD)); }

ElfTables tables() { return {loaded_libc()->l_addr, loaded_libc()->l_ld}; }

VersionHash hash_of_version(const char* name) {
  std::uint32_t hash = 0;
  for (; *name != '\0'; ++name) {
    hash = (hash << 4) + static_cast<std::uint8_t>(*name);
    hash = (hash ^ ((hash >> 24) & 0xf0)) & 0x0fffffff;
  }
  return VersionHash{hash};
}

struct Row {
  const char* claim;
  const char* name;
  const char* version;  ///< null: the default one
};

class ElfTablesOfLibc : public testing::TestWithParam<Row> {};

TEST_P(ElfTablesOfLibc, AnswersAsTheLoaderDoes) {
  const Row& row = GetParam();
  void* libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  void* wanted = row.version == nullptr ? dlsym(libc, row.name) : dlvsym(libc, row.name, row.version);
  const VersionHash version = row.version == nullptr ? VersionHash::kDefault : hash_of_version(row.version);
  EXPECT_EQ(tables().find_function(row.name, version), wanted) << row.claim;
}

INSTANTIATE_TEST_SUITE_P(Rows, ElfTablesOfLibc,
                         testing::Values(Row{"a plain function", "sigaction", nullptr},
                                         Row{"an indirect function", "memcpy", nullptr},
                                         Row{"the new version", "pthread_cond_wait", "GLIBC_2.3.2"},
                                         Row{"the old version", "pthread_cond_wait", "GLIBC_2.2.5"},
                                         Row{"the default one of several", "pthread_cond_wait", nullptr},
                                         Row{"a version that it does not have", "sigaction", "GLIBC_2.34"},
                                         Row{"nothing of that name", "no_such_function", nullptr}),
                         [](const auto& row) { return "Row" + std::to_string(row.index); });

TEST(ElfTables, VariablesAreNoFunctions) {
  EXPECT_EQ(tables().find_function("environ", VersionHash::kDefault), nullptr);
}

TEST(ElfTables, ImportsAreSlotsThatHoldTheAddress) {
  // This program's own: what it calls of libc is where the loader has said.
  Dl_info info{};
  link_map* map = nullptr;
  ASSERT_NE(dladdr1(&_DYNAMIC[0], &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP), 0);
  unsigned seen = 0;
  const ElfTables own(map->l_addr, map->l_ld);
  const auto count = [&](void** slot, const char* name, VersionHash version) {
    if (!same_text(name, "dlvsym")) return;
    ++seen;
    EXPECT_EQ(*slot, tables().find_function(name, version));
  };
  own.for_each_import([](const void*) { return true; }, count);
  EXPECT_EQ(seen, 1U);
  own.for_each_import([](const void*) { return false; }, count);
  EXPECT_EQ(seen, 1U) << "what is bound as it should be is passed over";
}

}  // namespace
}  // namespace softxe::preload
