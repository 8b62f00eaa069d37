#include "hw/eu/eu_asm_operand.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "hw/eu/eu_decode_operand.h"
#include "hw/eu/eu_names.h"

namespace softxe {
namespace {

constexpr std::uint8_t kNoMacro = 8;
constexpr std::uint32_t kRegisters = 256;
constexpr unsigned kGrfBytes = 64;

/// A subregister as it is written; what it counts is known once the type is.
struct Subregister {
  enum class Unit : std::uint8_t { kElements, kWords } unit = Unit::kElements;
  std::uint32_t number = 0;
};

bool starts_number(EuScan& scan) {
  const std::size_t start = scan.position();
  if (!scan.eat('-')) scan.eat('+');
  const char next = scan.peek();
  scan.go_back_to(start);
  return next >= '0' && next <= '9';
}

// ---- registers

/// "acc12" is a name and a number.
Result<EuOperand> named_register(std::string_view word) {
  const std::size_t name_end = word.find_first_of("0123456789");
  const std::string_view name = word.substr(0, name_end);
  EuOperand out;
  std::int64_t number = 0;
  const bool numbered = name_end != std::string_view::npos;
  if (numbered) {
    SX_TRY(number, eu_parse_integer(word.substr(name_end), "no such register"));
  }
  if (name == "r" && numbered) {
    if (number >= kRegisters) return fail(EINVAL, "registers are r0 to r255");
    out.file = EuFile::kGrf;
    out.reg = static_cast<std::uint8_t>(number);
    return out;
  }
  const EuArfName* arf = eu_find_name(kEuArfNames, name);
  if (arf == nullptr || number > 15) return fail(EINVAL, "no such register");
  if (numbered != (arf->form == EuArfForm::kNumbered)) return fail(EINVAL, "no such register");
  out.file = EuFile::kArf;
  out.reg = static_cast<std::uint8_t>(static_cast<unsigned>(arf->value) << 4 | static_cast<unsigned>(number));
  return out;
}

Result<EuOperand> parse_register(EuScan& scan, const EuAsmContext& context) {
  const std::size_t start = scan.position();
  const std::string_view word = scan.word();
  const auto alias = context.registers.find(word);
  if (alias != context.registers.end()) return EuOperand{.file = EuFile::kGrf, .reg = alias->second};
  auto out = named_register(word);
  if (!out) scan.go_back_to(start);
  return out;
}

Status parse_address(EuScan& scan, EuOperand& out) {
  if (!scan.eat("a0.")) return fail(EINVAL, "an address is a0.n");
  SX_TRY(const std::uint32_t a0, scan.digits("an address is a0.n"));
  if (a0 > 15) return fail(EINVAL, "address registers are a0.0 to a0.15");
  std::int64_t offset = 0;
  if (scan.eat(',')) {
    SX_TRY(offset, scan.integer("an offset in bytes is missing"));
  }
  if (offset < -1024 || offset > 1023) return fail(EINVAL, "address offset beyond -1024..1023");
  out.file = EuFile::kGrf;
  out.indirect = true;
  out.a0 = static_cast<std::uint8_t>(a0);
  out.offset = static_cast<std::int16_t>(offset);
  return scan.expect(']', "] is missing");
}

/// What stands behind the dot: a number, mmeN or nomme.
Status parse_subregister(EuScan& scan, EuOperand& out, Subregister& sub) {
  const bool words = out.file == EuFile::kArf && (out.arf() == EuArf::kCe || out.arf() == EuArf::kIp);
  if (words) sub.unit = Subregister::Unit::kWords;
  if (!scan.eat('.')) return {};
  if (scan.eat("nomme")) {
    out.mme = kNoMacro;
    return {};
  }
  if (scan.eat("mme")) {
    SX_TRY(const std::uint32_t macro, scan.digits("math-macro registers are mme0 to mme7"));
    if (macro >= kNoMacro) return fail(EINVAL, "math-macro registers are mme0 to mme7");
    out.mme = static_cast<std::uint8_t>(macro);
    return {};
  }
  SX_TRY(sub.number, scan.digits("a subregister is a number"));
  return {};
}

Status place_subregister(Subregister sub, EuOperand& out) {
  if (sub.number >= kGrfBytes * 4) return fail(EINVAL, "subregister beyond the register");
  const unsigned bytes = sub.unit == Subregister::Unit::kWords
                             ? sub.number * 2
                             : sub.number * eu_type_bytes(out.type) / eu_elements_per_byte(out.type);
  if (bytes >= kGrfBytes) return fail(EINVAL, "subregister beyond the register");
  if (sub.unit == Subregister::Unit::kElements && sub.number % eu_elements_per_byte(out.type) != 0)
    return fail(EINVAL, "subregister is at no byte");
  out.subreg = static_cast<std::uint8_t>(bytes);
  return {};
}

Result<EuOperand> parse_place(EuScan& scan, const EuAsmContext& context, Subregister& sub) {
  EuOperand out;
  if (scan.eat("r[")) {
    SX_TRY_VOID(parse_address(scan, out));
    return out;
  }
  SX_TRY(out, parse_register(scan, context));
  SX_TRY_VOID(parse_subregister(scan, out, sub));
  return out;
}

Result<EuType> parse_type(EuScan& scan) {
  SX_TRY_VOID(scan.expect(':', "a type such as :ud is missing"));
  const std::size_t start = scan.position();
  const auto* row = eu_find_name(kEuTypeNames, scan.word());
  if (row != nullptr) return row->value;
  scan.go_back_to(start);
  return fail(EINVAL, "no such type");
}

bool immediate_only(EuType type) { return type == EuType::kUV || type == EuType::kV || type == EuType::kVF; }

/// The type and, now that it is known, the subregister.
Status finish_place(EuScan& scan, Subregister sub, EuOperand& out) {
  SX_TRY(out.type, parse_type(scan));
  if (immediate_only(out.type)) return fail(EINVAL, "only immediates have this type");
  return place_subregister(sub, out);
}

// ---- regions

Result<std::uint8_t> parse_stride(EuScan& scan) {
  SX_TRY(const std::int64_t number, scan.integer("a number is missing in a region"));
  if (number < 0 || number > 32) return fail(EINVAL, "numbers in a region are 0 to 32");
  return static_cast<std::uint8_t>(number);
}

EuRegion packed(const EuAsmPlace& place) {
  const bool scalar = place.exec_size == 1;
  switch (place.form) {
    case EuSourceForm::kMacro: return {.vertical = 4, .width = 4, .horizontal = 1};
    case EuSourceForm::kDpas: return {};
    default: break;
  }
  return {.vertical = static_cast<std::uint8_t>(scalar ? 0 : 1), .width = 1, .horizontal = 0};
}

/// Behind "<" of <v;w,h>, <w,h>, <v;h> or <h>.
Result<EuRegion> parse_region(EuScan& scan, EuSourceForm form) {
  EuRegion region;
  SX_TRY(const std::uint8_t first, parse_stride(scan));
  if (form == EuSourceForm::kTernaryLast) {
    region.vertical = first;
  } else if (scan.eat(',')) {
    if (form != EuSourceForm::kRegion) return fail(EINVAL, "this operation has no such region");
    region = {.vertical = EuRegion::kVxH, .width = first, .horizontal = 0};
    SX_TRY(region.horizontal, parse_stride(scan));
  } else {
    SX_TRY_VOID(scan.expect(';', "; is missing in a region"));
    SX_TRY(const std::uint8_t second, parse_stride(scan));
    region = {.vertical = first, .width = second, .horizontal = second};
    if (form == EuSourceForm::kTernary) {
      const unsigned width = second == 0 ? 1U : first / second;
      region.width = static_cast<std::uint8_t>(width == 0 ? 1 : width);
    } else {
      SX_TRY_VOID(scan.expect(',', ", is missing in a region"));
      SX_TRY(region.horizontal, parse_stride(scan));
    }
  }
  SX_TRY_VOID(scan.expect('>', "> is missing"));
  return region;
}

void parse_modifiers(EuScan& scan, EuOperand& out) {
  out.neg = scan.eat('-') || scan.eat('~');
  out.abs = scan.eat("(abs)");
}

// ---- immediates

Result<std::uint64_t> float_bits(std::string_view text, EuType type) {
  const std::string copy(text);  // strtod wants an end
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size()) return fail(EINVAL, "no number");
  if (type == EuType::kDF) return std::bit_cast<std::uint64_t>(value);
  if (type == EuType::kF) return std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return fail(EINVAL, "an immediate of this type is given as its bits, 0x...");
}

Result<std::uint64_t> integer_bits(std::string_view text, unsigned bits) {
  SX_TRY(const std::int64_t value, eu_parse_integer(text, "no number"));
  if (bits == 64) return static_cast<std::uint64_t>(value);
  const std::int64_t limit = std::int64_t{1} << bits;
  if (value < -limit / 2 || value >= limit) return fail(EINVAL, "the number does not fit its type");
  return static_cast<std::uint64_t>(value) & static_cast<std::uint64_t>(limit - 1);
}

bool is_float(EuType type) {
  return type == EuType::kHF || type == EuType::kBF || type == EuType::kF || type == EuType::kDF;
}

/// A number up to its colon: a minus in it may be an exponent's.
std::string_view number_text(EuScan& scan) {
  const std::size_t start = scan.position();
  const std::string_view chunk = scan.chunk();
  const std::string_view number = chunk.substr(0, chunk.find(':'));
  scan.go_back_to(start + number.size());
  return number;
}

bool has_immediates(EuType type) {
  constexpr EuType kNone[] = {EuType::kUB, EuType::kB,  EuType::kBF8, EuType::kTF32,
                              EuType::kS4, EuType::kU4, EuType::kS2,  EuType::kU2};
  return std::ranges::find(kNone, type) == std::end(kNone);
}

}  // namespace

