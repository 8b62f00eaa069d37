// EuInst to text as Intel's assembler (iga) writes it.
//
//   (W&~f0.1) add (16|M16) (eq)f0.1 (sat) r12.0<1>:f -r3.4<0;1,0>:f 0x3F800000:f
//
//   (W)           every channel, whatever the mask; &f0.1 the predicate, ~ inverted, .any .all over all channels
//   add           operation; its function behind a dot: math.inv, sync.bar, bfn.0xD8, dpas.8x8, send.ugm, goto.b
//   (16|M16)      16 channels from channel 16; jmpi, sync, nop and illegal have none
//   (eq)f0.1      condition and its flag; math.invm and rsqtm always name it as (eo)
//   r12.0<1>:f    register, subregister in elements, stride, type; dpas omits a subregister 0 but for the last source
//   -r3.4<0;1,0>  modifiers - (abs) ~ (bitwise not, of logic operations), region <vertical;width,horizontal>;
//                 three sources: <vertical;horizontal>, the last one <horizontal>
//   r[a0.3,-16]<1,0>:d   address register, offset in bytes; <width,horizontal>: an address per row
//   r20.mme2:df   math-macro register; r20.nomme:df none
//   0x3F:w        immediates as their bits
//   send.ugm (16|M0) r10 r4 null 0x0 0x04200580    destination, two payloads, extended descriptor, descriptor; EOT
//   goto (16|M0) 16 104   JIP, UIP: bytes from the start of the instruction
//
// Differences to iga64's output: no columns, sat as a word of its own, immediates always in hexadecimal, no
// scoreboard. The complete style adds the rest, so that the assembler gives the same bytes again: lengths of second
// payloads as iga does (r4:2; r4:a0 when the length stands in a0) and, in braces, Compacted, Atomic, Breakpoint and the
// scoreboard's bits.
// Read next: eu_asm.h (text back to bytes).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "hw/eu/eu_inst.h"

namespace softxe {

enum class EuTextStyle : std::uint8_t {
  kCanonical,
  kComplete,
};

/// One instruction's text. A value without heap memory, so that it can be made wherever an instruction fails.
class EuText {
 public:
  std::string_view view() const { return {chars_.data(), size_}; }

 private:
  friend class EuTextWriter;
  std::array<char, 240> chars_{};  ///< the longest text has 160
  std::uint16_t size_ = 0;
};

EuText eu_text(const EuInst& inst, EuTextStyle style = EuTextStyle::kCanonical);

}  // namespace softxe
