#include "preload/environment.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "preload/session.h"
#include "preload/settings.h"

namespace softxe::preload {
namespace {

/// A variable with entries between colons, one of which is ours; it is known by `mark`, which ends where it ends.
struct ListVariable {
  std::string_view name;
  const char* mark;
};
constexpr std::array kLists{ListVariable{"LD_PRELOAD=", "libsoftxe-preload.so"},
                            ListVariable{"ASAN_OPTIONS=", kAsanOption}};
constexpr std::string_view kActive = "SOFTXE_ACTIVE=";
constexpr std::string_view kRunFolder = "SOFTXE_RUN_DIR=";
constexpr std::size_t kVariablesMax = 64;

/// Made in the constructor, never destroyed.
struct Told {
  std::array<std::string, kLists.size()> entries;  ///< of the lists
  std::vector<std::string> variables;              ///< SOFTXE_NAME=value
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

std::string own_path() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&note_environment), &info) == 0 || info.dli_fname == nullptr) return {};
  return info.dli_fname;
}

}  // namespace

void note_environment(char** environment) {
  told = new Told{.entries = {own_path(), kAsanOption}, .variables = {}};
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view variable(*environment);
    if (variable.starts_with("SOFTXE_") && told->variables.size() < kVariablesMax)
      told->variables.emplace_back(variable);
  }
}

EnvironmentPlan::EnvironmentPlan(char* const* environment) : client_(environment) {
  if (told == nullptr || told->entries.front().empty()) return;
  const std::size_t known = told->variables.size();
  missing_ = known == kVariablesMax ? ~0ull : (1ull << known) - 1;
  bool other_run = false;
  for (; client_ != nullptr; ++count_) {
    std::uint64_t word = 0;
    if (!guarded_load64(client_ + count_, word)) return;  // the kernel will say so
    const auto* text = reinterpret_cast<const char*>(word);
    if (text == nullptr) break;
    for (std::size_t i = 0; i < kLists.size(); ++i)
      if (begins(text, kLists[i].name)) look_at(client_ + count_, i);
    if (begins(text, "SOFTXE_")) {
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

void EnvironmentPlan::look_at(char* const* variable, std::size_t list) {
  const bool missing = std::strstr(*variable, kLists[list].mark) == nullptr;
  lists_[list] = {.missing = missing, .variable = missing ? variable : nullptr};
}

void EnvironmentPlan::add_missing() {
  needed_ = missing_ != 0;
  words_ = count_ + static_cast<std::size_t>(__builtin_popcountll(missing_)) + kLists.size() + 1;
  for (std::size_t i = 0; i < kLists.size(); ++i) {
    if (!lists_[i].missing) continue;
    needed_ = true;
    bytes_ += kLists[i].name.size() + told->entries[i].size() + 1;
    if (lists_[i].variable != nullptr) bytes_ += std::strlen(*lists_[i].variable) - kLists[i].name.size() + 1;
  }
}

char** EnvironmentPlan::make(char** list, char* text) const {
  std::size_t made = 0;
  const auto replaced = [this](char* const* variable) {
    return std::any_of(lists_.begin(), lists_.end(), [variable](const List& l) { return l.variable == variable; });
  };
  for (std::size_t i = 0; i < count_; ++i)
    if (!replaced(client_ + i)) list[made++] = client_[i];
  for (std::size_t i = 0; i < told->variables.size(); ++i)
    if ((missing_ >> i & 1) != 0) list[made++] = told->variables[i].data();
  for (std::size_t i = 0; i < kLists.size(); ++i) {
    if (!lists_[i].missing) continue;
    list[made++] = text;
    text = std::copy(kLists[i].name.begin(), kLists[i].name.end(), text);
    text = std::copy(told->entries[i].begin(), told->entries[i].end(), text);
    if (lists_[i].variable != nullptr) {
      *text++ = ':';
      const std::string_view rest(*lists_[i].variable + kLists[i].name.size());
      text = std::copy(rest.begin(), rest.end(), text);
    }
    *text++ = '\0';
  }
  list[made] = nullptr;
  return list;
}

}  // namespace softxe::preload
