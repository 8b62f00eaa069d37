#include "hw/eu/eu_start.h"

#include <bit>
#include <cstring>

#include "hw/eu/eu_trace.h"

namespace softxe {
namespace {

/// Runs of registers that are no zeroes any more.
void clear_touched(EuThread& thread) {
  for (unsigned word = 0; word < thread.touched.grf.size(); ++word) {
    for (std::uint64_t left = thread.touched.grf[word]; left != 0;) {
      const auto first = static_cast<unsigned>(std::countr_zero(left));
      const auto count = static_cast<unsigned>(std::countr_one(left >> first));
      std::memset(thread.grf.data() + (word * 64 + first) * kEuGrfBytes, 0, std::size_t{count} * kEuGrfBytes);
      if (first + count == 64) break;
      left &= ~std::uint64_t{0} << (first + count);
    }
  }
  if (thread.touched.acc) {
    thread.acc.fill({});
    thread.acc_wide.fill(0);
  }
  thread.touched = {};
}

/// Zeroes what kernels can read.
void clear(EuThread& thread) {
  clear_touched(thread);
  thread.flag.fill(0);
  thread.a0.fill(0);
  thread.ce.fill(0);
  thread.msg.fill(0);
  thread.sr.fill(0);
  thread.cr.fill(0);
  thread.tm.fill(0);
  thread.other.fill(0);
  thread.waiting.clear();
  thread.state = EuThreadState::kReady;
  thread.barriers_waited = 0;
  thread.in_system_routine = false;
  thread.message_done = 0;
  thread.instructions = 0;
  thread.sends = 0;
  thread.images = 0;
  thread.texels = 0;
}

/// Dwords of r0.
enum R0 : unsigned {
  kIndirectData = 0,
  kGroupX = 1,
  kThreads = 2,
  kSamplers = 3,
  kScratch = 5,
  kGroupY = 6,
  kGroupZ = 7,
};

void fill_r0(EuThread& thread, const EuWalker& walker, const EuThreadPlace& place) {
  std::array<std::uint32_t, kEuGrfBytes / 4> r0{};
  r0[kIndirectData] = walker.indirect_data;
  r0[kGroupX] = place.group[0];
  r0[kThreads] = walker.threads << 24 | place.thread;
  r0[kSamplers] = walker.bases.samplers;
  r0[kScratch] = walker.scratch | place.hw_id;
  r0[kGroupY] = place.group[1];
  r0[kGroupZ] = place.group[2];
  std::memcpy(thread.grf.data(), r0.data(), sizeof r0);
}

/// Counts through the lanes of a group in walk order.
class IdCursor {
 public:
  IdCursor(const EuLocalIds& ids, std::uint64_t lane) : ids_(ids) {
    for (const std::uint8_t dimension : ids.order) {
      at_[dimension] = static_cast<std::uint32_t>(lane % ids.size[dimension]);
      lane /= ids.size[dimension];
    }
  }
  std::uint16_t at(unsigned dimension) const { return static_cast<std::uint16_t>(at_[dimension]); }
  void next() {
    for (const std::uint8_t dimension : ids_.order) {
      if (++at_[dimension] < ids_.size[dimension]) return;
      at_[dimension] = 0;
    }
  }

 private:
  const EuLocalIds& ids_;
  EuTriple at_{};
};

/// Where the thread runs, as kernels put their hardware thread id together again.
void fill_place(EuThread& thread, std::uint32_t hw_id) {
  const std::uint32_t in_eu = hw_id & 7;
  const std::uint32_t eu = hw_id >> 3 & 7;
  const std::uint32_t sub_slice = hw_id >> 6;  // of all slices; 4 in each
  thread.sr[0] = in_eu | eu << 4 | (sub_slice & 3) << 8 | (sub_slice >> 2) << 11;
  thread.msg[0] = sub_slice;
}

}  // namespace

/// One register for each emitted dimension, also with 16 lanes.
EuIdRows eu_id_rows(const EuWalker& walker, std::uint32_t thread) {
  EuIdRows made;
  if (walker.local_ids.emitted == 0) return made;
  IdCursor cursor(walker.local_ids, std::uint64_t{thread} * walker.simd);
  std::array<std::array<std::uint16_t, kEuGrfBytes / 2>, 3> rows{};
  for (std::uint32_t lane = 0; lane < walker.simd; ++lane, cursor.next()) {
    for (unsigned dimension = 0; dimension < 3; ++dimension) rows[dimension][lane] = cursor.at(dimension);
  }
  for (unsigned dimension = 0; dimension < 3; ++dimension) {
    if ((walker.local_ids.emitted >> dimension & 1) != 0) made.row[made.count++] = rows[dimension];
  }
  return made;
}

void eu_start_thread(EuThread& thread, const EuWalker& walker, const EuThreadPlace& place, const EuIdRows& ids) {
  thread.large_grf = walker.large_grf;
  clear(thread);
  fill_r0(thread, walker, place);
  unsigned next = 1;
  std::memcpy(thread.grf.data() + next * kEuGrfBytes, ids.row.data(), ids.count * kEuGrfBytes);
  next += ids.count;
  if (walker.has_inline_data) {
    std::memcpy(thread.grf.data() + next * kEuGrfBytes, walker.inline_data.data(), sizeof walker.inline_data);
  }
  thread.touched.add_registers(0, next + 1);
  const std::uint32_t all = walker.simd == 32 ? ~0u : 0xFFFFu;
  const std::uint32_t mask = place.thread + 1 == walker.threads ? walker.last_mask : all;
  fill_place(thread, place.hw_id);
  thread.sr[2] = mask;
  thread.ce[0] = mask;
  thread.cr[0] = walker.rounding << 4;
  thread.cr[1] = walker.exceptions;
  thread.mask = mask;
  thread.call_mask = mask;
  thread.ip = walker.kernel.value();
  thread.simd = static_cast<std::uint8_t>(walker.simd);
  thread.number = static_cast<std::uint16_t>(place.thread);
  thread.hw_id = place.hw_id;
  thread.traced = eu_trace_wants(walker, place) ? walker.number : 0;
}

}  // namespace softxe
