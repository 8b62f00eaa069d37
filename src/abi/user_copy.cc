#include "abi/user_copy.h"

#include "base/guarded.h"

namespace softxe {

Status ProcessUserMemory::read(HostVa from, std::span<std::byte> to) {
  if (to.empty()) return {};
  const void* source = reinterpret_cast<const void*>(from.value());
  if (!guarded_copy(to.data(), source, to.size())) return fail(EFAULT, "user memory is unreadable");
  return {};
}

Status ProcessUserMemory::write(HostVa to, std::span<const std::byte> from) {
  if (from.empty()) return {};
  void* target = reinterpret_cast<void*>(to.value());
  if (!guarded_copy(target, from.data(), from.size())) return fail(EFAULT, "user memory is unwritable");
  return {};
}

}  // namespace softxe
