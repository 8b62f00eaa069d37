#include "cli/symbols.h"

#include <cxxabi.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>
#include <string_view>

namespace softxe::trace {

namespace {

char* debug_path = nullptr;  // libdw's own

constexpr Dwfl_Callbacks kCallbacks{.find_elf = dwfl_build_id_find_elf,
                                    .find_debuginfo = dwfl_standard_find_debuginfo,
                                    .section_address = dwfl_offline_section_address,
                                    .debuginfo_path = &debug_path};

std::string readable(const char* name) {
  int failed = 0;
  const std::unique_ptr<char, decltype(&std::free)> plain(abi::__cxa_demangle(name, nullptr, nullptr, &failed),
                                                          std::free);
  return failed == 0 && plain != nullptr ? plain.get() : name;
}

std::string_view file_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Symbols::Symbols(std::span<const LoadedFile> files)
    : files_(files.begin(), files.end()), session_(dwfl_begin(&kCallbacks)) {
  if (session_ == nullptr) return;
  dwfl_report_begin(session_);
  std::set<std::pair<std::string, std::uint64_t>> told;
  for (const LoadedFile& file : files_) {
    const std::uint64_t base = file.start - file.offset;
    if (file.name.starts_with('/') && told.emplace(file.name, base).second)
      dwfl_report_elf(session_, file.name.c_str(), file.name.c_str(), -1, base, false);
  }
  dwfl_report_end(session_, nullptr, nullptr);
}

Symbols::~Symbols() { dwfl_end(session_); }

const std::string& Symbols::text_of(std::uint64_t address) {
  const auto [at, fresh] = known_.try_emplace(address);
  if (fresh) at->second = look_up(address);
  return at->second;
}

std::string Symbols::look_up(std::uint64_t address) const {
  const auto file = std::ranges::find_if(files_, [&](const LoadedFile& f) { return address - f.start < f.size; });
  if (file == files_.end()) return fmt::format("{:#x}", address);
  const std::string_view module_name = file_of(file->name);
  Dwfl_Module* module = session_ != nullptr ? dwfl_addrmodule(session_, address) : nullptr;
  GElf_Off offset = 0;
  GElf_Sym symbol;
  const char* name =
      module != nullptr ? dwfl_module_addrinfo(module, address, &offset, &symbol, nullptr, nullptr, nullptr) : nullptr;
  if (name == nullptr) return fmt::format("{}+{:#x}", module_name, address - file->start + file->offset);
  int line = 0;
  const char* source = nullptr;
  if (Dwfl_Line* at = dwfl_module_getsrc(module, address); at != nullptr)
    source = dwfl_lineinfo(at, nullptr, &line, nullptr, nullptr, nullptr);
  const std::string where = source != nullptr ? fmt::format("{}:{}", file_of(source), line) : std::string(module_name);
  return fmt::format("{}+{:#x} ({})", readable(name), offset, where);
}

}  // namespace softxe::trace
