#include "drv/exec/signal_board.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <time.h>

#include <climits>

#include "base/engine_memory.h"
#include "base/raw_syscall.h"

namespace softxe {

namespace {

static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "the words are shared by processes");

/// How often the child looks whether the parent lives, while it has something to wait for.
constexpr long kLookNs = 50'000'000;

}  // namespace

Result<std::shared_ptr<SignalBoard>> SignalBoard::make() {
  const long at =
      raw_syscall(SYS_mmap, nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (errno_of(at) != 0) return fail(errno_of(at), "no memory to share with a fork child");
  std::shared_ptr<SignalBoard> board(new SignalBoard(reinterpret_cast<Word*>(at)));
  SX_TRY_VOID(note_engine_memory(board->range()));
  return board;
}

SignalBoard::~SignalBoard() {
  raw_syscall(SYS_munmap, words_, kBytes);
  forget_engine_memory(range());
}

HostRange SignalBoard::range() const {
  return HostRange::of(HostVa(reinterpret_cast<std::uint64_t>(words_)), align_up(kBytes, kPageSize));
}

// 0: pending; else 1 and the error. The board lives in this process until the last fence is signalled.
Status SignalBoard::relay(const std::shared_ptr<SignalBoard>& board, const FencePtr& original, const FencePtr& copy) {
  if (board->used_ == kWords) return fail(ENOSPC, "too many fences are pending at a fork");
  const std::size_t word = board->used_++;
  board->copies_.push_back({copy, word});
  original->on_signal([board, word](int error) {
    board->words_[word].store(1 + static_cast<std::uint32_t>(error), std::memory_order_release);
    board->changes().fetch_add(1, std::memory_order_acq_rel);
    raw_syscall(SYS_futex, &board->changes(), FUTEX_WAKE, INT_MAX);
  });
  return {};
}

bool SignalBoard::pass_on() {
  std::vector<Copy> left;
  for (Copy& copy : copies_) {
    const std::uint32_t said = words_[copy.word].load(std::memory_order_acquire);
    if (said == 0) {
      left.push_back(std::move(copy));
    } else {
      copy.fence->signal(static_cast<int>(said - 1));
    }
  }
  copies_ = std::move(left);
  return !copies_.empty();
}

void SignalBoard::watch(const std::function<bool()>& parent_lives) {
  for (;;) {
    const std::uint32_t seen = changes().load(std::memory_order_acquire);
    const bool alive = parent_lives();  // first: what it did before its end is on the board
    if (!pass_on()) return;
    if (!alive) break;
    const timespec look{.tv_sec = 0, .tv_nsec = kLookNs};
    raw_syscall(SYS_futex, &changes(), FUTEX_WAIT, seen, &look);
  }
  for (Copy& copy : copies_) copy.fence->signal(ECANCELED);
  copies_.clear();
}

}  // namespace softxe
