// The words of the assembly text, one table per kind, read by eu_text.cc (value to word) and the assembler (back).
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

#include "hw/eu/eu_inst.h"

namespace softxe {

template <typename E>
struct EuName {
  E value;
  std::string_view name;
};

inline constexpr EuName<EuType> kEuTypeNames[] = {
    {EuType::kUB, "ub"}, {EuType::kUW, "uw"}, {EuType::kUD, "ud"}, {EuType::kUQ, "uq"},     {EuType::kB, "b"},
    {EuType::kW, "w"},   {EuType::kD, "d"},   {EuType::kQ, "q"},   {EuType::kBF8, "bf8"},   {EuType::kHF, "hf"},
    {EuType::kF, "f"},   {EuType::kDF, "df"}, {EuType::kBF, "bf"}, {EuType::kTF32, "tf32"}, {EuType::kUV, "uv"},
    {EuType::kV, "v"},   {EuType::kVF, "vf"}, {EuType::kS4, "s4"}, {EuType::kU4, "u4"},     {EuType::kS2, "s2"},
    {EuType::kU2, "u2"},
};
inline constexpr EuName<EuCond> kEuCondNames[] = {
    {EuCond::kEq, "eq"}, {EuCond::kNe, "ne"}, {EuCond::kGt, "gt"}, {EuCond::kGe, "ge"},
    {EuCond::kLt, "lt"}, {EuCond::kLe, "le"}, {EuCond::kOv, "ov"}, {EuCond::kUn, "un"},
};
inline constexpr EuName<EuMath> kEuMathNames[] = {
    {EuMath::kInv, "inv"}, {EuMath::kLog, "log"},   {EuMath::kExp, "exp"},
    {EuMath::kSqt, "sqt"}, {EuMath::kRsqt, "rsqt"}, {EuMath::kSin, "sin"},
    {EuMath::kCos, "cos"}, {EuMath::kInvm, "invm"}, {EuMath::kRsqtm, "rsqtm"},
};
inline constexpr EuName<std::uint8_t> kEuSyncNames[] = {
    {0, "nop"}, {2, "allrd"}, {3, "allwr"}, {12, "flush"}, {13, "fence"}, {14, "bar"}, {15, "host"},
};
inline constexpr EuName<EuSfid> kEuSfidNames[] = {
    {EuSfid::kNull, "null"}, {EuSfid::kUgml, "ugml"}, {EuSfid::kSmpl, "smpl"}, {EuSfid::kGtwy, "gtwy"},
    {EuSfid::kDc2, "dc2"},   {EuSfid::kRc, "rc"},     {EuSfid::kUrb, "urb"},   {EuSfid::kBtd, "btd"},
    {EuSfid::kRta, "rta"},   {EuSfid::kDc0, "dc0"},   {EuSfid::kPixi, "pixi"}, {EuSfid::kDc1, "dc1"},
    {EuSfid::kTgm, "tgm"},   {EuSfid::kSlm, "slm"},   {EuSfid::kUgm, "ugm"},
};

/// How the number of an architecture register is written.
enum class EuArfForm : std::uint8_t {
  kNumbered,  ///< acc2.0: number and subregister in elements
  kBare,      ///< ce, ip: without number; a subregister other than 0 in words
};
struct EuArfName {
  EuArf value;
  std::string_view name;
  EuArfForm form = EuArfForm::kNumbered;
};
inline constexpr EuArfName kEuArfNames[] = {
    {EuArf::kNull, "null", EuArfForm::kBare},
    {EuArf::kAddress, "a"},
    {EuArf::kAcc, "acc"},
    {EuArf::kFlag, "f"},
    {EuArf::kCe, "ce", EuArfForm::kBare},
    {EuArf::kMsg, "msg"},
    {EuArf::kSr, "sr"},
    {EuArf::kCr, "cr"},
    {EuArf::kN, "n"},
    {EuArf::kIp, "ip", EuArfForm::kBare},
    {EuArf::kTdr, "tdr"},
    {EuArf::kTm, "tm"},
    {EuArf::kFc, "fc"},
    {EuArf::kDbg, "dbg"},
};

/// Empty: the table has no such value.
template <typename Row, std::size_t N, typename E>
constexpr std::string_view eu_name_of(const Row (&table)[N], E value) {
  const auto* row = std::ranges::find(table, value, &Row::value);
  return row == std::end(table) ? std::string_view() : row->name;
}

/// Null: the table has no such word.
template <typename Row, std::size_t N>
constexpr const Row* eu_find_name(const Row (&table)[N], std::string_view name) {
  const auto* row = std::ranges::find(table, name, &Row::name);
  return row == std::end(table) ? nullptr : row;
}

/// Elements of this type in a byte: subregisters of the types below a byte are counted in elements, too.
constexpr unsigned eu_elements_per_byte(EuType type) {
  if (type == EuType::kS4 || type == EuType::kU4) return 2;
  if (type == EuType::kS2 || type == EuType::kU2) return 4;
  return 1;
}

}  // namespace softxe
