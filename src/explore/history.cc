#include "explore/history.h"

#include <fmt/format.h>

#include <algorithm>

namespace softxe::explore {

namespace {

constexpr std::uint64_t kWord = 4;
/// Larger stores name no words of their own: somebody will look at some of theirs.
constexpr std::uint64_t kNamedBytesMax = 8;

}  // namespace

std::size_t History::begins(const Store& store) {
  if (store.where.size <= kNamedBytesMax && store.where.start % kWord == 0) {
    for (std::uint64_t at = store.where.start; at + kWord <= store.where.end(); at += kWord) named_.push_back(at);
  }
  stores_.push_back({store, ++now_});
  return stores_.size() - 1;
}

void History::ended(std::size_t store, Result result) {
  stores_[store].end = ++now_;
  if (result == Result::kUnknown) stores_[store].store.maybe = true;
}

std::optional<std::uint32_t> History::value_at(const Store& store, std::uint64_t word) {
  const bool whole = store.where.start % kWord == 0 && store.where.start <= word && word + kWord <= store.where.end();
  if (!whole) return std::nullopt;
  return store.high && (word - store.where.start) % (2 * kWord) != 0 ? store.high : store.low;
}

std::string History::loaded(Bytes where, std::uint64_t value, std::uint64_t began) {
  ++now_;
  if (where.start % kWord != 0 || where.size % kWord != 0) return {};
  for (std::uint64_t at = where.start; at < where.end(); at += kWord) {
    named_.push_back(at);
    const auto word = static_cast<std::uint32_t>(value >> ((at - where.start) * 8));
    if (std::string why = loaded_word(at, word, began); !why.empty()) return why;
  }
  return {};
}

std::string History::loaded_word(std::uint64_t at, std::uint32_t value, std::uint64_t began) const {
  const auto touches = [at](const Happened& s) { return s.store.where.start < at + kWord && at < s.store.where.end(); };
  std::string candidates;
  bool overwritten_before = false;  // of what memory has when nobody has stored
  for (const Happened& store : stores_) {
    if (!touches(store)) continue;
    const bool gone = std::any_of(stores_.begin(), stores_.end(), [&](const Happened& other) {
      return touches(other) && !other.store.maybe && store.end < other.begin && other.end < began;
    });
    if (!store.store.maybe && store.end < began) overwritten_before = true;
    if (gone) continue;
    const auto stored = value_at(store.store, at);
    if (!stored || *stored == value) return {};
    candidates += fmt::format(" {:#x}", *stored);
  }
  if (!overwritten_before) {
    if (value == 0) return {};
    candidates += " 0x0";
  }
  return fmt::format("the word at {:#x} is {:#x}; stores explain{}", at, value,
                     candidates.empty() ? std::string(" nothing") : candidates);
}

std::vector<std::uint64_t> History::words() const {
  std::vector<std::uint64_t> words = named_;
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

}  // namespace softxe::explore
