// DEVICE_QUERY and buffer objects (spec/uapi.md 3, 5, 6).
#include <unistd.h>

#include "abi/drm_device.h"
#include "abi/query.h"

namespace softxe {

namespace {

class LiveInputs final : public QueryInputs {
 public:
  explicit LiveInputs(DrmDevice& device) : device_(device) {}

  RegionUse region_use(std::uint32_t region) const override {
    if (region == 0 || region > device_.device().vram_tiles()) return {};
    const VramUsage usage = device_.device().vram(region - 1).usage();
    return {.used_bytes = usage.used_bytes, .visible_used_bytes = usage.used_visible_bytes};
  }
  std::uint64_t system_total_bytes() const override {
    return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * kPageSize;
  }
  Privilege privilege() const override { return geteuid() == 0 ? Privilege::kSysNice : Privilege::kNone; }
  CycleSample sample_cycles(const EngineFact& engine, clockid_t clock) const override {
    timespec before{};
    clock_gettime(clock, &before);
    const std::uint64_t start_ns = device_.exec().clock().now_ns();
    const std::uint32_t hz = device_.device().profile().gts[engine.gt].reference_clock_hz;
    const std::uint64_t end_ns = device_.exec().clock().now_ns();
    return {.cycles = cycles_at(start_ns, hz),
            .cpu_timestamp_ns =
                static_cast<std::uint64_t>(before.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(before.tv_nsec),
            .cpu_delta_ns = end_ns - start_ns};
  }

 private:
  DrmDevice& device_;
};

}  // namespace

Result<int> DrmFile::device_query(Bytes bytes) {
  SX_TRY(DeviceQueryRequest request, decode_device_query(bytes));
  SX_TRY(std::uint32_t size, answer_device_query(device_.device().config(), request, LiveInputs(device_), memory_));
  reply_device_query(bytes, size);
  return 0;
}

Result<int> DrmFile::gem_create(Bytes bytes) {
  SX_TRY(GemCreateRequest request, decode_gem_create(bytes, limits()));
  const void* private_to = nullptr;
  if (request.private_to) {
    DrmVmPtr vm = vms_.find(static_cast<std::uint32_t>(*request.private_to));
    if (!vm) return fail(ENOENT, "no such VM");
    private_to = &vm->context->vm;
  }
  SX_TRY_VOID(check_gem_size(request, limits()));
  SX_TRY(auto bo, GemBo::create(device_.device().bo_memory(), request, private_to));
  SX_TRY_VOID(decode_gem_extensions(request.extensions, limits(), memory_));
  device_.remember(bo);
  SX_TRY(std::uint32_t handle, bos_.add(std::move(bo)));
  reply_gem_create(bytes, GemHandle{handle});
  return 0;
}

Result<int> DrmFile::gem_mmap_offset(Bytes bytes) {
  SX_TRY(GemMmapOffsetRequest request, decode_gem_mmap_offset(bytes, limits()));
  if (auto* handle = std::get_if<GemHandle>(&request)) {
    auto bo = bos_.find(static_cast<std::uint32_t>(*handle));
    if (!bo) return fail(ENOENT, "no such GEM handle");
    reply_gem_mmap_offset(bytes, bo->mmap_offset());
    return 0;
  }
  // The barrier page must read 0xdeadbeef whatever is written: plain memory cannot (spec/uapi.md 6).
  return fail(EINVAL, "no PCI barrier page on a software device");
}

}  // namespace softxe
