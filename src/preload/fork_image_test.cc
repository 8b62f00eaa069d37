// Descriptors over a fork, without the rest of the preload library: a process that has no session stands in for it.
// What clients see of it is in tests/client/inherited*.c.
#include "preload/fork_image.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <semaphore>
#include <thread>

#include "abi/drm_test_rig.h"
#include "base/at_step.h"
#include "preload/engine_alloc.h"
#include "preload/engine_fds.h"
#include "preload/fd_table.h"
#include "preload/paths.h"
#include "preload/session.h"
#include "preload/thread_ends.h"
#include "preload/threads.h"

namespace softxe::preload {

static std::uint64_t number_of_forks = 1;

std::uint64_t generation() { return number_of_forks; }
Session* session() { return nullptr; }
Result<Session*> session_or_make() { return fail(ENODEV, "the test has no session"); }
const Settings& settings() {
  static const Settings none{};
  return none;
}
live::LiveHostMm* live_mm() { return nullptr; }
bool active() { return false; }
bool missed_fork() { return false; }
Result<ThreadStarter> engine_thread_starter(unsigned) { return fail(EAGAIN, "the test has no threads"); }
void* engine_allocate(std::size_t bytes, std::size_t alignment) { return std::aligned_alloc(alignment, bytes); }
HostRange engine_heap() { return HostRange::of(HostVa(kPageSize), 1ull << 30); }
bool maybe_engine_fd(int) { return false; }
bool is_remembered_engine_fd(int) { return false; }
void forget_other_threads() {}
std::string link_of_fd(int) { return {}; }
std::optional<std::string> client_path_of_fd(int) { return std::nullopt; }

namespace {

/// One that is stuck is ended.
bool ends_well(pid_t child) {
  constexpr int kMillisecondsMax = 10'000;
  pollfd ended{.fd = static_cast<int>(syscall(SYS_pidfd_open, child, 0)), .events = POLLIN, .revents = 0};
  if (poll(&ended, 1, kMillisecondsMax) != 1) kill(child, SIGKILL);
  close(ended.fd);
  int status = -1;
  waitpid(child, &status, 0);
  return status == 0;
}

TEST(ForkImage, ADescriptorLockedByAnotherThreadAtTheForkIsFreeInTheChild) {
  DrmRig rig;
  const auto object = std::make_shared<FdObject>(DeviceNode{});
  const int fd = eventfd(0, EFD_CLOEXEC);
  put_fd(fd, object);
  std::binary_semaphore there{0}, may_go{0};
  AtStep stop("preload.fd.locked", 1, [&](int) {
    there.release();
    may_go.acquire();
  });
  std::thread inside([&] { object->existing_drm_file(); });
  there.acquire();
  const pid_t child = fork();
  if (child == 0) {
    ++number_of_forks;
    claim_fork_image(*rig.process, {});
    _exit(object->existing_drm_file() == nullptr ? 0 : 1);
  }
  EXPECT_TRUE(ends_well(child));
  may_go.release();
  inside.join();
  take_fd(fd);
  close(fd);
}

}  // namespace
}  // namespace softxe::preload
