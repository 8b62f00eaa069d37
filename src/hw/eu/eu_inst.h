// EuInst: one instruction of an execution unit, decoded. A plain value without addresses or registers' contents.
//
// Everything an instruction says is here once, in the words of spec/eu-isa.md; what the hardware ignores
// (scoreboard, breakpoint) is kept only so far as the text needs it. Compacted and native forms decode to the same
// value, but for `bytes`. Read next: eu_decode.h (bytes to EuInst), eu_text.h (EuInst to iga's text and back).
#pragma once

#include <array>
#include <cstdint>

namespace softxe {

/// Numbered by the opcode field (spec/eu-isa.md 2.8).
// clang-format off
enum class EuOp : std::uint8_t {
  kIllegal = 0x00, kSync = 0x01, kJmpi = 0x20, kBrd = 0x21, kIf = 0x22, kBrc = 0x23,
  kElse = 0x24, kEndif = 0x25, kWhile = 0x27, kBreak = 0x28, kCont = 0x29, kHalt = 0x2A,
  kCalla = 0x2B, kCall = 0x2C, kRet = 0x2D, kGoto = 0x2E, kJoin = 0x2F, kSend = 0x31,
  kSendc = 0x32, kMath = 0x38, kAdd = 0x40, kMul = 0x41, kAvg = 0x42, kFrc = 0x43,
  kRndu = 0x44, kRndd = 0x45, kRnde = 0x46, kRndz = 0x47, kMac = 0x48, kMach = 0x49,
  kLzd = 0x4A, kFbh = 0x4B, kFbl = 0x4C, kCbit = 0x4D, kAddc = 0x4E, kSubb = 0x4F,
  kAdd3 = 0x52, kMacl = 0x53, kSrnd = 0x54, kDp4a = 0x58, kDpas = 0x59, kMad = 0x5B,
  kMadm = 0x5D, kNop = 0x60, kMov = 0x61, kSel = 0x62, kMovi = 0x63, kNot = 0x64,
  kAnd = 0x65, kOr = 0x66, kXor = 0x67, kShr = 0x68, kShl = 0x69, kBfn = 0x6B,
  kAsr = 0x6C, kRor = 0x6E, kRol = 0x6F, kCmp = 0x70, kCmpn = 0x71, kCsel = 0x72,
  kBfrev = 0x77, kBfe = 0x78, kBfi1 = 0x79, kBfi2 = 0x7A,
};
// clang-format on

/// Register types are numbered as in the type fields; the three packed immediate types stand behind them
/// (spec/eu-isa.md 3.2).
enum class EuType : std::uint8_t {
  kUB = 0,
  kUW = 1,
  kUD = 2,
  kUQ = 3,
  kB = 4,
  kW = 5,
  kD = 6,
  kQ = 7,
  kBF8 = 8,
  kHF = 9,
  kF = 10,
  kDF = 11,
  kBF = 13,
  kTF32 = 14,
  kUV = 16,
  kV = 17,
  kVF = 18,
  kS4 = 20,
  kU4 = 21,
  kS2 = 22,
  kU2 = 23,  ///< sources of dpas only
};

/// By the upper nibble of an ARF register number (spec/eu-isa.md 2.7).
enum class EuArf : std::uint8_t {
  kNull = 0,
  kAddress = 1,
  kAcc = 2,
  kFlag = 3,
  kCe = 4,
  kMsg = 5,
  kSr = 7,
  kCr = 8,
  kN = 9,
  kIp = 10,
  kTdr = 11,
  kTm = 12,
  kFc = 13,
  kDbg = 15,
};

enum class EuFile : std::uint8_t { kNone, kArf, kGrf, kImm };

enum class EuCond : std::uint8_t { kNone = 0, kEq = 1, kNe = 2, kGt = 3, kGe = 4, kLt = 5, kLe = 6, kOv = 8, kUn = 9 };
enum class EuPred : std::uint8_t { kNone = 0, kChannel = 1, kAny = 2, kAll = 3 };
enum class EuMath : std::uint8_t {
  kInv = 1,
  kLog = 2,
  kExp = 3,
  kSqt = 4,
  kRsqt = 5,
  kSin = 6,
  kCos = 7,
  kInvm = 14,
  kRsqtm = 15,
};
enum class EuSfid : std::uint8_t {
  kNull = 0,
  kUgml = 1,
  kSmpl = 2,
  kGtwy = 3,
  kDc2 = 4,
  kRc = 5,
  kUrb = 6,
  kBtd = 7,
  kRta = 8,
  kDc0 = 10,
  kPixi = 11,
  kDc1 = 12,
  kTgm = 13,
  kSlm = 14,
  kUgm = 15,
};

/// Strides and width in elements. `vertical == kVxH`: every row has its own address in a0 (spec/eu-isa.md 3.3).
struct EuRegion {
  static constexpr std::uint8_t kVxH = 0xFF;
  std::uint8_t vertical = 0;
  std::uint8_t width = 1;
  std::uint8_t horizontal = 0;
  friend bool operator==(const EuRegion&, const EuRegion&) = default;
};

/// A destination uses `region.horizontal` as its stride and none of the modifiers. The third of three sources has a
/// stride h only: its region is <h;1,0>, so that one rule places the elements of every source. Operands of sends
/// and branches are `:ud` without region, those of dpas have no region.
struct EuOperand {
  EuFile file = EuFile::kNone;
  EuType type = EuType::kUB;
  std::uint8_t reg = 0;     ///< GRF number, or the ARF's whole register byte (upper nibble: EuArf)
  std::uint8_t subreg = 0;  ///< bytes
  EuRegion region{};
  bool neg = false;  ///< of a logic operation: bitwise not
  bool abs = false;
  bool indirect = false;    ///< r[a0.n + offset]: `reg` and `subreg` mean nothing
  std::uint8_t a0 = 0;      ///< n, in uw
  std::int16_t offset = 0;  ///< bytes
  std::uint8_t mme = 8;     ///< math-macro register of madm, invm, rsqtm: 0..7; 8 none

