// What the C calls (include/softxe/softxe_c.h) have in common: numbered handles, errors, structures of a size that the
// caller names. The calls themselves stand in c_process.cc, c_device.cc, c_vm.cc and c_engine.cc; each of them is one
// c_call() over the C++ object of its handle.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>

#include "embed/hooks.h"
#include "softxe/softxe.h"
#include "softxe/softxe_c.h"

namespace softxe::api {

/// The objects behind all handles of the program. A handle is a number, counted from 1 and never used again: looking
/// one up needs no memory of the caller, so that a wrong one cannot be followed.
class HandleTable {
 public:
  using Object = std::variant<Process, Device, Buffer, Vm, Engine>;

  /// Never destroyed: handles may be used until the program has ended.
  static HandleTable& instance();

  std::uint64_t add(Object object);
  /// A copy, which keeps the object alive while a call is under way. Nothing: no such handle, or of another kind.
  template <typename T>
  std::optional<T> find(std::uint64_t number) {
    std::lock_guard hold(mutex_);
    const auto found = objects_.find(number);
    if (found == objects_.end() || !std::holds_alternative<T>(found->second)) return std::nullopt;
    return std::get<T>(found->second);
  }
  /// The object, whose last handle the caller drops without the table's lock.
  template <typename T>
  std::optional<T> take(std::uint64_t number) {
    std::optional<T> taken = find<T>(number);
    if (!taken) return std::nullopt;
    std::lock_guard hold(mutex_);
    // Of two threads that destroy one handle, one does.
    const auto node = objects_.extract(number);
    if (node.empty()) return std::nullopt;
    return taken;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Object> objects_;
  std::uint64_t next_ = 1;
};

inline std::uint64_t number_of(const void* handle) { return reinterpret_cast<std::uintptr_t>(handle); }
template <typename Handle>
Handle* handle_of(std::uint64_t number) {
  return reinterpret_cast<Handle*>(static_cast<std::uintptr_t>(number));  // NOLINT(performance-no-int-to-ptr)
}

inline const Error kWrongHandle{EBADF, "the handle is none, is destroyed, or is of another kind"};
inline const Error kNullPointer{EFAULT, "a pointer is NULL"};
inline const Error kUnknownValue{EINVAL, "no such value of an enumeration, or no such flag"};

/// The result of a C call; tells the caller's `error`, too.
inline int finish(const Status& status, softxe_error* error) {
  const Error& what = status.error();
  if (error != nullptr) *error = {what.err, what.reason};
  return what.err;
}

/// Runs the body of a call that returns a Status. Nothing of C++ leaves it.
template <typename Body>
int c_call(softxe_error* error, Body body) {
  const EngineCall call;
  try {
    return finish(body(), error);
  } catch (const std::bad_alloc&) {
    return finish(Error{ENOMEM, "no memory"}, error);
  }
}

/// The same over the object of a handle.
template <typename T, typename Handle, typename Body>
int c_call_on(Handle* handle, softxe_error* error, Body body) {
  return c_call(error, [&]() -> Status {
    std::optional<T> object = HandleTable::instance().find<T>(number_of(handle));
    if (!object) return kWrongHandle;
    return body(*object);
  });
}

template <typename T, typename Handle>
int c_destroy(Handle* handle, softxe_error* error) {
  return c_call(error, [&]() -> Status {
    if (!HandleTable::instance().take<T>(number_of(handle))) return kWrongHandle;
    return {};
  });
}

/// A new handle for what `made` holds, or its error.
template <typename Handle, typename T>
Status give(Result<T> made, Handle** to) {
  if (!made) return made.error();
  *to = handle_of<Handle>(HandleTable::instance().add(std::move(*made)));
  return {};
}

template <typename T>
Status put(const Result<T>& result, T* to) {
  if (!result) return result.error();
  *to = *result;
  return {};
}

// --- structures of a size -----------------------------------------------------------------------------------------

/// No structure will ever be larger; what is, was never set.
constexpr std::size_t kStructBytesMax = 4096;

inline Status check_struct_bytes(std::size_t bytes, std::size_t known) {
  if (bytes < known) return Error{EINVAL, "the size of a structure is too small: sizeof the structure is wanted"};
  if (bytes > kStructBytesMax) return Error{E2BIG, "the size of a structure is above 4096"};
  return {};
}

/// Options as this library knows them; all zero for NULL.
template <typename T>
Result<T> read_options(const T* from) {
  T options{};
  if (from == nullptr) return options;
  const std::size_t bytes = from->struct_bytes;
  if (Status good = check_struct_bytes(bytes, sizeof(T)); !good) return good.error();
  const auto* raw = reinterpret_cast<const unsigned char*>(from);
  for (std::size_t i = sizeof(T); i < bytes; ++i) {
    if (raw[i] != 0) return Error{E2BIG, "an option that this library does not know"};
  }
  std::memcpy(&options, from, sizeof options);
  return options;
}

/// Whether write_out() will have room.
template <typename T>
Status check_out(const T* to) {
  if (to == nullptr) return kNullPointer;
  return check_struct_bytes(to->struct_bytes, sizeof(T));
}

/// `value` to a structure that check_out() has seen; what the caller has beyond is zero.
template <typename T>
void write_out(T value, T* to) {
  value.struct_bytes = to->struct_bytes;
  std::memset(reinterpret_cast<unsigned char*>(to) + sizeof value, 0, value.struct_bytes - sizeof value);
  std::memcpy(to, &value, sizeof value);
}

/// A C value that has a counterpart in C++, in the same order from 0; nothing behind the last one.
template <typename Enum>
std::optional<Enum> enum_of(std::uint32_t value, Enum last) {
  if (value > static_cast<std::uint32_t>(last)) return std::nullopt;
  return static_cast<Enum>(value);
}

inline Range range_of(const softxe_range& range) { return {range.start, range.bytes}; }

}  // namespace softxe::api
