// The C calls of VMs.
#include <algorithm>

#include "embed/c_handles.h"

using namespace softxe::api;

namespace {

Result<VmOptions> vm_options(const softxe_vm_options* from) {
  auto given = read_options(from);
  if (!given) return given.error();
  const auto mode = enum_of(given->mode, VmOptions::Mode::kDmaFence);
  if (!mode || (given->flags & ~std::uint32_t{SOFTXE_VM_SCRATCH}) != 0) return kUnknownValue;
  return VmOptions{*mode, given->flags != 0 ? VmOptions::Scratch::kOn : VmOptions::Scratch::kOff};
}

Result<Location> location_of(const softxe_location& given) {
  const auto kind = enum_of(given.kind, Location::Kind::kVram);
  if (!kind) return kUnknownValue;
  return Location{*kind, given.tile};
}

softxe_vma_info to_c(const VmaInfo& vma) {
  const auto flag = [](bool set, softxe_mirror_flags bit) { return set ? static_cast<std::uint32_t>(bit) : 0u; };
  return {.range = {vma.range.start, vma.range.bytes},
          .kind = static_cast<std::uint32_t>(vma.kind),
          .flags = flag(vma.autoreset == AutoReset::kOn, SOFTXE_MIRROR_AUTORESET) |
                   flag(vma.access == Access::kReadOnly, SOFTXE_MIRROR_READ_ONLY),
          .atomics = static_cast<std::uint32_t>(vma.atomics),
          .default_attributes = vma.default_attributes ? 1u : 0u,
          .preferred = {static_cast<std::uint32_t>(vma.preferred.kind), vma.preferred.tile}};
}

softxe_range_info to_c(const RangeInfo& range) {
  return {.range = {range.range.start, range.range.bytes},
          .in_vram = range.in_vram ? 1u : 0u,
          .mapped = range.mapped ? 1u : 0u};
}

/// The caller's array: elements that may be longer than ours.
template <typename T>
struct List {
  T* first;
  std::size_t entry_bytes;
  std::size_t* count;

  Status check() const {
    if (count == nullptr || (first == nullptr && *count != 0)) return kNullPointer;
    return check_struct_bytes(entry_bytes, sizeof(T));
  }
  template <typename Items>
  Status fill(const Items& items) const {
    const std::size_t room = *count;
    auto* to = reinterpret_cast<unsigned char*>(first);
    for (std::size_t i = 0; i < std::min(room, items.size()); ++i, to += entry_bytes) {
      const T value = to_c(items[i]);
      std::memset(to, 0, entry_bytes);
      std::memcpy(to, &value, sizeof value);
    }
    *count = items.size();
    if (items.size() > room) return Error{ENOSPC, "the list is longer than the room for it"};
    return {};
  }
};

constexpr std::uint32_t kMirrorFlags = SOFTXE_MIRROR_AUTORESET | SOFTXE_MIRROR_READ_ONLY;

}  // namespace

extern "C" {

int softxe_vm_create(softxe_device* device, const softxe_vm_options* options, softxe_vm** vm, softxe_error* error) {
  return c_call_on<Device>(device, error, [&](Device& it) -> Status {
    if (vm == nullptr) return kNullPointer;
    const auto wanted = vm_options(options);
    if (!wanted) return wanted.error();
    return give(it.create_vm(*wanted), vm);
  });
}

int softxe_vm_get_info(softxe_vm* vm, softxe_vm_info* info, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    if (Status good = check_out(info); !good) return good;
    softxe_vm_info value{};
    value.bytes = it.bytes();
    write_out(value, info);
    return {};
  });
}

int softxe_vm_destroy(softxe_vm* vm, softxe_error* error) { return c_destroy<Vm>(vm, error); }

int softxe_vm_bind_mirror(softxe_vm* vm, softxe_range range, uint32_t flags, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    if ((flags & ~kMirrorFlags) != 0) return kUnknownValue;
    Vm::MirrorOptions options;
    if ((flags & SOFTXE_MIRROR_AUTORESET) != 0) options.autoreset = AutoReset::kOn;
    if ((flags & SOFTXE_MIRROR_READ_ONLY) != 0) options.access = Access::kReadOnly;
    return it.bind_mirror(range_of(range), options);
  });
}

int softxe_vm_bind_buffer(softxe_vm* vm, softxe_range range, softxe_buffer* buffer, uint64_t offset_bytes,
                          softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    const auto what = HandleTable::instance().find<Buffer>(number_of(buffer));
    if (!what) return kWrongHandle;
    return it.bind_buffer(range_of(range), *what, offset_bytes);
  });
}

int softxe_vm_bind_null(softxe_vm* vm, softxe_range range, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) { return it.bind_null(range_of(range)); });
}

int softxe_vm_unbind(softxe_vm* vm, softxe_range range, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) { return it.unbind(range_of(range)); });
}

int softxe_vm_prefetch(softxe_vm* vm, softxe_range range, softxe_location to, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    const auto where = location_of(to);
    if (!where) return where.error();
    return it.prefetch(range_of(range), *where);
  });
}

int softxe_vm_advise_atomics(softxe_vm* vm, softxe_range range, uint32_t atomics, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    const auto wanted = enum_of(atomics, Atomics::kCpu);
    if (!wanted) return kUnknownValue;
    return it.advise_atomics(range_of(range), *wanted);
  });
}

int softxe_vm_advise_location(softxe_vm* vm, softxe_range range, softxe_location location, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    const auto where = location_of(location);
    if (!where) return where.error();
    return it.advise_location(range_of(range), *where);
  });
}

int softxe_vm_collect(softxe_vm* vm, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [](Vm& it) { return it.collect(); });
}

int softxe_vm_vmas(softxe_vm* vm, softxe_vma_info* list, size_t entry_bytes, size_t* count, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    const List<softxe_vma_info> to{list, entry_bytes, count};
    if (Status good = to.check(); !good) return good;
    const auto vmas = it.vmas();
    return vmas ? to.fill(*vmas) : Status{vmas.error()};
  });
}

int softxe_vm_ranges(softxe_vm* vm, softxe_range_info* list, size_t entry_bytes, size_t* count, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    const List<softxe_range_info> to{list, entry_bytes, count};
    if (Status good = to.check(); !good) return good;
    return to.fill(it.ranges());
  });
}

int softxe_vm_translate(softxe_vm* vm, uint64_t at, uint32_t tile, softxe_translation* translation,
                        softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    if (Status good = check_out(translation); !good) return good;
    if (tile >= it.tiles()) return Error{EINVAL, "the device has no such tile"};
    const Translation found = it.translate(at, tile);
    softxe_translation value{};
    value.entry_bytes = found.entry_bytes;
    value.kind = static_cast<std::uint32_t>(found.kind);
    value.writable = found.writable ? 1 : 0;
    write_out(value, translation);
    return {};
  });
}

int softxe_vm_counter(softxe_vm* vm, const char* name, uint64_t* value, softxe_error* error) {
  return c_call_on<Vm>(vm, error, [&](Vm& it) -> Status {
    if (name == nullptr || value == nullptr) return kNullPointer;
    return put(it.counter(name), value);
  });
}

}  // extern "C"