  EuArf arf() const { return static_cast<EuArf>(reg >> 4); }
  bool null() const { return file == EuFile::kArf && !indirect && arf() == EuArf::kNull; }
  friend bool operator==(const EuOperand&, const EuOperand&) = default;
};

/// Descriptors as the message gateway sees them (spec/eu-isa.md 2.5). Lengths are in GRFs.
struct EuSend {
  EuSfid sfid = EuSfid::kNull;
  bool end_of_thread = false;
  bool desc_in_a0 = false;       ///< a0.0:ud; else `desc`
  bool ext_desc_in_a0 = false;   ///< a0.`ext_desc_a0`:ud; then `ext_desc` holds the offset word
  std::uint8_t ext_desc_a0 = 0;  ///< ud index
  bool ext_bso = false;
  std::uint8_t src1_length = 0;
  std::uint32_t desc = 0;
  std::uint32_t ext_desc = 0;
  friend bool operator==(const EuSend&, const EuSend&) = default;
};

struct EuDpas {
  std::uint8_t depth = 8;
  std::uint8_t repeat = 8;
  friend bool operator==(const EuDpas&, const EuDpas&) = default;
};

struct EuInst {
  EuOp op = EuOp::kIllegal;
  std::uint8_t bytes = 16;          ///< 16, or 8: compacted
  std::uint8_t exec_size = 1;       ///< 1..32 channels
  std::uint8_t channel_offset = 0;  ///< 0, 8, 16, 24
  bool no_mask = false;             ///< (W)
  EuPred pred = EuPred::kNone;
  bool pred_inverted = false;
  std::uint8_t flag = 0;      ///< f0..f3, of predicate and condition
  std::uint8_t flag_sub = 0;  ///< 0 or 1: the upper half
  EuCond cond = EuCond::kNone;
  bool saturate = false;
  std::uint8_t function = 0;  ///< math: EuMath; sync: function code; bfn: truth table; goto/if/else: branch control
  EuOperand dst{};
  std::array<EuOperand, 3> src{};
  /// Of the source with file kImm, as it stands in the instruction (16-bit ones in the low half only). Three sources
  /// may have two, of 16 bits: the last one's are bits 31:16. eu_imm() tells them apart.
  std::uint64_t imm = 0;
  std::int32_t jip = 0;  ///< bytes, from the start of this instruction
  std::int32_t uip = 0;
  EuSend send{};
  EuDpas dpas{};
  // Kept for the assembler; they mean nothing here.
  std::uint16_t scoreboard = 0;
  bool atomic = false;
  bool breakpoint = false;

  friend bool operator==(const EuInst&, const EuInst&) = default;
};

/// The first and the last of three sources are immediates.
constexpr bool eu_two_immediates(const EuInst& inst) {
  return inst.src[0].file == EuFile::kImm && inst.src[2].file == EuFile::kImm;
}

/// The immediate of source `source`, whose file is kImm.
constexpr std::uint64_t eu_imm(const EuInst& inst, unsigned source) {
  if (!eu_two_immediates(inst)) return inst.imm;
  return (source == 0 ? inst.imm : inst.imm >> 16) & 0xFFFF;
}

/// Bytes of one element; 1 for the types below a byte.
constexpr unsigned eu_type_bytes(EuType type) {
  switch (type) {
    case EuType::kUB:
    case EuType::kB:
    case EuType::kBF8:
    case EuType::kS4:
    case EuType::kU4:
    case EuType::kS2:
    case EuType::kU2: return 1;
    case EuType::kUW:
    case EuType::kW:
    case EuType::kHF:
    case EuType::kBF:
    case EuType::kUV:
    case EuType::kV: return 2;
    case EuType::kUD:
    case EuType::kD:
    case EuType::kF:
    case EuType::kTF32:
    case EuType::kVF: return 4;
    case EuType::kUQ:
    case EuType::kQ:
    case EuType::kDF: return 8;
  }
  return 1;
}

}  // namespace softxe
