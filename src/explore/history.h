// History: every load must be explained by a store that may come before it, word by word.
//
// Accesses have a begin and an end; one that ends before another begins comes before it, others are in either order. A
// load of a word is explained by a store of its value that begins before the load ends, unless a third store of that
// word lies between the two. Next: docs/EXPLORE.md.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace softxe::explore {

/// Bytes of the mirrored process.
struct Bytes {
  std::uint64_t start = 0;
  std::uint64_t size = 0;
  std::uint64_t end() const { return start + size; }
};

/// Words are of 4 bytes, aligned; what is smaller counts as a store of anything. Lives as long as one schedule; its
/// flows run one at a time: no lock.
class History {
 public:
  struct Store {
    Bytes where{};
    /// Of every word; none: whatever.
    std::optional<std::uint32_t> low{};
    /// Of the words at odd places of a store of 8 bytes.
    std::optional<std::uint32_t> high{};
    /// Whether it happens at all is not known: it explains a value, and overwrites none.
    bool maybe = false;
  };
  /// Names the store for ended().
  std::size_t begins(const Store& store);
  enum class Result : std::uint8_t { kDone, kUnknown };
  void ended(std::size_t store, Result result);

  /// When a load begins, for loaded().
  std::uint64_t now() { return ++now_; }
  /// A load that began then and ends now has found `value`. Empty when that is explained, else why not.
  std::string loaded(Bytes where, std::uint64_t value, std::uint64_t began);
  /// Places of words that somebody named; each once.
  std::vector<std::uint64_t> words() const;

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  struct Happened {
    Store store;
    std::uint64_t begin = 0;
    std::uint64_t end = kNever;
  };
  std::string loaded_word(std::uint64_t at, std::uint32_t value, std::uint64_t began) const;
  static std::optional<std::uint32_t> value_at(const Store& store, std::uint64_t word);

  std::vector<Happened> stores_;
  std::vector<std::uint64_t> named_;
  std::uint64_t now_ = 0;
};

}  // namespace softxe::explore
