// The DRM dispatch rules: which request numbers exist, who may call them, and how the argument
// struct travels in and out (spec/uapi.md section 1).
//
//   run_ioctl()  health -> type and number -> copy-in, zero-extended -> permission -> handler ->
//                copy-back, also after a failure
//
// The kernel dispatches on the number byte alone; size and direction come from the caller's word.
// Handlers get the kernel-sized struct as bytes and decode it with decode.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "abi/user_copy.h"
#include "base/result.h"

namespace softxe {

enum class IoctlDirection : std::uint8_t { kNone, kRead, kWrite, kReadWrite };

/// Who may call: everybody; only card nodes; card nodes of an authenticated client; the DRM master.
enum class IoctlAccess : std::uint8_t { kRender, kCard, kCardAuthenticated, kCardMaster };

/// One row of the table.
struct IoctlDescription {
  std::uint8_t nr = 0;
  IoctlDirection direction = IoctlDirection::kNone;
  IoctlAccess access = IoctlAccess::kRender;
  std::uint16_t size_bytes = 0;
  const char* name = nullptr;  ///< as in uapi.h without "DRM_IOCTL_"; null: slot without handler

  constexpr bool copies_in() const {
    return direction == IoctlDirection::kWrite || direction == IoctlDirection::kReadWrite;
  }
  constexpr bool copies_out() const {
    return direction == IoctlDirection::kRead || direction == IoctlDirection::kReadWrite;
  }
};

/// Largest kernel-side struct in the table.
inline constexpr std::size_t kMaxIoctlBytes = 256;

/// Row of a request word. ENOTTY for a foreign type byte, EINVAL for a number without handler.
Result<const IoctlDescription*> find_ioctl(std::uint32_t request);
/// All rows, in order of number.
std::span<const IoctlDescription> ioctl_table();

enum class DrmNode : std::uint8_t { kCard, kRender };
enum class DrmAuth : std::uint8_t { kNone, kAuthenticated, kMaster };
enum class DeviceHealth : std::uint8_t { kUsable, kWedged, kUnplugged };

/// What the rules need to know about the open file and its device.
struct IoctlCaller {
  DrmNode node = DrmNode::kRender;
  DrmAuth auth = DrmAuth::kAuthenticated;
  DeviceHealth health = DeviceHealth::kUsable;
};

/// EACCES when this caller may not use this row.
Status check_ioctl_access(const IoctlDescription& row, const IoctlCaller& caller);

/// Serves one call. `bytes` has exactly row.size_bytes bytes, aligned to 16; what the handler leaves
/// there is copied back whether it failed or not. The value is the ioctl's return value (0, or a file
/// descriptor).
class IoctlHandler {
 public:
  virtual ~IoctlHandler() = default;
  virtual Result<int> handle(const IoctlDescription& row, std::span<std::byte> bytes) = 0;
};

/// The whole rule. Returns the handler's value or a negative errno; logs a refusal with its reason.
int run_ioctl(const IoctlCaller& caller, UserMemory& memory, std::uint32_t request, HostVa argument,
              IoctlHandler& handler);

}  // namespace softxe
