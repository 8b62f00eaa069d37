#include "sim/soak_kernels.h"

#include <cstring>

#include "hw/eu/eu_asm.h"

namespace softxe::sim {
namespace {

constexpr std::uint64_t kCountCode = 0, kScatterCode = 4096, kTable = 8192, kFound = 12288;  // of the room

/// r2: the table of places, an offset or a value (64 bits each), then in dword 6 the rounds. r14 is a lane's place in
/// the table, r16 what stands there.
constexpr const char* kStart = R"(
.simd 16
        mov   r10:d   r1.0<1;1,0>:uw
        mov   r12:q   r10:d
        shl   r12:q   r12:q   3:w
        add   r14:q   r12:q   r2.0<0;1,0>:q
        load.ugm.d64.a64 (16|M0) r16 r14
(W)     mov (1|M0) r30.0:d r2.6<0;1,0>:d
)";
constexpr const char* kEnd = R"(
(W)     add (1|M0) r30.0:d r30.0:d -1:w
(W)     cmp (1|M0) (gt)f0.0 null:d r30.0:d 0:w
(W&f0.0) jmpi again
)";
constexpr const char* kCount = R"(
        add   r18:q   r16:q   r2.1<0;1,0>:q
        mov   r10:d   1:w
        mov   r24:q   r10:d
again:
        load.ugm.d64.a64 (16|M0) r20 r18
        add   r22:q   r20:q   r24:q
        store.ugm.d64.a64 (16|M0) r18 r22
        atomic_add.ugm.d64.a64 (16|M0) null r16 r24
)";
constexpr const char* kScatter = R"(
        add   r18:q   r12:q   r2.1<0;1,0>:q
again:
        store.ugm.d64.a64 (16|M0) r16 r18
        load.ugm.d64.a64 (16|M0) r20 r16
)";

void put_code(std::uint64_t at, const std::string& text) {
  const auto code = eu_assemble(text);
  SX_ASSERT(code.has_value() && code->size() <= kPageSize);
  std::memcpy(reinterpret_cast<void*>(at), code->data(), code->size());
}

}  // namespace

SoakKernels::SoakKernels(EngineMemory& memory, const Clock& clock, std::uint64_t room, unsigned va_bits)
    : launcher_(memory, clock), room_(room), va_bits_(va_bits) {
  const std::string found = "        store.ugm.d64.a64 (16|M0) r14+4096 r20\n";
  static_assert(kFound - kTable == 4096);
  put_code(room + kCountCode, std::string(kStart) + kCount + kEnd + found + "        eot r0\n");
  put_code(room + kScatterCode, std::string(kStart) + kScatter + kEnd + "        eot r0\n");
}

Status SoakKernels::run(std::uint64_t code, std::uint64_t second, std::uint32_t rounds) {
  EuLaunch launch{.code = GpuVa(room_ + code), .group_items = kLanes};
  const std::uint64_t words[] = {room_ + kTable, second};
  std::memcpy(launch.arguments.data(), words, sizeof words);
  launch.arguments[6] = rounds;
  SX_TRY_VOID(launcher_.begin(launch, va_bits_));
  return launcher_.run(~0ull);
}

Status SoakKernels::count(const Count& what, Places& found) {
  std::memcpy(reinterpret_cast<void*>(room_ + kTable), what.pages.data(), what.pages.size_bytes());
  SX_TRY_VOID(run(kCountCode, what.own_offset, what.rounds));
  std::memcpy(found.data(), reinterpret_cast<const void*>(room_ + kFound), sizeof found);
  return {};
}

Status SoakKernels::scatter(std::span<const std::uint64_t, kLanes> places, std::uint64_t value, std::uint32_t rounds) {
  std::memcpy(reinterpret_cast<void*>(room_ + kTable), places.data(), places.size_bytes());
  return run(kScatterCode, value, rounds);
}

}  // namespace softxe::sim
