// Test double: client memory as a map of byte arrays at chosen addresses.
#pragma once

#include <cstring>
#include <map>
#include <vector>

#include "abi/user_copy.h"

namespace softxe {

class FakeUserMemory final : public UserMemory {
 public:
  /// Places an object; it may then be read and written through the interface.
  template <typename T>
  HostVa put(std::uint64_t at, const T& object) {
    return put_bytes(at, std::as_bytes(std::span<const T, 1>(&object, 1)));
  }
  HostVa put_bytes(std::uint64_t at, std::span<const std::byte> bytes) {
    blocks_[at].assign(bytes.begin(), bytes.end());
    return HostVa(at);
  }
  template <typename T>
  T get(std::uint64_t at) {
    T object{};
    auto read_back = read_object(HostVa(at), object);
    SX_ASSERT(read_back);
    return object;
  }

  Status read(HostVa from, std::span<std::byte> to) override {
    if (to.empty()) return {};
    std::byte* block = find(from.value(), to.size());
    if (block == nullptr) return fail(EFAULT, "fake memory has no such bytes");
    std::memcpy(to.data(), block, to.size());
    return {};
  }
  Status write(HostVa to, std::span<const std::byte> from) override {
    if (from.empty()) return {};
    std::byte* block = find(to.value(), from.size());
    if (block == nullptr) return fail(EFAULT, "fake memory has no such bytes");
    std::memcpy(block, from.data(), from.size());
    return {};
  }

 private:
  std::byte* find(std::uint64_t at, std::size_t bytes) {
    auto next = blocks_.upper_bound(at);
    if (next == blocks_.begin()) return nullptr;
    auto& [start, block] = *std::prev(next);
    if (at - start > block.size() || block.size() - (at - start) < bytes) return nullptr;
    return block.data() + (at - start);
  }

  std::map<std::uint64_t, std::vector<std::byte>> blocks_;
};

}  // namespace softxe
