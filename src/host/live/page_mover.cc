#include "host/live/page_mover.h"

#include <sys/mman.h>

#include <cstring>
#include <ctime>

#include "base/raw_syscall.h"

namespace softxe::live {

bool PageMover::wait_turn(std::uint32_t& turns) {
  constexpr std::uint32_t kTurnsMax = 1'000'000;
  res_.counters.eagain.fetch_add(1, std::memory_order_relaxed);
  // EAGAIN of C: an event waits to be read, then its causer must run on (hazard 7).
  res_.pump.pump_for_reader(res_.client);
  if (res_.pump.is_full()) return false;  // only dealing with the events can help
  // The thread that raised the event only needs CPU time; it holds and wants none of our locks. On a busy machine
  // yielding alone does not give it enough; where it raises one event after the other, the moment to try is right
  // behind the read.
  constexpr std::uint32_t kTurnsPerNap = 256;
  if (++turns % kTurnsPerNap == 0) {
    const timespec nap{.tv_sec = 0, .tv_nsec = 50'000};
    raw_syscall(SYS_nanosleep, &nap, nullptr);
  } else if (turns > 16) {
    raw_syscall(SYS_sched_yield);
  }
  return turns < kTurnsMax;
}

RunEnd PageMover::move_run(const Uffd& uffd, UffdTransfer transfer) {
  std::uint64_t moved = 0;
  std::uint64_t step = transfer.bytes;
  std::uint32_t turns = 0;
  while (moved < transfer.bytes) {
    const std::uint64_t want = std::min(step, transfer.bytes - moved);
    auto move = [&] { return uffd.move({transfer.to + moved, transfer.from + moved, want}); };
    const UffdOutcome out =
        &uffd == &res_.client ? res_.pump.undisturbed(HostRange::of(HostVa(transfer.to + moved), want), move) : move();
    moved += out.done_bytes;
    if (out.done_bytes != 0) turns = 0;
    if (out.err == 0) continue;
    if (out.err == EAGAIN) {
      if (out.done_bytes == 0 && !wait_turn(turns)) return {EBUSY, moved};
      continue;
    }
    if (out.err == EEXIST) {
      // Kernel 6.18 up to the fix of MOVE: the page may have moved although it says EEXIST (7.3).
      const bool at_source = res_.pagemap.occupied(HostVa(transfer.from + moved));
      const bool at_target = res_.pagemap.occupied(HostVa(transfer.to + moved));
      if (at_source || !at_target) return {EEXIST, moved};
      res_.counters.moved_eexist.fetch_add(1, std::memory_order_relaxed);
      moved += kPageSize;
      continue;
    }
    if (out.err == ENOENT && refill_dropped(HostRange::of(HostVa(transfer.from + moved), want))) continue;
    if (out.err == EINVAL && want > kPageSize) {  // maybe a border between mappings inside
      step = align_up(want / 2, kPageSize);
      continue;
    }
    return {out.err, moved};
  }
  return {0, moved};
}

RunEnd PageMover::copy_run(const Uffd& uffd, UffdTransfer transfer) {
  std::uint64_t copied = 0;
  std::uint32_t turns = 0;
  refill_dropped(HostRange::of(HostVa(transfer.from), transfer.bytes));  // COPY would fault on a hole
  while (copied < transfer.bytes) {
    auto copy = [&] { return uffd.copy({transfer.to + copied, transfer.from + copied, transfer.bytes - copied}); };
    const UffdOutcome out =
        &uffd == &res_.client
            ? res_.pump.undisturbed(HostRange::of(HostVa(transfer.to + copied), transfer.bytes - copied), copy)
            : copy();
    copied += out.done_bytes;
    if (out.done_bytes != 0) turns = 0;
    if (out.err == 0) continue;
    // The kernel has dropped a page of the frame since we looked.
    if (out.err == EFAULT && refill_dropped(HostRange::of(HostVa(transfer.from + copied), transfer.bytes - copied))) {
      continue;
    }
    if (out.err != EAGAIN) return {out.err, copied};
    if (out.done_bytes == 0 && !wait_turn(turns)) return {EBUSY, copied};
  }
  return {0, copied};
}

/// Memory that the client freed lazily (MADV_FREE) keeps that mark on its way through VRAM: the kernel may
/// have dropped such pages of a frame since, and zeroes are their content now. False: none was missing, or
/// `frame` is no frame.
bool PageMover::refill_dropped(HostRange frame) {
  std::uint64_t words[DevmemAllocation::kPagesMax];
  const std::span seen(words, frame.pages());
  if (pages_of_frame(frame.start()) == nullptr || !res_.pagemap.read(frame.start(), seen)) return false;
  bool any = false;
  for (std::uint64_t i = 0; i < seen.size(); ++i) {
    if (PageMap::is_occupied(seen[i])) continue;
    if (res_.windows.uffd().zero(HostRange::of(frame.start() + (i << kPageShift), kPageSize)).err != 0) return false;
    res_.counters.vanished.fetch_add(1, std::memory_order_relaxed);
    any = true;
  }
  return any;
}

void PageMover::discard_frame(std::uint64_t frame, std::uint64_t bytes) {
  constexpr int kMadvDontneedLocked = 24;  // works also when the client has locked everything
  const long result = raw_syscall(SYS_madvise, frame, bytes, kMadvDontneedLocked);
  SX_ASSERT(errno_of(result) == 0);
}

void PageMover::note_page_tables(HostRange frame) {
  res_.granules.any(frame, [](Granule& g) { return g.may_have_table.store(true, std::memory_order_relaxed), false; });
}

RunEnd PageMover::send_home(UffdTransfer transfer) {
  if (res_.options.dma == DmaMode::kCopy) return send_home_copied(transfer);
  return move_run(res_.client, transfer);
}

/// Copy mode: bytes go into pages of a full slot, or fresh ones, these go home, and the frame's pages fill the slot.
/// They have never been the client's.
RunEnd PageMover::send_home_copied(UffdTransfer transfer) {
  std::byte* slot = staging_.take_full(transfer.bytes);
  RunEnd end{};
  if (slot == nullptr) {
    end = copy_run(res_.client, transfer);
    slot = staging_.take_empty();
  } else {
    std::memcpy(slot, reinterpret_cast<const void*>(transfer.from), transfer.bytes);
    end = move_run(res_.client, {transfer.to, number_of(slot), transfer.bytes});
    if (end.moved_bytes == 0 && staging_.give_full(slot, transfer.bytes)) return end;
  }
  const bool whole = end.moved_bytes == transfer.bytes;
  const bool filled = whole && move_run(res_.windows.uffd(), {number_of(slot), transfer.from, transfer.bytes}).err == 0;
  if (filled && staging_.give_full(slot, transfer.bytes)) return end;
  if (end.moved_bytes != 0) discard_frame(transfer.from, end.moved_bytes);
  discard_frame(number_of(slot), transfer.bytes);
  staging_.give_empty(slot);
  return end;
}

/// Copy mode: the bytes go from the landing slot to the frame. The pages left in the slot are the client's: the
/// kernel may still refer to them (a pipe that they were spliced into), so they go back to it and are never used for
/// anything else.
Status PageMover::land(std::byte* landing, std::byte* frame, std::uint64_t bytes) {
  if (landing == frame) return {};
  const std::uint64_t to = number_of(frame);
  note_page_tables(range_at(landing, bytes));
  note_page_tables(range_at(frame, bytes));
  if (std::byte* full = staging_.take_full(bytes)) {
    const RunEnd end = move_run(res_.windows.uffd(), {to, number_of(full), bytes});
    SX_ASSERT(end.err == 0 || end.err == ENOMEM);
    if (end.err != 0) {
      discard_frame(to, bytes);
      discard_frame(number_of(full), bytes);
    }
    staging_.give_empty(full);
    if (end.err != 0) return fail(ENOMEM, "no memory for page tables");
    std::memcpy(frame, landing, bytes);
  } else {
    const RunEnd end = copy_run(res_.windows.uffd(), {to, number_of(landing), bytes});
    if (end.err != 0) {
      discard_frame(to, bytes);
      return fail(ENOMEM, "no memory for VRAM pages");
    }
  }
  discard_frame(number_of(landing), bytes);
  return {};
}

std::byte* PageMover::take_landing(std::byte* frame) {
  return res_.options.dma == DmaMode::kCopy ? staging_.take_empty() : frame;
}

void PageMover::give_landing(std::byte* landing, std::byte* frame) {
  if (landing != frame) staging_.give_empty(landing);
}

/// An empty page table left in the frame by small pages would make MOVE split a huge page. Where the kernel
/// can (6.14), zapping the empty block frees that table. What small pages leave behind now is noted when they
/// have left (Residents) or were split (Migration); a smaller range says so at once.
void PageMover::prepare_landing(HostRange landing, HostVa source) {
  if (landing.size() != k2M) return note_page_tables(landing);
  std::atomic<bool>& may_have_table = res_.granules.find(landing.start())->may_have_table;
  if (!may_have_table.load(std::memory_order_relaxed) || !res_.pagemap.maybe_huge(source)) return;
  discard_frame(landing.start().value(), k2M);
  may_have_table.store(false, std::memory_order_relaxed);
}

}  // namespace softxe::live
