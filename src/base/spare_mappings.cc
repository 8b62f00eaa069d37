#include "base/spare_mappings.h"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace softxe {

namespace {

bool keeping = false;

using Key = std::pair<SpareMappings::Source, std::uint64_t>;
std::map<Key, std::vector<SpareMappings::Spare>>& spares() {
  static std::map<Key, std::vector<SpareMappings::Spare>> all;
  return all;
}

std::set<const void*>& clean() {
  static std::set<const void*> all;
  return all;
}

}  // namespace

void SpareMappings::keep() { keeping = true; }
bool SpareMappings::kept() { return keeping; }

SpareMappings::Spare SpareMappings::take(Source source, std::uint64_t bytes) {
  if (!keeping) return {};
  const auto found = spares().find({source, bytes});
  if (found == spares().end() || found->second.empty()) return {};
  // Always in the same order, whoever gave them back first: runs must not differ by their addresses. From above, as
  // the kernel makes mappings.
  const auto highest = std::ranges::max_element(found->second, {}, &Spare::start);
  const Spare spare = *highest;
  found->second.erase(highest);
  return spare;
}

void SpareMappings::give_or_unmap(Source source, const Spare& spare) {
  if (keeping) {
    spares()[{source, spare.bytes}].push_back(spare);
  } else {
    munmap(spare.start, spare.bytes);
  }
}

void SpareMappings::note_clean(const void* start) {
  if (keeping) clean().insert(start);
}

bool SpareMappings::was_noted_clean(const void* start) { return clean().erase(start) != 0; }

}  // namespace softxe
