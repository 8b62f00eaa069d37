#include "host/patch/x86_decode.h"

#include <array>
#include <cstring>
#include <string_view>

namespace softxe::patch {
namespace {

// One letter per opcode, what follows it:
//   .  nothing            m  ModRM               b  ModRM + imm8       z  ModRM + imm32 (imm16 with 66)
//   i  imm8               w  imm16               v  imm32 (imm16)      q  imm32, imm64 with REX.W
//   j  rel8               J  rel32               a  8-byte address     e  imm16 + imm8 (enter)
//   r  return, stop       t  return + imm16      g  group 3: imm only for test
//   f  ModRM, may jump    x  not valid here, or handled before the table is asked
using Map = std::array<std::string_view, 16>;

constexpr Map kOneByte = {
    "mmmmivxxmmmmivxx",  // 00 add, or
    "mmmmivxxmmmmivxx",  // 10 adc, sbb
    "mmmmivxxmmmmivxx",  // 20 and, sub
    "mmmmivxxmmmmivxx",  // 30 xor, cmp
    "xxxxxxxxxxxxxxxx",  // 40 REX
    "................",  // 50 push, pop
    "xxxmxxxxvzib....",  // 60 movsxd, push, imul, ins, outs
    "jjjjjjjjjjjjjjjj",  // 70 jcc
    "bzxbmmmmmmmmmmmm",  // 80 group 1, test, xchg, mov, lea, pop
    "..........x.....",  // 90 xchg, cwde, pushf
    "aaaa....iv......",  // A0 mov moffs, string moves, test
    "iiiiiiiiqqqqqqqq",  // B0 mov immediate
    "bbtrxxbze.tr.ixr",  // C0 shifts, ret, mov immediate, enter, int
    "mmmmxxx.mmmmmmmm",  // D0 shifts, xlat, x87
    "jjjjiiiiJJxj....",  // E0 loop, in/out, call, jmp
    "x.xxr.gg......mf",  // F0 hlt, group 3, flags, groups 4 and 5
};

constexpr Map kTwoByte = {
    "mmmmx...xxxrxmxx",  // 00 system, syscall, ud2, prefetchw
    "mmmmmmmmmmmmmmmm",  // 10 SSE moves, hint nops, endbr
    "mmmmxxxxmmmmmmmm",  // 20
    "......x.xxxxxxxx",  // 30 rdtsc and so on
    "mmmmmmmmmmmmmmmm",  // 40 cmovcc
    "mmmmmmmmmmmmmmmm",  // 50
    "mmmmmmmmmmmmmmmm",  // 60
    "bbbbmmm.xxxxmmmm",  // 70
    "JJJJJJJJJJJJJJJJ",  // 80 jcc
    "mmmmmmmmmmmmmmmm",  // 90 setcc
    "...mbmxx...mbmmm",  // A0
    "mmmmmmmmmmbmmmmm",  // B0
    "mmbmbbbm........",  // C0 cmpps, pinsrw, shufps, cmpxchg8b; bswap
    "mmmmmmmmmmmmmmmm",  // D0
    "mmmmmmmmmmmmmmmm",  // E0
    "mmmmmmmmmmmmmmmm",  // F0
};

constexpr Error kUnknown{EINVAL, "instruction not known to the decoder"};
constexpr Error kTruncated{ERANGE, "code ends inside an instruction"};
constexpr std::size_t kMaxLengthBytes = 15;

/// A cursor over one instruction; members are what the prefixes said.
class Decoder {
 public:
  explicit Decoder(std::span<const std::uint8_t> code) : code_(code) {}

  Result<Instruction> run() {
    SX_TRY_VOID(prefixes());
    SX_TRY(std::uint8_t opcode, byte());
    if (opcode == 0xc4 || opcode == 0xc5) return vex(opcode);
    if (opcode == 0x62) return evex();
    if (opcode == 0x0f) return two_byte();
    return by_letter(letter(kOneByte, opcode), opcode);
  }

 private:
  static char letter(const Map& map, std::uint8_t opcode) { return map[opcode >> 4][opcode & 15]; }

  Result<std::uint8_t> byte() {
    if (at_ >= code_.size()) return fail(kTruncated);
    if (at_ >= kMaxLengthBytes) return fail(kUnknown);
    return code_[at_++];
  }

  Status skip(std::size_t bytes) {
    if (code_.size() - at_ < bytes) return fail(kTruncated);
    at_ += bytes;
    if (at_ > kMaxLengthBytes) return fail(kUnknown);
    return {};
  }

  /// Legacy prefixes in any order, then at most one REX, which must stand last.
  Status prefixes() {
    for (;; ++at_) {
      if (at_ >= code_.size()) return fail(kTruncated);
      switch (code_[at_]) {
        case 0x66: operand16_ = true; break;
        case 0x67: address32_ = true; break;
        case 0xf0:
        case 0xf2:
        case 0xf3:
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65: break;
        default:
          if ((code_[at_] & 0xf0) == 0x40) rex_ = code_[at_++];
          return {};
      }
    }
  }

  /// ModRM, SIB and displacement. Returns the reg field.
  Result<std::uint8_t> modrm() {
    SX_TRY(std::uint8_t m, byte());
    modrm_ = m;
    const unsigned mod = m >> 6;
    const unsigned rm = m & 7;
    const auto reg = static_cast<std::uint8_t>((m >> 3) & 7);
    if (mod == 3) return reg;
    bool disp32 = mod == 2 || (mod == 0 && rm == 5);
    if (rm == 4) {
      SX_TRY(std::uint8_t sib, byte());
      disp32 = disp32 || (mod == 0 && (sib & 7) == 5);
    }
    SX_TRY_VOID(skip(disp32 ? 4 : mod == 1 ? 1 : 0));
    return reg;
  }

