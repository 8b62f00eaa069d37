// What the client of a live scenario does: system calls, loads and stores, in this process or in a child.
//
// One description of a call serves both: the mirrored process performs it through the hooks of LiveHostMm
// (what the patched system calls of a real client go through), a forked child through the bare system call.
// Next: scenario_live_world.h.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "host/live/live_host_mm.h"

namespace softxe::scenario::live_client {

enum class Op : std::uint8_t {
  kSyscall,  ///< number and arguments as they are
  kMmap,     ///< makes the object to map first, where one is needed
  kLoad,
  kStore,
  kFill,
  kPage,  ///< what the kernel says about one page: PageWord
  kExit,
};

enum class Object : std::uint8_t { kNone, kShmem, kFile, kDevice };

/// Plain data: it travels through a socket to children.
struct Call {
  Op op = Op::kSyscall;
  Object object = Object::kNone;
  long number = 0;
  std::array<long, 6> args{};  ///< of the system call
  std::uint64_t address = 0;   ///< of a load, store, fill, page
  std::uint64_t bytes = 0;     ///< of a load, store, fill; size of a new object
  std::uint64_t value = 0;
};
struct Reply {
  int err = 0;  ///< EFAULT and EIO of loads and stores stand for SIGSEGV and SIGBUS
  std::uint64_t value = 0;
};

/// Bits of the value that kPage answers.
enum PageWord : std::uint64_t { kPresent = 1, kSwapped = 2, kZero = 4, kGuard = 8, kMapped = 16 };

/// Performs the call in this process; `mm` null: without hooks.
Reply perform(const Call& call, live::LiveHostMm* mm);

/// For LiveOptions::is_device_mapping: memory mapped as Object::kDevice.
bool is_device_object(std::uint64_t dev, std::uint64_t inode);

/// Catches the signals of loads and stores that fail. Once per process.
void install_fault_handler();

/// The processes made by `cpu fork`. Each child waits for calls at the other end of a socket.
class Children {
 public:
  Children() = default;
  ~Children();
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  Status fork_child(const std::string& name, live::LiveHostMm& mm);
  Result<std::uint64_t> call(const std::string& name, const Call& call);
  bool has(const std::string& name) const { return children_.contains(name); }

 private:
  struct Child {
    int pid;
    int socket;
  };
  [[noreturn]] static void serve(int socket);
  std::map<std::string, Child> children_;
};

}  // namespace softxe::scenario::live_client
