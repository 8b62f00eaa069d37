#include "hw/eu/eu_compaction.h"

#include <array>

namespace softxe {
namespace {

#include "hw/eu/eu_compaction_tables.inc"

/// Where bits of a table value go in the native word, from the least significant upwards.
using Pieces = std::span<const EuField>;
using Values = std::span<const std::uint64_t>;

constexpr EuField kControlPieces[] = {{28, 18}, eu_bit(31), eu_bit(32), eu_bit(34), {95, 92}};
constexpr EuField kDatatypePieces[] = {{43, 35}, {50, 46}, eu_bit(66), {91, 88}, eu_bit(98)};
constexpr EuField kSubregPieces[] = {eu_bit(33), {55, 51}, {71, 67}, eu_bit(87)};
constexpr EuField kSource0Pieces[] = {{45, 44}, {65, 64}, {86, 80}};
constexpr EuField kSource1Pieces[] = {{97, 96}, {103, 99}, {118, 112}, {121, 120}};
constexpr EuField kControl3Pieces[] = {{28, 18}, eu_bit(31), eu_bit(32), eu_bit(34), {42, 36},
                                       {50, 48}, {82, 80},   {90, 88},   {95, 92}};
constexpr EuField kSource3Pieces[] = {eu_bit(35), {47, 43}, {66, 64}, {87, 83}, eu_bit(91), {98, 96}, {114, 112}};
constexpr EuField kSubreg3Pieces[] = {{55, 51}, {71, 67}, {103, 99}, {119, 115}};

/// A table index of the compacted word and what it stands for.
struct Lookup {
  EuField index;
  EuField index_top;  ///< upper bits of the index that stand apart
  Values values;
  Pieces pieces;
};
/// A field that is the same in both words.
struct Copy {
  EuField compacted;
  EuField native;
};

constexpr EuField kDatatypeIndex{28, 26};
constexpr EuField kDatatypeIndexTop{31, 30};
constexpr Lookup kSource1Lookup{{55, 52}, kEuNoField, kSource1, kSource1Pieces};
constexpr Copy kSource1Register{{63, 56}, {111, 104}};
constexpr EuField kCompactedImm{63, 52};
constexpr EuField kImmOne = eu_bit(46);  ///< native bit that says the source is immediate
constexpr EuField kImmTwo = eu_bit(47);

constexpr Lookup kLookups[] = {
    {{22, 18}, kEuNoField, kControl, kControlPieces},
    {{25, 23}, kEuNoField, kSource0, kSource0Pieces},
    {kDatatypeIndex, kDatatypeIndexTop, kDatatype, kDatatypePieces},
    {{51, 48}, kEuNoField, kSubreg, kSubregPieces},
};
constexpr Copy kCopies[] = {
    {{6, 0}, {6, 0}}, {{17, 8}, {17, 8}}, {{7, 7}, {30, 30}}, {{39, 32}, {63, 56}}, {{47, 40}, {79, 72}},
};
constexpr Lookup kLookups3[] = {
    {{21, 18}, kEuNoField, kControl3, kControl3Pieces},
    {{25, 22}, kEuNoField, kSource3, kSource3Pieces},
    {{28, 26}, {31, 30}, kSubreg3, kSubreg3Pieces},
};
constexpr Lookup kLookupsDpas[] = {
    {{21, 18}, kEuNoField, kControl3Dpas, kControl3Pieces},
    {{25, 22}, kEuNoField, kSource3Dpas, kSource3Pieces},
    {{28, 26}, {31, 30}, kSubreg3, kSubreg3Pieces},
};
constexpr Copy kCopies3[] = {
    {{6, 0}, {6, 0}},     {{17, 8}, {17, 8}},     {{7, 7}, {30, 30}},     {{39, 32}, {63, 56}},
    {{47, 40}, {79, 72}}, {{55, 48}, {127, 120}}, {{63, 56}, {111, 104}},
};

/// Width of a field; none is as wide as a value, by which it is shifted.
unsigned bits(EuField field) { return field.present() ? (field.high - field.low + 1U) % 64 : 0; }

std::uint64_t index_of(const EuWord& compacted, const Lookup& lookup) {
  return compacted.get(lookup.index_top) << bits(lookup.index) | compacted.get(lookup.index);
}

void put(EuWord& native, Pieces pieces, std::uint64_t value) {
  for (const EuField piece : pieces) {
    native.set(piece, value);
    value >>= bits(piece);
  }
}

void expand(EuWord& native, const EuWord& compacted, const Lookup& lookup) {
  put(native, lookup.pieces, lookup.values[index_of(compacted, lookup)]);
}

void expand(EuWord& native, const EuWord& compacted, std::span<const Copy> copies) {
  for (const Copy& copy : copies) native.set(copy.native, compacted.get(copy.compacted));
}

/// How the 12 bits of an immediate become 32, by the immediate's type (numbered as in the type field).
enum class Imm12 : std::uint8_t { kNone, kZero, kSign, kPairZero, kPairSign, kFloat, kPairHalf };
constexpr std::array<Imm12, 16> kImm12 = {
    Imm12::kZero,      // uv
    Imm12::kPairZero,  // uw
    Imm12::kZero,      // ud
    Imm12::kNone,      // uq
    Imm12::kZero,      // v
    Imm12::kPairSign,  // w
    Imm12::kSign,      // d
    Imm12::kNone,      // q
    Imm12::kZero,      // vf
    Imm12::kPairHalf,  // hf
    Imm12::kFloat,     // f
    Imm12::kNone,      // df
    Imm12::kNone,     Imm12::kNone, Imm12::kNone, Imm12::kNone,
};

std::uint64_t pair(std::uint64_t half) { return (half & 0xFFFF) << 16 | (half & 0xFFFF); }

std::uint64_t widen(Imm12 how, std::uint64_t value) {
  const std::uint64_t extended = (value & 0x800) != 0 ? value | 0xFFFF'F000 : value;
  switch (how) {
    case Imm12::kNone: break;
    case Imm12::kZero: return value;
    case Imm12::kSign: return extended;
    case Imm12::kPairZero: return pair(value);
    case Imm12::kPairSign: return pair(extended);
    case Imm12::kFloat: return value << 20;
    case Imm12::kPairHalf: return pair(value << 4);
  }
  return 0;
}

/// The type field of the immediate source, when the word has one.
EuField immediate_type(const EuWord& native, EuFormat format) {
  if (format == EuFormat::kTwoSource) return native.get(kImmTwo) != 0 ? EuField{91, 88} : kEuNoField;
  return native.get(kImmOne) != 0 ? EuField{43, 40} : kEuNoField;
}

constexpr EuField kNativeImm{127, 96};

Result<EuWord> expand_two(const EuWord& compacted, EuFormat format) {
  EuWord native;
  expand(native, compacted, kCopies);
  for (const Lookup& lookup : kLookups) expand(native, compacted, lookup);
  const EuField type = immediate_type(native, format);
  if (!type.present()) {
    expand(native, compacted, kSource1Lookup);
    expand(native, compacted, {&kSource1Register, 1});
    return native;
  }
  const Imm12 how = kImm12[native.get(type)];
  if (how == Imm12::kNone) return fail(EILSEQ, "an immediate of this type cannot be compacted");
  native.set(kNativeImm, widen(how, compacted.get(kCompactedImm)));
  return native;
}

EuWord expand_three(const EuWord& compacted, std::span<const Lookup> lookups) {
  EuWord native;
  expand(native, compacted, kCopies3);
  for (const Lookup& lookup : lookups) expand(native, compacted, lookup);
  return native;
}

// ---- the other way

/// Fields that a format does not use: any table row will do there.
constexpr EuField kNoSource1[] = {{91, 88}, eu_bit(47), eu_bit(98), {97, 96}, {103, 99}, {118, 112}, {121, 120}};
constexpr EuField kNoRegister1[] = {eu_bit(98)};
constexpr EuField kNoRegister0[] = {eu_bit(66), {45, 44}, {65, 64}, {86, 80}, {71, 67}, eu_bit(87)};
constexpr EuField kSyncUnused[] = {{25, 18}, {28, 26}, eu_bit(33), eu_bit(34), {39, 35}, {50, 48}, {55, 51}};
constexpr EuField kMacroUnused[] = {eu_bit(35), eu_bit(43), eu_bit(48), eu_bit(49),  eu_bit(55), {65, 64},   eu_bit(71),
                                    eu_bit(83), eu_bit(91), {97, 96},   eu_bit(103), {113, 112}, eu_bit(119)};
constexpr EuField kDpasUnused[] = {{23, 21}, {28, 26},   eu_bit(34), eu_bit(35), {47, 46},
                                   {65, 64}, eu_bit(83), {97, 91},   {113, 112}};

/// The row whose bits are those of `native`, but for fields that do not matter.
std::optional<std::uint64_t> find_row(const EuWord& native, const Lookup& lookup, std::span<const Pieces> unused) {
  for (std::size_t row = 0; row < lookup.values.size(); ++row) {
    EuWord candidate = native;
    put(candidate, lookup.pieces, lookup.values[row]);
    for (const Pieces fields : unused)
      for (const EuField field : fields) candidate.set(field, native.get(field));
    if (candidate == native) return row;
  }
  return std::nullopt;
}

bool compact(EuWord& compacted, const EuWord& native, const Lookup& lookup, std::span<const Pieces> unused) {
  auto row = find_row(native, lookup, {});
  if (!row) row = find_row(native, lookup, unused);
  if (!row) return false;
  compacted.set(lookup.index, *row);
  compacted.set(lookup.index_top, *row >> bits(lookup.index));
  return true;
}

void compact(EuWord& compacted, const EuWord& native, std::span<const Copy> copies) {
  for (const Copy& copy : copies) compacted.set(copy.compacted, native.get(copy.native));
}

std::uint64_t narrow(Imm12 how, std::uint64_t value) {
  if (how == Imm12::kFloat) return value >> 20;
  if (how == Imm12::kPairHalf) return value >> 4;
  return value;
}

bool compact_immediate(EuWord& compacted, const EuWord& native, EuField type) {
  const Imm12 how = kImm12[native.get(type)];
  const std::uint64_t value = native.get(kNativeImm);
  const std::uint64_t twelve = narrow(how, value) & 0xFFF;
  compacted.set(kCompactedImm, twelve);
  return how != Imm12::kNone && widen(how, twelve) == value;
}

bool compact_two(EuWord& compacted, const EuWord& native, EuFormat format) {
  const EuField type = immediate_type(native, format);
  std::array<Pieces, 3> unused{};
  if (format == EuFormat::kSync) unused[2] = kSyncUnused;
  if (format != EuFormat::kTwoSource) unused[0] = kNoSource1;
  if (type.present()) unused[1] = format == EuFormat::kTwoSource ? Pieces(kNoRegister1) : Pieces(kNoRegister0);
  compact(compacted, native, kCopies);
  for (const Lookup& lookup : kLookups)
    if (!compact(compacted, native, lookup, unused)) return false;
  if (type.present()) return compact_immediate(compacted, native, type);
  compact(compacted, native, {&kSource1Register, 1});
  return compact(compacted, native, kSource1Lookup, unused);
}

bool compact_three(EuWord& compacted, const EuWord& native, std::span<const Lookup> lookups, Pieces unused) {
  compact(compacted, native, kCopies3);
  for (const Lookup& lookup : lookups)
    if (!compact(compacted, native, lookup, {&unused, 1})) return false;
  return true;
}

/// Which bits of an instruction say that it is compacted.
constexpr EuField kCompactedBit = eu_bit(29);
constexpr EuField kCompactedHalf{63, 0};

}  // namespace

Result<EuWord> eu_expand(std::span<const std::byte, 8> bytes, const EuOpInfo& op) {
  std::array<std::byte, 16> padded{};
  std::copy(bytes.begin(), bytes.end(), padded.begin());
  const EuWord compacted = EuWord::load(padded);
  switch (op.format) {
    case EuFormat::kSync:
    case EuFormat::kOneSource:
    case EuFormat::kTwoSource: return expand_two(compacted, op.format);
    case EuFormat::kThreeSource:
    case EuFormat::kBfn:
    case EuFormat::kMacro: return expand_three(compacted, kLookups3);
    case EuFormat::kDpas: return expand_three(compacted, kLookupsDpas);
    default: return fail(EILSEQ, "this operation has no compacted form");
  }
}

std::optional<std::uint64_t> eu_compact(const EuWord& word, const EuOpInfo& op) {
  EuWord compacted;
  compacted.set(kCompactedBit, 1);
  bool fits = false;
  switch (op.format) {
    case EuFormat::kSync:
    case EuFormat::kOneSource:
    case EuFormat::kTwoSource: fits = compact_two(compacted, word, op.format); break;
    case EuFormat::kThreeSource:
    case EuFormat::kBfn: fits = compact_three(compacted, word, kLookups3, {}); break;
    case EuFormat::kMacro: fits = compact_three(compacted, word, kLookups3, kMacroUnused); break;
    case EuFormat::kDpas: fits = compact_three(compacted, word, kLookupsDpas, kDpasUnused); break;
    default: break;
  }
  if (!fits) return std::nullopt;
  return compacted.get(kCompactedHalf);
}

}  // namespace softxe
