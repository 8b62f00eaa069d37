#include "base/spare_mappings.h"

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
  const Spare spare = found->second.back();
  found->second.pop_back();
  return spare;
}

bool SpareMappings::give(Source source, const Spare& spare) {
  if (!keeping) return false;
  spares()[{source, spare.bytes}].push_back(spare);
  return true;
}

void SpareMappings::note_clean(const void* start) {
  if (keeping) clean().insert(start);
}

bool SpareMappings::was_noted_clean(const void* start) { return clean().erase(start) != 0; }

}  // namespace softxe
