// Compacted instructions: 8 bytes that stand for 16 (spec/eu-isa.md 2.9).
//
// Expansion happens once, before anything looks at a field, so that the rest knows native words only.
// Read next: eu_compaction_tables.inc (the values).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "hw/eu/eu_opcodes.h"
#include "hw/eu/eu_word.h"

namespace softxe {

/// The native word that the 8 bytes stand for. EILSEQ: operations of this format are never compacted, or the
/// immediate's type cannot be.
Result<EuWord> eu_expand(std::span<const std::byte, 8> bytes, const EuOpInfo& op);

/// The compacted form of a native word: 8 bytes as a number in memory order. Nothing when no row of the tables
/// fits. Expanding it gives `word` again, but for bits that its format does not use.
std::optional<std::uint64_t> eu_compact(const EuWord& word, const EuOpInfo& op);

}  // namespace softxe
