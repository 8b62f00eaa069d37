// Errors are values: a positive errno and a reason a user can read.
//
// Result<T> is a value or an Error; Status is a Result without a value. User mistakes and resource
// failures travel as values; a broken invariant is SX_ASSERT, which aborts in release builds too.
// Conversion to the negative errno of an ioctl happens only in abi/.
#pragma once

#include <cerrno>
#include <tl/expected.hpp>

namespace softxe {

/// A failure. `why` has static storage duration: an Error never allocates, so the fault path may
/// make one.
struct Error {
  int err = 0;           ///< positive errno value, e.g. EINVAL
  const char* why = "";  ///< one line for SOFTXE_LOG=debug; never empty in new code

  friend bool operator==(const Error& a, const Error& b) { return a.err == b.err; }
};

template <typename T>
using Result = tl::expected<T, Error>;

/// Success, or why not.
using Status = Result<void>;

/// Makes the error alternative of any Result: `return fail(EINVAL, "range is empty");`.
[[nodiscard]] inline tl::unexpected<Error> fail(int err, const char* why) {
  return tl::unexpected<Error>(Error{err, why});
}
[[nodiscard]] inline tl::unexpected<Error> fail(const Error& error) { return tl::unexpected<Error>(error); }

namespace detail {
[[noreturn]] void assert_failed(const char* expression, const char* file, int line);
}  // namespace detail

}  // namespace softxe

#define SX_CONCAT_(a, b) a##b
#define SX_CONCAT(a, b) SX_CONCAT_(a, b)

/// `SX_TRY(auto x, f());` binds the value or returns the error; `SX_TRY_VOID(f());` for a Status.
#define SX_TRY(decl, expr) SX_TRY_(SX_CONCAT(sx_try_, __COUNTER__), decl, expr)
#define SX_TRY_(tmp, decl, expr)                \
  auto&& tmp = (expr);                          \
  if (!tmp) return ::softxe::fail(tmp.error()); \
  decl = std::move(*tmp)
#define SX_TRY_VOID(expr)                                                                   \
  do {                                                                                      \
    if (auto&& sx_status_ = (expr); !sx_status_) return ::softxe::fail(sx_status_.error()); \
  } while (0)

/// Aborts with the expression when an invariant of softxe itself is broken. Never for user input.
#define SX_ASSERT(cond) \
  (__builtin_expect(!!(cond), 1) ? static_cast<void>(0) : ::softxe::detail::assert_failed(#cond, __FILE__, __LINE__))

/// A place that correct code never reaches; `text` says why.
#define SX_UNREACHABLE(text) ::softxe::detail::assert_failed(text, __FILE__, __LINE__)
