// SignalBoard: how a fork child learns that a fence of its parent was signalled.
//
// A fence that is pending at a fork is signalled by the parent's engine, in the parent's memory. So each gets a
// word in shared memory, which a callback of the fence writes, and the child's copy of the fence is signalled
// by a thread of the child that watches the words. When the parent is gone its jobs are, too: what is pending
// then is signalled with ECANCELED, so that nobody waits for ever.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "drv/exec/fence.h"

namespace softxe {

/// The words of one fork. add() is for the thread that forks; the words belong to both processes.
class SignalBoard {
 public:
  static constexpr std::uint64_t kBytes = 64ull << 10;

  /// ENOMEM.
  static Result<std::shared_ptr<SignalBoard>> make();
  ~SignalBoard();
  SignalBoard(const SignalBoard&) = delete;
  SignalBoard& operator=(const SignalBoard&) = delete;

  /// `copy` is to be signalled as `original` will be. ENOSPC: the board is full.
  static Status relay(const std::shared_ptr<SignalBoard>& board, const FencePtr& original, const FencePtr& copy);

  /// In the child. Signals the copies whose originals have been; false: none is left.
  bool pass_on();
  /// Passes on until nothing is pending, or until `parent_lives` says no; then the rest is ECANCELED.
  void watch(const std::function<bool()>& parent_lives);

 private:
  using Word = std::atomic<std::uint32_t>;
  static constexpr std::size_t kWords = kBytes / sizeof(Word);

  explicit SignalBoard(Word* words) : words_(words) {}
  /// Word 0 counts the changes of the others and is what the child sleeps on.
  Word& changes() { return words_[0]; }
  HostRange range() const;

  Word* const words_;
  std::size_t used_ = 1;
  struct Copy {
    FencePtr fence;
    std::size_t word;
  };
  std::vector<Copy> copies_;  ///< not yet signalled; the child's
};

}  // namespace softxe