Result<EuOperand> eu_parse_immediate(EuScan& scan, std::uint64_t& imm) {
  EuOperand out;
  out.file = EuFile::kImm;
  scan.peek();  // to the number
  const std::size_t start = scan.position();
  const std::string_view text = number_text(scan);
  SX_TRY(out.type, parse_type(scan));
  const std::size_t end = scan.position();
  scan.go_back_to(start);
  if (!has_immediates(out.type)) return fail(EINVAL, "no immediate has this type");
  const bool as_bits = text.starts_with("0x") || text.starts_with("0X");
  SX_TRY(imm,
         is_float(out.type) && !as_bits ? float_bits(text, out.type) : integer_bits(text, eu_immediate_bits(out.type)));
  scan.go_back_to(end);
  return out;
}

Result<EuOperand> eu_parse_destination(EuScan& scan, const EuAsmPlace& place) {
  Subregister sub;
  SX_TRY(EuOperand out, parse_place(scan, place.context, sub));
  if (place.form != EuSourceForm::kDpas) out.region = {.vertical = 0, .width = 1, .horizontal = 1};
  if (scan.eat('<')) {
    SX_TRY(out.region.horizontal, parse_stride(scan));
    SX_TRY_VOID(scan.expect('>', "> is missing"));
  }
  SX_TRY_VOID(finish_place(scan, sub, out));
  return out;
}