  Result<Instruction> done(Flow flow = Flow::kNext, std::int32_t displacement = 0) const {
    return Instruction{static_cast<std::uint8_t>(at_), flow, displacement};
  }

  Result<Instruction> plain(std::size_t immediate_bytes, Flow flow = Flow::kNext) {
    SX_TRY_VOID(skip(immediate_bytes));
    return done(flow);
  }

  Result<Instruction> with_modrm(std::size_t immediate_bytes) {
    SX_TRY_VOID(modrm());
    return plain(immediate_bytes);
  }

  Result<Instruction> branch(std::size_t bytes) {
    // Vendors differ about a 16-bit displacement here, so neither reading is safe.
    if (operand16_) return fail(EINVAL, "operand-size prefix on a relative branch");
    SX_TRY_VOID(skip(bytes));
    if (bytes == 1) return done(Flow::kBranch, static_cast<std::int8_t>(code_[at_ - 1]));
    std::int32_t displacement = 0;
    std::memcpy(&displacement, &code_[at_ - 4], 4);
    return done(Flow::kBranch, displacement);
  }

  std::size_t word_bytes() const { return operand16_ && !wide() ? 2 : 4; }
  bool wide() const { return (rex_ & 8) != 0; }

  Result<Instruction> by_letter(char what, std::uint8_t opcode) {
    switch (what) {
      case '.': return done();
      case 'm': return opcode == 0x8f ? pop_memory() : with_modrm(0);
      case 'b': return with_modrm(1);
      case 'z': return opcode == 0xc7 ? move_or_xbegin() : with_modrm(word_bytes());
      case 'i': return plain(1);
      case 'v': return plain(word_bytes());
      case 'q': return plain(wide() ? 8 : word_bytes());
      case 'a': return plain(address32_ ? 4 : 8);
      case 'e': return plain(3);
      case 'j': return branch(1);
      case 'J': return branch(4);
      case 'r': return done(Flow::kReturn);
      case 't': return plain(2, Flow::kReturn);
      case 'g': return group3(opcode);
      case 'f': return group5();
      default: return fail(kUnknown);
    }
  }

  /// 8F /0; other reg values are AMD's XOP space.
  Result<Instruction> pop_memory() {
    SX_TRY(std::uint8_t reg, modrm());
    if (reg != 0) return fail(kUnknown);
    return done();
  }

  /// C7 /0 stores an immediate; C7 F8 is xbegin, a branch to its abort handler.
  Result<Instruction> move_or_xbegin() {
    SX_TRY(std::uint8_t reg, modrm());
    if (reg == 0) return plain(word_bytes());
    if (modrm_ == 0xf8) return branch(4);
    return fail(kUnknown);
  }

  Result<Instruction> group3(std::uint8_t opcode) {
    SX_TRY(std::uint8_t reg, modrm());
    if (reg > 1) return done();
    return plain(opcode == 0xf6 ? 1 : word_bytes());
  }

  Result<Instruction> group5() {
    SX_TRY(std::uint8_t reg, modrm());
    if (reg == 2 || reg == 3) return done(Flow::kIndirectCall);
    if (reg == 4 || reg == 5) return done(Flow::kIndirectJump);
    if (reg == 7) return fail(kUnknown);
    return done();
  }

  Result<Instruction> two_byte() {
    SX_TRY(std::uint8_t opcode, byte());
    if (opcode == 0x38 || opcode == 0x3a) {
      SX_TRY_VOID(byte());
      return with_modrm(opcode == 0x3a ? 1 : 0);
    }
    return by_letter(letter(kTwoByte, opcode), 0);
  }

  /// Immediates of the VEX and EVEX forms of map 1 are those of the legacy two-byte map.
  Result<Instruction> vector(unsigned map, std::uint8_t opcode) {
    if (map == 1) {
      if (opcode == 0x77) return done();  // vzeroupper, vzeroall
      return with_modrm(letter(kTwoByte, opcode) == 'b' ? 1 : 0);
    }
    if (map == 2 || map == 5 || map == 6) return with_modrm(0);
    if (map == 3) return with_modrm(1);
    return fail(kUnknown);
  }

  Result<Instruction> vex(std::uint8_t first) {
    if (operand16_ || rex_ != 0) return fail(kUnknown);
    SX_TRY(std::uint8_t second, byte());
    unsigned map = 1;
    if (first == 0xc4) {
      map = second & 0x1f;
      SX_TRY_VOID(byte());
      if (map > 3) return fail(kUnknown);
    }
    SX_TRY(std::uint8_t opcode, byte());
    return vector(map, opcode);
  }

  Result<Instruction> evex() {
    if (operand16_ || rex_ != 0) return fail(kUnknown);
    SX_TRY(std::uint8_t p0, byte());
    SX_TRY_VOID(skip(2));
    SX_TRY(std::uint8_t opcode, byte());
    if ((p0 & 0x08) != 0) return fail(kUnknown);
    if ((p0 & 7) == 1 && opcode == 0x77) return fail(kUnknown);
    return vector(p0 & 7, opcode);
  }

  std::span<const std::uint8_t> code_;
  std::size_t at_ = 0;
  bool operand16_ = false;
  bool address32_ = false;
  std::uint8_t rex_ = 0;
  std::uint8_t modrm_ = 0;
};

}  // namespace

Result<Instruction> decode(std::span<const std::uint8_t> code) { return Decoder(code).run(); }

}  // namespace softxe::patch
