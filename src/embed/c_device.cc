// The C calls of devices and buffers.
#include "embed/c_handles.h"

using namespace softxe::api;

namespace {

Result<DeviceOptions> device_options(const softxe_device_options* from) {
  auto given = read_options(from);
  if (!given) return given.error();
  const auto reset = enum_of(given->reset, AttributeReset::kExact);
  const auto collector = enum_of(given->collector, Collector::kThread);
  if (!reset || !collector) return kUnknownValue;
  DeviceOptions options;
  if (given->profile != nullptr) options.profile = given->profile;
  options.vram_bytes = given->vram_bytes;
  options.reset = *reset;
  options.collector = *collector;
  return options;
}

}  // namespace

extern "C" {

int softxe_device_create(softxe_process* process, const softxe_device_options* options, softxe_device** device,
                         softxe_error* error) {
  return c_call_on<Process>(process, error, [&](Process& it) -> Status {
    if (device == nullptr) return kNullPointer;
    const auto wanted = device_options(options);
    if (!wanted) return wanted.error();
    return give(Device::create(it, *wanted), device);
  });
}

int softxe_device_get_info(softxe_device* device, softxe_device_info* info, softxe_error* error) {
  return c_call_on<Device>(device, error, [&](Device& it) -> Status {
    if (Status good = check_out(info); !good) return good;
    softxe_device_info value{};
    value.tiles = it.tiles();
    write_out(value, info);
    return {};
  });
}

int softxe_device_destroy(softxe_device* device, softxe_error* error) { return c_destroy<Device>(device, error); }

int softxe_device_set_atomic_residency_ns(softxe_device* device, uint64_t ns, softxe_error* error) {
  return c_call_on<Device>(device, error, [&](Device& it) -> Status {
    it.set_atomic_residency_ns(ns);
    return {};
  });
}

int softxe_device_evict_all(softxe_device* device, softxe_error* error) {
  return c_call_on<Device>(device, error, [](Device& it) { return it.evict_all(); });
}

int softxe_device_counter(softxe_device* device, const char* name, uint64_t* value, softxe_error* error) {
  return c_call_on<Device>(device, error, [&](Device& it) -> Status {
    if (name == nullptr || value == nullptr) return kNullPointer;
    return put(it.counter(name), value);
  });
}

const char* softxe_counter_name(size_t index) { return Device::counter_name(index); }

int softxe_buffer_create(softxe_device* device, uint64_t bytes, uint32_t placement, softxe_buffer** buffer,
                         softxe_error* error) {
  return c_call_on<Device>(device, error, [&](Device& it) -> Status {
    if (buffer == nullptr) return kNullPointer;
    const auto wanted = enum_of(placement, Device::Placement::kEither);
    if (!wanted) return kUnknownValue;
    return give(it.create_buffer(bytes, *wanted), buffer);
  });
}

int softxe_buffer_get_info(softxe_buffer* buffer, softxe_buffer_info* info, softxe_error* error) {
  return c_call_on<Buffer>(buffer, error, [&](Buffer& it) -> Status {
    if (Status good = check_out(info); !good) return good;
    softxe_buffer_info value{};
    value.bytes = it.bytes();
    value.data = it.data();
    value.in_vram = it.in_vram() ? 1 : 0;
    write_out(value, info);
    return {};
  });
}

int softxe_buffer_destroy(softxe_buffer* buffer, softxe_error* error) { return c_destroy<Buffer>(buffer, error); }

}  // extern "C"
