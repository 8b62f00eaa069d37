#include "abi/ioctl_table.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "abi/uapi.h"
#include "base/event_ring.h"
#include "base/log.h"

namespace softxe {
namespace {

constexpr IoctlDirection direction_of(std::uint32_t request) {
  switch (_IOC_DIR(request)) {
    case _IOC_READ: return IoctlDirection::kRead;
    case _IOC_WRITE: return IoctlDirection::kWrite;
    case _IOC_READ | _IOC_WRITE: return IoctlDirection::kReadWrite;
    default: return IoctlDirection::kNone;
  }
}

constexpr IoctlDescription row(std::uint32_t request, IoctlAccess access, const char* name) {
  return {static_cast<std::uint8_t>(_IOC_NR(request)), direction_of(request), access,
          static_cast<std::uint16_t>(_IOC_SIZE(request)), name};
}

#define SX_ROW(name, access) row(DRM_IOCTL_##name, IoctlAccess::access, #name)

// In order of number. GEM_CHANGE_HANDLE (0xd2) is missing on purpose: the kernel has it switched off
// and answers EINVAL (spec/uapi.md section 16).
constexpr IoctlDescription kTable[] = {
    SX_ROW(VERSION, kRender),
    SX_ROW(GET_UNIQUE, kCard),
    SX_ROW(GET_MAGIC, kCard),
    SX_ROW(GET_CLIENT, kCard),
    SX_ROW(GET_STATS, kCard),
    SX_ROW(SET_VERSION, kCardMaster),
    SX_ROW(GEM_CLOSE, kRender),
    SX_ROW(GEM_FLINK, kCardAuthenticated),
    SX_ROW(GEM_OPEN, kCardAuthenticated),
    SX_ROW(GET_CAP, kRender),
    SX_ROW(SET_CLIENT_CAP, kCard),
    SX_ROW(AUTH_MAGIC, kCardMaster),
    SX_ROW(SET_MASTER, kCard),
    SX_ROW(DROP_MASTER, kCard),
    SX_ROW(PRIME_HANDLE_TO_FD, kRender),
    SX_ROW(PRIME_FD_TO_HANDLE, kRender),
    SX_ROW(XE_DEVICE_QUERY, kRender),
    SX_ROW(XE_GEM_CREATE, kRender),
    SX_ROW(XE_GEM_MMAP_OFFSET, kRender),
    SX_ROW(XE_VM_CREATE, kRender),
    SX_ROW(XE_VM_DESTROY, kRender),
    SX_ROW(XE_VM_BIND, kRender),
    SX_ROW(XE_EXEC_QUEUE_CREATE, kRender),
    SX_ROW(XE_EXEC_QUEUE_DESTROY, kRender),
    SX_ROW(XE_EXEC_QUEUE_GET_PROPERTY, kRender),
    SX_ROW(XE_EXEC, kRender),
    SX_ROW(XE_WAIT_USER_FENCE, kRender),
    SX_ROW(XE_OBSERVATION, kRender),
    SX_ROW(XE_MADVISE, kRender),
    SX_ROW(XE_VM_QUERY_MEM_RANGE_ATTRS, kRender),
    SX_ROW(XE_EXEC_QUEUE_SET_PROPERTY, kRender),
    SX_ROW(XE_VM_GET_PROPERTY, kRender),
    SX_ROW(MODE_GETRESOURCES, kCard),
    SX_ROW(MODE_CREATE_DUMB, kCard),
    SX_ROW(MODE_MAP_DUMB, kCard),
    SX_ROW(MODE_DESTROY_DUMB, kCard),
    SX_ROW(MODE_GETPLANERESOURCES, kCard),
    SX_ROW(SYNCOBJ_CREATE, kRender),
    SX_ROW(SYNCOBJ_DESTROY, kRender),
    SX_ROW(SYNCOBJ_HANDLE_TO_FD, kRender),
    SX_ROW(SYNCOBJ_FD_TO_HANDLE, kRender),
    SX_ROW(SYNCOBJ_WAIT, kRender),
    SX_ROW(SYNCOBJ_RESET, kRender),
    SX_ROW(SYNCOBJ_SIGNAL, kRender),
    SX_ROW(SYNCOBJ_TIMELINE_WAIT, kRender),
    SX_ROW(SYNCOBJ_QUERY, kRender),
    SX_ROW(SYNCOBJ_TRANSFER, kRender),
    SX_ROW(SYNCOBJ_TIMELINE_SIGNAL, kRender),
    SX_ROW(SYNCOBJ_EVENTFD, kRender),
    SX_ROW(SET_CLIENT_NAME, kRender),
};
#undef SX_ROW

constexpr bool table_is_sound() {
  for (std::size_t i = 0; i < std::size(kTable); ++i) {
    if (kTable[i].size_bytes > kMaxIoctlBytes) return false;
    if (i != 0 && kTable[i - 1].nr >= kTable[i].nr) return false;
  }
  return true;
}
static_assert(table_is_sound(), "sorted by number, and every struct fits");

/// Position in kTable by number, or kNoRow: the dispatch is one load.
constexpr std::uint8_t kNoRow = 0xff;
static_assert(std::size(kTable) <= kNoRow);
constexpr std::array<std::uint8_t, 256> make_index() {
  std::array<std::uint8_t, 256> index{};
  for (auto& slot : index) slot = kNoRow;
  for (std::size_t i = 0; i < std::size(kTable); ++i) index[kTable[i].nr] = static_cast<std::uint8_t>(i);
  return index;
}
constexpr std::array<std::uint8_t, 256> kIndexByNr = make_index();

/// How many bytes travel each way for one call: the caller's size, gated by both direction bits.
struct Transfer {
  std::size_t in = 0;
  std::size_t out = 0;
};

Transfer transfer_of(const IoctlDescription& row, std::uint32_t request) {
  const std::size_t size = _IOC_SIZE(request);
  Transfer t;
  if (row.copies_in() && (_IOC_DIR(request) & _IOC_WRITE)) t.in = size;
  if (row.copies_out() && (_IOC_DIR(request) & _IOC_READ)) t.out = size;
  return t;
}

/// The kernel-side copy of the argument. Small calls stay on the stack; a caller's longer struct
/// (up to 16 KiB by the request word) goes to the heap, zero behind what was copied in.
class ArgumentBuffer {
 public:
  Status fill(UserMemory& memory, HostVa from, const Transfer& t, std::size_t kernel_bytes) {
    const std::size_t bytes = std::max({t.in, t.out, kernel_bytes});
    if (bytes > sizeof small_) {
      large_.reset(new (std::nothrow) std::byte[bytes]);
      if (!large_) return fail(ENOMEM, "no memory for the ioctl argument");
      data_ = large_.get();
    }
    SX_TRY_VOID(memory.read(from, {data_, t.in}));
    std::memset(data_ + t.in, 0, bytes - t.in);
    return {};
  }
  std::byte* data() { return data_; }

