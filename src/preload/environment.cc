#include "preload/environment.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

constexpr std::string_view kLibraryName = "libsoftxe-preload.so";
constexpr std::string_view kPreload = "LD_PRELOAD=";
constexpr std::string_view kActive = "SOFTXE_ACTIVE=";
constexpr std::string_view kRunFolder = "SOFTXE_RUN_DIR=";
constexpr std::size_t kVariablesMax = 64;

/// Made in the constructor, never destroyed.
struct Told {
  std::string library;
  std::vector<std::string> variables;  ///< SOFTXE_NAME=value
};
constinit Told* told = nullptr;

std::size_t name_length(std::string_view variable) { return variable.find('=') + 1; }

/// Does the client's string begin with `start`? Its memory may be anything.
bool begins(const char* text, std::string_view start) {
  for (const char wanted : start) {
    char found = 0;
    if (!guarded_copy(&found, text++, 1) || found != wanted) return false;
  }
  return true;
}

bool holds_library(const char* list) { return std::strstr(list, kLibraryName.data()) != nullptr; }

std::string own_path() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&note_environment), &info) == 0 || info.dli_fname == nullptr) return {};
  return info.dli_fname;
}

}  // namespace

void note_environment(char** environment) {
  told = new Told{.library = own_path(), .variables = {}};
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view variable(*environment);
    if (variable.starts_with("SOFTXE_") && told->variables.size() < kVariablesMax)
      told->variables.emplace_back(variable);
  }
}

EnvironmentPlan::EnvironmentPlan(char* const* environment) : client_(environment) {
  if (told == nullptr || told->library.empty()) return;
  const std::size_t known = told->variables.size();
  missing_ = known == kVariablesMax ? ~0ull : (1ull << known) - 1;
  bool other_run = false;
  for (; client_ != nullptr; ++count_) {
    std::uint64_t word = 0;
    if (!guarded_load64(client_ + count_, word)) return;  // the kernel will say so
    const auto* text = reinterpret_cast<const char*>(word);
    if (text == nullptr) break;
    if (begins(text, kPreload)) {
      library_missing_ = !holds_library(text);
      preload_ = library_missing_ ? client_ + count_ : nullptr;
    } else if (begins(text, "SOFTXE_")) {
      for (std::size_t i = 0; i < known; ++i) {
        const std::string_view mine(told->variables[i]);
        if (begins(text, mine.substr(0, name_length(mine)))) missing_ &= ~(1ull << i);
      }
      if (begins(text, kActive) && !begins(text, "SOFTXE_ACTIVE=1")) return;
      if (begins(text, kRunFolder)) other_run = std::string_view(text + kRunFolder.size()) != settings().run_dir;
    }
  }
  if (other_run) missing_ = 0;
  add_missing();
}

void EnvironmentPlan::add_missing() {
  needed_ = missing_ != 0 || library_missing_;
  words_ = count_ + static_cast<std::size_t>(__builtin_popcountll(missing_)) + 2;
  bytes_ = kPreload.size() + told->library.size() + 1;
  if (preload_ != nullptr) bytes_ += std::strlen(*preload_) - kPreload.size() + 1;
}

char** EnvironmentPlan::make(char** list, char* text) const {
  std::size_t made = 0;
  for (std::size_t i = 0; i < count_; ++i)
    if (client_ + i != preload_) list[made++] = client_[i];
  for (std::size_t i = 0; i < told->variables.size(); ++i)
    if ((missing_ >> i & 1) != 0) list[made++] = told->variables[i].data();
  if (library_missing_) {
    list[made++] = text;
    char* end = std::copy(kPreload.begin(), kPreload.end(), text);
    end = std::copy(told->library.begin(), told->library.end(), end);
    if (preload_ != nullptr) {
      *end++ = ':';
      const std::string_view rest(*preload_ + kPreload.size());
      end = std::copy(rest.begin(), rest.end(), end);
    }
    *end = '\0';
  }
  list[made] = nullptr;
  return list;
}

}  // namespace softxe::preload
