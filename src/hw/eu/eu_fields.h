// Where the fields of an instruction stand: the formats of spec/eu-isa.md 2.1 to 2.6 as tables.
//
// Every field is [high, low] with both bits included, as the specification writes it. The decoder and the encoder
// read the same tables, so that they cannot disagree. Read next: eu_opcodes.h (which operation has which format).
#pragma once

#include "hw/eu/eu_word.h"

namespace softxe::eu_fields {

// 2.1: all formats.
inline constexpr EuField kOpcode{6, 0};
inline constexpr EuField kScoreboard{17, 8};
inline constexpr EuField kExecSize{20, 18};
inline constexpr EuField kFlagSub = eu_bit(21);
inline constexpr EuField kFlag{23, 22};
inline constexpr EuField kChannelOffset{25, 24};
inline constexpr EuField kPred{27, 26};
inline constexpr EuField kPredInverted = eu_bit(28);
inline constexpr EuField kCompacted = eu_bit(29);
inline constexpr EuField kBreakpoint = eu_bit(30);
inline constexpr EuField kNoMask = eu_bit(31);
inline constexpr EuField kAtomic = eu_bit(32);
inline constexpr EuField kSaturate = eu_bit(34);
inline constexpr EuField kCond{95, 92};  ///< also the function of math and sync, and the SFID of a send

/// One operand. Fields that a format has not are absent and read as 0.
struct Operand {
  EuField type{};
  EuField immediate{};
  EuField file{};
  EuField reg{};
  EuField subreg{};       ///< byte, from bit 1 upwards
  EuField subreg_bit0{};  ///< its bit 0
  EuField macro{};        ///< math-macro register; lies over the subregister
  EuField abs{};
  EuField neg{};
  EuField horizontal{};
  EuField width{};
  EuField vertical{};
  EuField vertical_top{};  ///< three sources: the upper bit stands alone
  EuField indirect{};
  EuField a0{};
  EuField offset{};  ///< from bit 1 upwards; bit 0 is `subreg_bit0`
};

// 2.2: one and two sources.
inline constexpr Operand kDst{.type = {39, 36},
                              .file = eu_bit(50),
                              .reg = {63, 56},
                              .subreg = {55, 51},
                              .subreg_bit0 = eu_bit(33),
                              .macro = {54, 51},
                              .horizontal = {49, 48},
                              .indirect = eu_bit(35),
                              .a0 = {63, 60},
                              .offset = {59, 50}};
inline constexpr Operand kSrc0{.type = {43, 40},
                               .immediate = eu_bit(46),
                               .file = eu_bit(66),
                               .reg = {79, 72},
                               .subreg = {71, 67},
                               .subreg_bit0 = eu_bit(87),
                               .macro = {70, 67},
                               .abs = eu_bit(44),
                               .neg = eu_bit(45),
                               .horizontal = {65, 64},
                               .width = {83, 81},
                               .vertical = {86, 84},
                               .indirect = eu_bit(80),
                               .a0 = {79, 76},
                               .offset = {75, 66}};
inline constexpr Operand kSrc1{.type = {91, 88},
                               .immediate = eu_bit(47),
                               .file = eu_bit(98),
                               .reg = {111, 104},
                               .subreg = {103, 99},
                               .macro = {102, 99},
                               .abs = eu_bit(120),
                               .neg = eu_bit(121),
                               .horizontal = {97, 96},
                               .width = {115, 113},
                               .vertical = {118, 116},
                               .indirect = eu_bit(112),
                               .a0 = {111, 108},
                               .offset = {107, 98}};
inline constexpr EuField kImmLow{127, 96};
inline constexpr EuField kImmHigh{95, 64};  ///< upper half of a 64-bit immediate

// 2.3: three sources. The fourth bit of all types is common.
inline constexpr EuField kTernaryFloat = eu_bit(39);
inline constexpr Operand kTernaryDst{.type = {38, 36},
                                     .file = eu_bit(50),
                                     .reg = {63, 56},
                                     .subreg = {55, 51},
                                     .macro = {54, 51},
                                     .horizontal = eu_bit(48)};
inline constexpr Operand kTernarySrc0{.type = {42, 40},
                                      .immediate = eu_bit(46),
                                      .file = eu_bit(66),
                                      .reg = {79, 72},
                                      .subreg = {71, 67},
                                      .macro = {70, 67},
                                      .abs = eu_bit(44),
                                      .neg = eu_bit(45),
                                      .horizontal = {65, 64},
                                      .vertical = eu_bit(35),
                                      .vertical_top = eu_bit(43)};
inline constexpr Operand kTernarySrc1{.type = {90, 88},
                                      .file = eu_bit(98),
                                      .reg = {111, 104},
                                      .subreg = {103, 99},
                                      .macro = {102, 99},
                                      .abs = eu_bit(86),
                                      .neg = eu_bit(87),
                                      .horizontal = {97, 96},
                                      .vertical = eu_bit(83),
                                      .vertical_top = eu_bit(91)};
inline constexpr Operand kTernarySrc2{.type = {82, 80},
                                      .immediate = eu_bit(47),
                                      .file = eu_bit(114),
                                      .reg = {127, 120},
                                      .subreg = {119, 115},
                                      .macro = {118, 115},
                                      .abs = eu_bit(84),
                                      .neg = eu_bit(85),
                                      .horizontal = {113, 112}};
inline constexpr EuField kTernaryImm0{79, 64};
inline constexpr EuField kTernaryImm2{127, 112};
inline constexpr EuField kBfnHigh{95, 92};
inline constexpr EuField kBfnLow{87, 84};
inline constexpr EuField kBfnCond{45, 44};

// 2.4: branches.
inline constexpr EuField kBranchControl = eu_bit(33);
inline constexpr EuField kJipImmediate = eu_bit(46);
inline constexpr EuField kUipImmediate = eu_bit(47);
inline constexpr EuField kJip{127, 96};
inline constexpr EuField kUip{95, 64};
inline constexpr Operand kBranchDst{.file = eu_bit(50), .reg = {63, 56}, .subreg = {55, 51}};
inline constexpr Operand kBranchSrc{.file = eu_bit(66), .reg = {79, 72}, .subreg = {71, 67}};

// 2.5: send.
inline constexpr EuField kEndOfThread = eu_bit(34);
inline constexpr EuField kExBso = eu_bit(39);
inline constexpr EuField kDescInA0 = eu_bit(48);
inline constexpr EuField kExtDescInA0 = eu_bit(49);
inline constexpr EuField kExtDescA0{42, 40};
inline constexpr EuField kSrc1Length{103, 99};
inline constexpr Operand kSendDst{.file = eu_bit(50), .reg = {63, 56}};
inline constexpr Operand kSendSrc0{.file = eu_bit(66), .reg = {79, 72}};
inline constexpr Operand kSendSrc1{.file = eu_bit(98), .reg = {111, 104}};

/// A piece of a value that stands in several places: bits `low`.. of the value.
struct Piece {
  EuField field;
  std::uint8_t low;
};
inline constexpr Piece kDesc[] = {{{123, 122}, 30}, {{71, 67}, 25}, {{55, 51}, 20}, {{121, 113}, 11}, {{91, 81}, 0}};
inline constexpr Piece kExtDesc[] = {{{127, 124}, 28}, {{97, 96}, 26}, {{65, 64}, 24}, {{47, 35}, 11}};

// 2.6: dpas.
inline constexpr EuField kDpasDepth{49, 48};
inline constexpr EuField kDpasRepeat{45, 43};
inline constexpr EuField kDpasPrecision1{87, 86};
inline constexpr EuField kDpasPrecision2{85, 84};
inline constexpr Operand kDpasDst{.type = {38, 36}, .file = eu_bit(50), .reg = {63, 56}, .subreg = {55, 51}};
inline constexpr Operand kDpasSrc0{.type = {42, 40}, .file = eu_bit(66), .reg = {79, 72}, .subreg = {71, 67}};
inline constexpr Operand kDpasSrc1{.type = {90, 88}, .file = eu_bit(98), .reg = {111, 104}, .subreg = {103, 99}};
inline constexpr Operand kDpasSrc2{.type = {82, 80}, .file = eu_bit(114), .reg = {127, 120}, .subreg = {119, 115}};

}  // namespace softxe::eu_fields
