// The names of base/raw_syscall.h as the live backend and the preload library know them.
#pragma once

#include "base/raw_syscall.h"

namespace softxe::live {
namespace detail = softxe::detail;
using softxe::errno_of;
using softxe::raw_syscall;
}  // namespace softxe::live
