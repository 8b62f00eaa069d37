// The C calls of processes.
#include <array>

#include "embed/c_handles.h"

using namespace softxe::api;

namespace {

Result<LiveOptions> live_options(const softxe_live_options* from) {
  auto given = read_options(from);
  if (!given) return given.error();
  const auto dma = enum_of(given->dma, LiveOptions::Dma::kCopy);
  const auto signals = enum_of(given->signals, LiveOptions::Signals::kCaller);
  const auto hooks = enum_of(given->hooks, LiveOptions::Hooks::kPatchLibc);
  if (!dma || !signals || !hooks) return kUnknownValue;
  return LiveOptions{*dma, *signals, *hooks};
}

// The kernel takes some intervals that the simulated process has no name for, and the other way round: both refuse
// them.
Status check_interval(const softxe_range& range) {
  if (range.start % 4096 != 0 || range.bytes == 0 || range.start + range.bytes < range.start) {
    return Error{EINVAL, "the interval is empty, does not begin at a page, or wraps"};
  }
  return {};
}

}  // namespace

extern "C" {

int softxe_c_api_version(void) { return SOFTXE_C_API_VERSION; }

int softxe_process_create_simulated(softxe_process** process, softxe_error* error) {
  return c_call(error, [&]() -> Status {
    if (process == nullptr) return kNullPointer;
    return give(Process::simulated(), process);
  });
}

int softxe_process_create_live(const softxe_live_options* options, softxe_process** process, softxe_error* error) {
  return c_call(error, [&]() -> Status {
    if (process == nullptr) return kNullPointer;
    const auto wanted = live_options(options);
    if (!wanted) return wanted.error();
    return give(Process::live(*wanted), process);
  });
}

int softxe_process_get_info(softxe_process* process, softxe_process_info* info, softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (Status good = check_out(info); !good) return good;
    softxe_process_info value{};
    value.is_simulated = it.is_simulated() ? 1 : 0;
    value.can_migrate = it.can_migrate() ? 1 : 0;
    write_out(value, info);
    return {};
  });
}

int softxe_process_destroy(softxe_process* process, softxe_error* error) { return c_destroy<Process>(process, error); }

int softxe_process_map(softxe_process* process, uint64_t bytes, uint64_t at, uint64_t* address, softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (address == nullptr) return kNullPointer;
    if (Status good = check_interval({at, bytes}); !good) return good;
    return put(it.map(bytes, at), address);
  });
}

int softxe_process_unmap(softxe_process* process, softxe_range range, softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (Status good = check_interval(range); !good) return good;
    return it.unmap(range_of(range));
  });
}

int softxe_process_protect(softxe_process* process, softxe_range range, uint32_t protection, softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    const auto wanted = enum_of(protection, Protection::kReadWrite);
    if (!wanted) return kUnknownValue;
    if (Status good = check_interval(range); !good) return good;
    return it.protect(range_of(range), *wanted);
  });
}

int softxe_process_discard(softxe_process* process, softxe_range range, softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (Status good = check_interval(range); !good) return good;
    return it.discard(range_of(range));
  });
}

int softxe_process_remap(softxe_process* process, softxe_range range, uint64_t new_bytes, uint64_t* address,
                         softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (address == nullptr) return kNullPointer;
    if (Status good = check_interval(range); !good) return good;
    if (Status good = check_interval({0, new_bytes}); !good) return good;
    return put(it.remap(range_of(range), new_bytes), address);
  });
}

int softxe_process_system_call(softxe_process* process, long number, const long arguments[6], long* result,
                               softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (arguments == nullptr || result == nullptr) return kNullPointer;
    if (it.is_simulated()) return Error{ENOSYS, "a simulated process has no kernel"};
    std::array<long, 6> copied{};
    for (std::size_t i = 0; i < copied.size(); ++i) copied[i] = arguments[i];
    *result = it.system_call(number, copied);
    return {};
  });
}

int softxe_process_read(softxe_process* process, uint64_t at, void* to, size_t bytes, softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (to == nullptr && bytes != 0) return kNullPointer;
    return it.read(at, to, bytes);
  });
}

int softxe_process_write(softxe_process* process, uint64_t at, const void* from, size_t bytes, softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (from == nullptr && bytes != 0) return kNullPointer;
    return it.write(at, from, bytes);
  });
}

int softxe_process_page_state(softxe_process* process, uint64_t at, uint32_t* state, softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (state == nullptr) return kNullPointer;
    *state = static_cast<uint32_t>(it.page_state(at));
    return {};
  });
}

int softxe_process_advance_ns(softxe_process* process, uint64_t ns, softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (!it.is_simulated()) return Error{ENOSYS, "the time of a live process cannot be moved"};
    it.advance_ns(ns);
    return {};
  });
}

int softxe_process_before_fork(softxe_process* process, softxe_error* error) {
  return c_call_on<Process>(process, error, [](Process& it) -> Status {
    it.before_fork();
    return {};
  });
}

int softxe_process_after_fork_in_parent(softxe_process* process, softxe_error* error) {
  return c_call_on<Process>(process, error, [](Process& it) -> Status {
    it.after_fork_in_parent();
    return {};
  });
}

int softxe_process_after_fork_in_child(softxe_process* process, softxe_error* error) {
  return c_call_on<Process>(process, error, [](Process& it) -> Status {
    it.after_fork_in_child();
    return {};
  });
}

int softxe_process_fixed_up(void* ucontext) { return ucontext != nullptr && Process::fixed_up(ucontext) ? 1 : 0; }

}  // extern "C"