Result<EuOperand> eu_parse_source(EuScan& scan, const EuAsmPlace& place, std::uint64_t& imm) {
  if (starts_number(scan)) return eu_parse_immediate(scan, imm);
  EuOperand modifiers;
  parse_modifiers(scan, modifiers);
  Subregister sub;
  SX_TRY(EuOperand out, parse_place(scan, place.context, sub));
  out.neg = modifiers.neg;
  out.abs = modifiers.abs;
  out.region = packed(place);
  if (scan.eat('<')) {
    SX_TRY(out.region, parse_region(scan, place.form));
  }
  SX_TRY_VOID(finish_place(scan, sub, out));
  return out;
}

Result<EuOperand> eu_parse_branch_register(EuScan& scan, const EuAsmContext& context) {
  Subregister sub;
  SX_TRY(EuOperand out, parse_place(scan, context, sub));
  if (out.indirect) return fail(EINVAL, "registers of branches are direct");
  out.type = EuType::kUD;
  SX_TRY_VOID(place_subregister(sub, out));
  return out;
}

Result<EuOperand> eu_parse_payload(EuScan& scan, const EuAsmContext& context) {
  const std::size_t start = scan.position();
  SX_TRY(EuOperand out, parse_register(scan, context));
  out.type = EuType::kUD;
  if (out.file == EuFile::kGrf || out.null()) return out;
  scan.go_back_to(start);
  return fail(EINVAL, "a payload is a GRF or null");
}

Status eu_parse_flag(EuScan& scan, EuInst& inst) {
  scan.peek();  // to the flag
  const std::size_t start = scan.position();
  constexpr std::string_view kNames[] = {"f0.0", "f0.1", "f1.0", "f1.1", "f2.0", "f2.1", "f3.0", "f3.1"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (!scan.eat(kNames[i])) continue;
    inst.flag = static_cast<std::uint8_t>(i / 2);
    inst.flag_sub = static_cast<std::uint8_t>(i % 2);
    return {};
  }
  scan.go_back_to(start);
  return fail(EINVAL, "flags are f0.0 to f3.1");
}

}  // namespace softxe
