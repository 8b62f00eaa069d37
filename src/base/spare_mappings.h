// SpareMappings: address space that outlives who had it, for the next who wants as much of it.
//
// A simulated world lives for a fraction of a millisecond where orders are searched; most of that went into the kernel,
// which makes mappings, fills them page by page and takes them apart. Where spares are kept, an owner cleans what it
// has written and leaves the mapping here instead of unmapping it. Nowhere else is anything kept: the product's
// mappings end with their owners.
#pragma once

#include <cstdint>

namespace softxe {

/// One thread at a time, which is that of keep(). None of it runs before keep().
class SpareMappings {
 public:
  /// Who made it, and so what is in it: mappings of different sources are never exchanged.
  enum class Source : std::uint8_t { kEngine, kFrames, kVram, kEvents };
  struct Spare {
    void* start = nullptr;
    std::uint64_t bytes = 0;
    std::uint64_t usable = 0;  ///< of an EngineMapping: what grow() has made usable
  };

  /// From now on, in this process and its fork children.
  static void keep();
  static bool kept();
  /// One of just so many bytes, as its owner has left it: clean. Null start: none.
  static Spare take(Source source, std::uint64_t bytes);
  /// Clean where spares are kept; where none are, it is unmapped.
  static void give_or_unmap(Source source, const Spare& spare);

  /// An EngineMapping that is too large to be cleaned as a whole: its owner has made every byte zero again. It is
  /// given when it ends.
  static void note_clean(const void* start);
  static bool was_noted_clean(const void* start);
};

}  // namespace softxe
