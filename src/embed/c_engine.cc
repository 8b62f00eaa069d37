// The C calls of engines.
#include "embed/c_handles.h"

using namespace softxe::api;

namespace {

/// Zero is the default of a member.
template <typename T>
T or_default(T given, T otherwise) {
  return given == 0 ? otherwise : given;
}

constexpr std::uint32_t kCommandsMax = 1u << 20;
constexpr std::uint64_t kInstructionsMax = std::uint64_t{1} << 32;

Result<Kernel> kernel_of(const softxe_kernel* from) {
  if (from == nullptr) return kNullPointer;
  auto given = read_options(from);
  if (!given) return given.error();
  Kernel kernel;
  kernel.code = given->code;
  for (std::size_t i = 0; i < kernel.groups.size(); ++i) kernel.groups[i] = or_default(given->groups[i], 1u);
  kernel.group_items = or_default(given->group_items, kernel.group_items);
  kernel.lanes = or_default(given->lanes, kernel.lanes);
  kernel.local_bytes = given->local_bytes;
  kernel.arguments = given->arguments;
  return kernel;
}

}  // namespace

extern "C" {

int softxe_engine_create(softxe_vm* vm, uint32_t tile, softxe_engine** engine, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    if (engine == nullptr) return kNullPointer;
    return give(it.create_engine(tile), engine);
  });
}

int softxe_engine_destroy(softxe_engine* engine, softxe_error* error) { return c_destroy<Engine>(engine, error); }

int softxe_engine_read(softxe_engine* engine, uint64_t at, void* to, size_t bytes, softxe_error* error) {
  return c_call_on<Engine>(engine, error, [&](Engine& it) -> Status {
    if (to == nullptr && bytes != 0) return kNullPointer;
    return it.read(at, to, bytes);
  });
}

int softxe_engine_write(softxe_engine* engine, uint64_t at, const void* from, size_t bytes, softxe_error* error) {
  return c_call_on<Engine>(engine, error, [&](Engine& it) -> Status {
    if (from == nullptr && bytes != 0) return kNullPointer;
    return it.write(at, from, bytes);
  });
}

int softxe_engine_fill(softxe_engine* engine, softxe_range range, uint8_t value, softxe_error* error) {
  return c_call_on<Engine>(engine, error, [&](Engine& it) { return it.fill(range_of(range), value); });
}

int softxe_engine_copy(softxe_engine* engine, uint64_t to, softxe_range from, softxe_error* error) {
  return c_call_on<Engine>(engine, error, [&](Engine& it) { return it.copy(to, range_of(from)); });
}

int softxe_engine_fetch_add32(softxe_engine* engine, uint64_t at, uint32_t addend, uint32_t* before,
                              softxe_error* error) {
  return c_call_on<Engine>(engine, error, [&](Engine& it) -> Status {
    if (before == nullptr) return kNullPointer;
    return put(it.fetch_add32(at, addend), before);
  });
}

int softxe_engine_fetch_add64(softxe_engine* engine, uint64_t at, uint64_t addend, uint64_t* before,
                              softxe_error* error) {
  return c_call_on<Engine>(engine, error, [&](Engine& it) -> Status {
    if (before == nullptr) return kNullPointer;
    return put(it.fetch_add64(at, addend), before);
  });
}

int softxe_engine_compare_exchange64(softxe_engine* engine, uint64_t at, uint64_t expected, uint64_t desired,
                                     uint64_t* before, softxe_error* error) {
  return c_call_on<Engine>(engine, error, [&](Engine& it) -> Status {
    if (before == nullptr) return kNullPointer;
    return put(it.compare_exchange64(at, {expected, desired}), before);
  });
}

int softxe_engine_run_batch(softxe_engine* engine, uint64_t at, uint32_t commands_max, softxe_error* error) {
  return c_call_on<Engine>(engine, error,
                           [&](Engine& it) { return it.run_batch(at, or_default(commands_max, kCommandsMax)); });
}

int softxe_engine_continue_batch(softxe_engine* engine, uint32_t commands_max, softxe_error* error) {
  return c_call_on<Engine>(engine, error,
                           [&](Engine& it) { return it.continue_batch(or_default(commands_max, kCommandsMax)); });
}

int softxe_assemble(const char* text, void* code, size_t* bytes, softxe_text_place* wrong, softxe_error* error) {
  return c_call(error, [&]() -> Status {
    if (text == nullptr || bytes == nullptr || (code == nullptr && *bytes != 0)) return kNullPointer;
    TextPlace place;
    const auto made = assemble(text, &place);
    if (!made && wrong != nullptr) *wrong = {place.line, place.column};
    if (!made) return made.error();
    const std::size_t room = *bytes;
    *bytes = made->size();
    if (made->size() > room) return Error{ENOSPC, "the code is longer than the room for it"};
    std::memcpy(code, made->data(), made->size());
    return {};
  });
}

int softxe_engine_run_kernel(softxe_engine* engine, const softxe_kernel* kernel, uint64_t instructions_max,
                             softxe_error* error) {
  return c_call_on<Engine>(engine, error, [&](Engine& it) -> Status {
    const auto wanted = kernel_of(kernel);
    if (!wanted) return wanted.error();
    return it.run_kernel(*wanted, or_default(instructions_max, kInstructionsMax));
  });
}

int softxe_engine_continue_kernel(softxe_engine* engine, uint64_t instructions_max, softxe_error* error) {
  return c_call_on<Engine>(
      engine, error, [&](Engine& it) { return it.continue_kernel(or_default(instructions_max, kInstructionsMax)); });
}

}  // extern "C"
