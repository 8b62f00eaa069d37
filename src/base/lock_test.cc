// The fair reader/writer lock: who waits for whom. Steps are driven by flags, never by time.
#include "base/lock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace softxe {
namespace {

using Lock = SharedMutex<LockRank::kMigrate>;

void await(const std::atomic<int>& word, int at_least) {
  while (word.load() < at_least) std::this_thread::yield();
}

// Three readers hand the lock to each other without a gap: it is never free while they do.
TEST(SharedMutex, AWriterGetsInThoughReadersNeverLeaveItFree) {
  Lock lock{"test"};
  std::atomic<bool> written{false};
  std::atomic<int> inside{0};
  std::atomic<int> rounds{0};
  const auto read = [&] {
    while (!written.load()) {
      ReadGuard hold(lock);
      inside.fetch_add(1);
      // Leaves only when another reader is in, or cannot come in any more.
      for (int looks = 0; looks < 1000 && inside.load() < 2 && !written.load(); ++looks) std::this_thread::yield();
      inside.fetch_sub(1);
      rounds.fetch_add(1);
    }
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) readers.emplace_back(read);
  await(rounds, 10);
  {
    Guard hold(lock);
    EXPECT_EQ(inside.load(), 0);
    written.store(true);
  }
  for (std::thread& reader : readers) reader.join();
}

TEST(SharedMutex, AReaderWaitsForOneWriterAtMost) {
  Lock lock{"test"};
  std::atomic<bool> read{false};
  std::atomic<int> written{0};
  const auto write = [&] {
    while (!read.load()) {
      Guard hold(lock);
      written.fetch_add(1);
    }
  };
  std::thread one(write);
  std::thread other(write);
  await(written, 10);
  {
    ReadGuard hold(lock);
    const int before = written.load();
    std::this_thread::yield();
    EXPECT_EQ(written.load(), before);
    read.store(true);
  }
  one.join();
  other.join();
}

TEST(SharedMutex, CountsAreRightWithManyOfBoth) {
  Lock lock{"test"};
  int value = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) {
        {
          Guard hold(lock);
          ++value;
        }
        ReadGuard hold(lock);
        EXPECT_GT(value, 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(value, 8000);
}

}  // namespace
}  // namespace softxe