 private:
  alignas(16) std::byte small_[kMaxIoctlBytes];
  std::unique_ptr<std::byte[]> large_;
  std::byte* data_ = small_;
};

int refuse(const char* name, const Error& error) {
  SX_DEBUG("ioctl {}: errno {}: {}", name, error.err, error.why);
  return -error.err;
}

}  // namespace

std::span<const IoctlDescription> ioctl_table() { return kTable; }

Result<const IoctlDescription*> find_ioctl(std::uint32_t request) {
  if (_IOC_TYPE(request) != DRM_IOCTL_BASE) return fail(ENOTTY, "not a DRM request");
  const std::uint8_t at = kIndexByNr[_IOC_NR(request)];
  if (at == kNoRow) return fail(EINVAL, "no handler for this request number");
  return &kTable[at];
}

Status check_ioctl_access(const IoctlDescription& row, const IoctlCaller& caller) {
  if (row.access == IoctlAccess::kRender) return {};
  if (caller.node == DrmNode::kRender) return fail(EACCES, "not allowed on a render node");
  if (row.access == IoctlAccess::kCardAuthenticated && caller.auth == DrmAuth::kNone)
    return fail(EACCES, "client is not authenticated");
  if (row.access == IoctlAccess::kCardMaster && caller.auth != DrmAuth::kMaster)
    return fail(EACCES, "client is not DRM master");
  return {};
}

int run_ioctl(const IoctlCaller& caller, UserMemory& memory, std::uint32_t request, HostVa argument,
              IoctlHandler& handler) {
  if (caller.health == DeviceHealth::kWedged) return refuse("any", Error{ECANCELED, "device is wedged"});
  if (caller.health == DeviceHealth::kUnplugged) return refuse("any", Error{ENODEV, "device is unplugged"});
  auto found = find_ioctl(request);
  if (!found) return refuse("unknown", found.error());
  const IoctlDescription& row = **found;
  const Transfer transfer = transfer_of(row, request);
  ArgumentBuffer buffer;
  if (auto in = buffer.fill(memory, argument, transfer, row.size_bytes); !in) return refuse(row.name, in.error());

  const EventScope asked(emit({.word = row.nr, .kind = EventKind::kIoctl}));
  Result<int> result = 0;
  if (auto allowed = check_ioctl_access(row, caller); !allowed)
    result = fail(allowed.error());
  else
    result = handler.handle(row, {buffer.data(), row.size_bytes});
  if (!result) {
    const auto err = static_cast<std::uint16_t>(result.error().err);
    emit({.word = row.nr, .err = err, .kind = EventKind::kIoctlFailed});
  }

  if (auto out = memory.write(argument, {buffer.data(), transfer.out}); !out) return refuse(row.name, out.error());
  return result ? *result : refuse(row.name, result.error());
}

}  // namespace softxe
