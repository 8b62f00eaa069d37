// Devices, objects, VMs and advice: one line per refusal row of spec/uapi.md 3, 5-7, 14 and spec/vm.md 2.2, 5.1, 6;
// extension chains, replies, and the seeded smoke over random bytes. VM_BIND and queues have files of their own.
#include "abi/decode_fuzz.h"
#include "abi/decode_rig.h"
#include "base/prng.h"

namespace softxe {
namespace {

TEST(Decode, DeviceQuery) {
  run_cases<drm_xe_device_query>({},
                                 {{"extensions", EINVAL, [](auto& q) { q.extensions = 1; }},
                                  {"reserved", EINVAL, [](auto& q) { q.reserved[1] = 1; }},
                                  {"last query", 0, [](auto& q) { q.query = 10; }},
                                  {"query", EINVAL, [](auto& q) { q.query = 11; }}},
                                 [](auto& raw, auto&) { return err_of(decode_device_query(bytes_of(raw))); });
}

drm_xe_gem_create valid_gem() {
  drm_xe_gem_create g{};
  g.size = 0x10000;
  g.placement = 2;
  g.cpu_caching = DRM_XE_GEM_CPU_CACHING_WC;
  return g;
}

TEST(Decode, GemCreateRowsInOrder) {
  run_cases<drm_xe_gem_create>(
      valid_gem(),
      {{"1 pad", EINVAL, [](auto& g) { g.pad[2] = 1; }},
       {"1 reserved", EINVAL, [](auto& g) { g.reserved[0] = 1; }},
       {"2 empty", EINVAL, [](auto& g) { g.placement = 0; }},
       {"2 unknown", EINVAL, [](auto& g) { g.placement = 4; }},
       {"2 no VRAM on lnl", EINVAL, [](auto& g) { g.placement = 2; }, &kLnl},
       {"2 second tile of pvc", 0, [](auto& g) { g.placement = 4; }, &kPvc},
       {"3 flag", EINVAL, [](auto& g) { g.flags = 0x10; }},
       {"4 handle", EINVAL, [](auto& g) { g.handle = 1; }},
       {"5 zero", EINVAL, [](auto& g) { g.size = 0; }},
       {"5 unaligned", EINVAL, [](auto& g) { g.size = 0x10001; }},
       {"6 no-compression", EOPNOTSUPP, [](auto& g) { g.flags = 8; }, &kPvc},
       {"5 before 6", EINVAL, [](auto& g) { g.flags = 8, g.size = 1; }, &kPvc},
       {"7 visible", EINVAL, [](auto& g) { g.placement = 1, g.flags = 4; }},
       {"6 before 7", EOPNOTSUPP, [](auto& g) { g.placement = 1, g.flags = 12; }, &kPvc},
       {"8 none", EINVAL, [](auto& g) { g.cpu_caching = 0; }},
       {"8 three", EINVAL, [](auto& g) { g.cpu_caching = 3; }},
       {"9 VRAM WB", EINVAL, [](auto& g) { g.cpu_caching = 1; }},
       {"9 system WB is fine", 0, [](auto& g) { g.cpu_caching = 1, g.placement = 1; }},
       {"10 scanout WB", EINVAL, [](auto& g) { g.cpu_caching = 1, g.placement = 1, g.flags = 2; }},
       {"13 size is the driver's", 0, [](auto& g) { g.size = 0xffffffff00000000; }}},
      [](auto& raw, auto& limits) { return err_of(decode_gem_create(bytes_of(raw), limits)); });
}

TEST(Decode, GemSizeOf64kDevices) {
  GemCreateRequest request;
  request.size_bytes = 0x1000;
  request.placement = 2;
  EXPECT_EQ(err_of(check_gem_size(request, kPvc)), EINVAL);
  EXPECT_EQ(err_of(check_gem_size(request, kBmg)), 0);
  request.placement = 1;
  EXPECT_EQ(err_of(check_gem_size(request, kPvc)), 0);
}

TEST(Decode, ExtensionChains) {
  FakeUserMemory memory;
  constexpr std::uint64_t kAt = 0x5000;
  auto decode = [&](const drm_xe_ext_set_property& p) {
    memory.put(kAt, p);
    return err_of(decode_gem_extensions(HostVa(kAt), kBmg, memory));
  };
  EXPECT_EQ(err_of(decode_gem_extensions(HostVa(0), kBmg, memory)), 0);
  EXPECT_EQ(err_of(decode_gem_extensions(HostVa(kBadAddress), kBmg, memory)), EFAULT);
  EXPECT_EQ(decode(property(0, 0)), 0);
  EXPECT_EQ(decode(property(0, 1)), ENODEV);
  EXPECT_EQ(decode(property(0, 2)), EINVAL);
  EXPECT_EQ(decode(property(1, 0)), EINVAL);
  EXPECT_EQ(decode(property(0, 0, kBadAddress)), EFAULT);
  EXPECT_EQ(decode(property(0, 0, kAt)), E2BIG) << "a loop";
  auto named = property(0, 0);
  named.base.name = 1;
  EXPECT_EQ(decode(named), EINVAL);
  auto padded = property(0, 0);
  padded.base.pad = 1;
  EXPECT_EQ(decode(padded), EINVAL);
  // Exactly 16 links pass.
  std::array<drm_xe_ext_set_property, 17> chain{};
  for (std::size_t i = 0; i < chain.size(); ++i)
    chain[i] = property(0, 0, i == 15 ? 0 : kAt + 0x1000 + (i + 1) * sizeof chain[0]);
  memory.put(kAt + 0x1000, chain);
  EXPECT_EQ(err_of(decode_gem_extensions(HostVa(kAt + 0x1000), kBmg, memory)), 0);
  chain[15].base.next_extension = kAt + 0x1000 + 16 * sizeof chain[0];
  chain[16].base.next_extension = 0;
  memory.put(kAt + 0x1000, chain);
  EXPECT_EQ(err_of(decode_gem_extensions(HostVa(kAt + 0x1000), kBmg, memory)), E2BIG);
}

TEST(Decode, GemMmapOffset) {
  run_cases<drm_xe_gem_mmap_offset>(
      {},
      {{"extensions", EINVAL, [](auto& m) { m.extensions = 1; }},
       {"reserved", EINVAL, [](auto& m) { m.reserved[0] = 1; }},
       {"flag", EINVAL, [](auto& m) { m.flags = 2; }},
       {"barrier", 0, [](auto& m) { m.flags = 1; }},
       {"barrier handle", EINVAL, [](auto& m) { m.flags = 1, m.handle = 1; }},
       {"barrier integrated", EINVAL, [](auto& m) { m.flags = 1; }, &kLnl}},
      [](auto& raw, auto& limits) { return err_of(decode_gem_mmap_offset(bytes_of(raw), limits)); });
}

TEST(Decode, VmCreateRowsAndLegalCombinations) {
  DeviceProfile no_faults = kProfileBmg;
  no_faults.facts &= ~static_cast<std::uint32_t>(DeviceFact::kUsm);
  const DecodeLimits old{.profile = &no_faults};
  run_cases<drm_xe_vm_create>({},
                              {{"extensions", EINVAL, [](auto& c) { c.extensions = 1; }},
                               {"no faults", EINVAL, [](auto& c) { c.flags = 6; }, &old},
                               {"reserved", EINVAL, [](auto& c) { c.reserved[1] = 1; }},
                               {"flag", EINVAL, [](auto& c) { c.flags = 0x10; }},
                               {"scratch+fault pvc", EINVAL, [](auto& c) { c.flags = 7; }, &kPvc},
                               {"fault without LR", EINVAL, [](auto& c) { c.flags = 4; }},
                               {"no-overcommit", EINVAL, [](auto& c) { c.flags = 8; }},
                               {"no-overcommit LR", EINVAL, [](auto& c) { c.flags = 10; }},
                               {"vm_id in is ignored", 0, [](auto& c) { c.vm_id = 77; }}},
                              [](auto& raw, auto& limits) { return err_of(decode_vm_create(bytes_of(raw), limits)); });
  const std::uint32_t legal = 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 6 | 1u << 7 | 1u << 14 | 1u << 15;
  for (std::uint32_t flags = 0; flags < 16; ++flags) {
    drm_xe_vm_create c{};
    c.flags = flags;
    EXPECT_EQ(decode_vm_create(bytes_of(c), kBmg).has_value(), (legal & 1u << flags) != 0) << flags;
  }
  drm_xe_vm_create c{};
  c.flags = 6;
  EXPECT_EQ(decode_vm_create(bytes_of(c), kBmg)->mode(), VmMode::kFault);
}

TEST(Decode, DestroyRequests) {
  run_cases<drm_xe_vm_destroy>(
      {}, {{"pad", EINVAL, [](auto& d) { d.pad = 1; }}, {"reserved", EINVAL, [](auto& d) { d.reserved[0] = 1; }}},
      [](auto& raw, auto&) { return err_of(decode_vm_destroy(bytes_of(raw))); });
  run_cases<drm_xe_exec_queue_destroy>(
      {}, {{"pad", EINVAL, [](auto& d) { d.pad = 1; }}, {"reserved", EINVAL, [](auto& d) { d.reserved[1] = 1; }}},
      [](auto& raw, auto&) { return err_of(decode_exec_queue_destroy(bytes_of(raw))); });
}

// ---- MADVISE and queries -------------------------------------------------------------------------

TEST(Decode, MadviseRows) {
  constexpr std::uint64_t kRetained = 0x8000;
  FakeUserMemory memory;
  memory.put(kRetained, std::array<std::uint32_t, 2>{0, 7});
  drm_xe_madvise valid{};
  valid.start = 0x200000;
  valid.range = 0x1000;
  run_cases<drm_xe_madvise>(
      valid,
      {{"2 start", EINVAL, [](auto& m) { m.start = 1; }},
       {"2 range", EINVAL, [](auto& m) { m.range = 0x1001; }},
       {"2 empty", EINVAL, [](auto& m) { m.range = 0; }},
       {"canonical start", 0, [](auto& m) { m.start = 0xffff800000000000; }},
       {"range beyond the VM waits", 0, [](auto& m) { m.range = 1ull << 60; }},
       {"3 fd", EINVAL, [](auto& m) { m.preferred_mem_loc.devmem_fd = 0xfffffffe; }},
       {"3 system", 0, [](auto& m) { m.preferred_mem_loc.devmem_fd = 0xffffffff; }},
       {"4 default", EINVAL, [](auto& m) { m.preferred_mem_loc.region_instance = 1; }},
       {"4 with fd", 0, [](auto& m) { m.preferred_mem_loc.region_instance = 1, m.preferred_mem_loc.devmem_fd = 5; }},
       {"5 policy", EINVAL, [](auto& m) { m.preferred_mem_loc.migration_policy = 2; }},
       {"5 reserved", EINVAL, [](auto& m) { m.preferred_mem_loc.reserved = 1; }},
       {"6 value", EINVAL, [](auto& m) { m.type = 1, m.atomic.val = 4; }},
       {"6 cpu", 0, [](auto& m) { m.type = 1, m.atomic.val = 3; }},
       {"6 pad", EINVAL, [](auto& m) { m.type = 1, m.atomic.pad = 1; }},
       {"6 reserved", EINVAL, [](auto& m) { m.type = 1, m.atomic.reserved = 1; }},
       {"7 last", 0, [](auto& m) { m.type = 2, m.pat_index.val = 27; }},
       {"7 entries", EINVAL, [](auto& m) { m.type = 2, m.pat_index.val = 28; }},
       {"7 entries + 1", EINVAL, [](auto& m) { m.type = 2, m.pat_index.val = 29; }},
       {"7 all ones", EINVAL, [](auto& m) { m.type = 2, m.pat_index.val = ~0u; }},
       {"7 reserved entry", EINVAL, [](auto& m) { m.type = 2, m.pat_index.val = 17; }},
       {"7 pad", EINVAL, [](auto& m) { m.type = 2, m.pat_index.pad = 1; }},
       {"7 reserved", EINVAL, [](auto& m) { m.type = 2, m.pat_index.reserved = 1; }},
       {"8 value", EINVAL, [](auto& m) { m.type = 3, m.purge_state_val.val = 2; }},
       {"8 pad", EINVAL, [](auto& m) { m.type = 3, m.purge_state_val.pad = 1; }},
       {"8 plain", 0, [](auto& m) { m.type = 3, m.purge_state_val.val = 1; }},
       {"9 type", EINVAL, [](auto& m) { m.type = 4; }},
       {"10 reserved", EINVAL, [](auto& m) { m.reserved[1] = 1; }},
       {"11 unreadable", EFAULT, [](auto& m) { m.type = 3, m.purge_state_val.retained_ptr = kBadAddress; }},
       {"10 before 11", EINVAL,
        [](auto& m) { m.type = 3, m.purge_state_val.retained_ptr = kBadAddress, m.reserved[0] = 1; }},
       {"12 not zero", EINVAL, [](auto& m) { m.type = 3, m.purge_state_val.retained_ptr = kRetained + 4; }},
       {"12 zero", 0, [](auto& m) { m.type = 3, m.purge_state_val.retained_ptr = kRetained; }},
       {"extensions ignored", 0, [](auto& m) { m.extensions = 1; }}},
      [&](auto& raw, auto& limits) { return err_of(decode_madvise(bytes_of(raw), limits, memory)); });
  valid.start = 0xffff800000000000;
  auto request = decode_madvise(bytes_of(valid), kBmg, memory);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->range.start, GpuVa(0x800000000000));
  valid.vm_id = 5;
  EXPECT_EQ(madvise_target(bytes_of(valid)), VmId{5});
}

TEST(Decode, MemRangeAttrsShapeAndElements) {
  run_cases<drm_xe_vm_query_mem_range_attr>(
      {},
      {{"count with size", EINVAL, [](auto& q) { q.sizeof_mem_range_attr = 64; }},
       {"count with array", EINVAL, [](auto& q) { q.vector_of_mem_attr = 8; }},
       {"read without array", EINVAL, [](auto& q) { q.num_mem_ranges = 1, q.sizeof_mem_range_attr = 64; }},
       {"read with size 0", EINVAL, [](auto& q) { q.num_mem_ranges = 1, q.vector_of_mem_attr = 8; }},
       {"read with size 56", EINVAL,
        [](auto& q) { q.num_mem_ranges = 1, q.vector_of_mem_attr = 8, q.sizeof_mem_range_attr = 56; }},
       {"read", 0, [](auto& q) { q.num_mem_ranges = 1, q.vector_of_mem_attr = 8, q.sizeof_mem_range_attr = 64; }},
       {"rest unchecked", 0, [](auto& q) { q.extensions = 1, q.reserved[0] = 1, q.start = 3; }}},
      [](auto& raw, auto& limits) { return err_of(decode_mem_range_attrs(bytes_of(raw), limits)); });
  FakeUserMemory memory;
  memory.put(0x9000, drm_xe_mem_range_attr{});
  MemRangeAttrsRequest request;
  request.capacity = 2;
  request.out = HostVa(0x9000);
  const MemRangeAttr attr{.start = 0x1000,
                          .end = 0x3000,
                          .devmem_fd = -1,
                          .policy = MigrationPolicy::kOnlySystemPages,
                          .atomic = AtomicAccess::kGlobal,
                          .pat_index = 2};
  EXPECT_EQ(err_of(write_mem_range_attrs(request, {&attr, 1}, memory)), 0);
  auto element = memory.get<drm_xe_mem_range_attr>(0x9000);
  EXPECT_EQ(element.start, 0x1000u);
  EXPECT_EQ(element.end, 0x3000u);
  EXPECT_EQ(element.preferred_mem_loc.devmem_fd, 0xffffffffu);
  EXPECT_EQ(element.preferred_mem_loc.migration_policy, 1u);
  EXPECT_EQ(element.atomic.val, 2u);
  EXPECT_EQ(element.pat_index.val, 2u);
  const MemRangeAttr two[] = {attr, attr};
  EXPECT_EQ(err_of(write_mem_range_attrs(request, two, memory)), EFAULT);
}

TEST(Decode, VmGetProperty) {
  run_cases<drm_xe_vm_get_property>({},
                                    {{"reserved", EINVAL, [](auto& g) { g.reserved[2] = 1; }},
                                     {"extensions", EINVAL, [](auto& g) { g.extensions = 1; }},
                                     {"pad", EINVAL, [](auto& g) { g.pad = 1; }},
                                     {"property waits for the lookup", 0, [](auto& g) { g.property = 1; }}},
                                    [](auto& raw, auto&) { return err_of(decode_vm_get_property(bytes_of(raw))); });
  const VmFaultRecord stored[] = {{.page = GpuVa(0x800000001000), .access = FaultAccess::kWrite, .level = 3}, {}};
  struct Row {
    std::uint32_t property, size;
    std::uint64_t out;
    int err;
    std::uint32_t stored_size;
  };
  const Row rows[] = {
      {1, 0, 0, EINVAL, 0},        {0, 0, 0, 0, 96},       {0, 97, 0xa000, EINVAL, 0}, {0, 47, 0xa000, EINVAL, 0},
      {0, 144, 0xa000, EINVAL, 0}, {0, 48, 0xa000, 0, 48}, {0, 96, 0xa000, 0, 96},     {0, 48, kBadAddress, EFAULT, 0},
  };
  FakeUserMemory memory;
  memory.put(0xa000, std::array<xe_vm_fault, 2>{});
  for (const Row& row : rows) {
    VmGetPropertyRequest request{.property = row.property, .size_bytes = row.size, .out = HostVa(row.out)};
    auto size = answer_vm_faults(request, stored, kBmg, memory);
    EXPECT_EQ(err_of(size), row.err) << row.property << " " << row.size;
    if (size) {
      EXPECT_EQ(*size, row.stored_size);
    }
  }
  auto fault = memory.get<xe_vm_fault>(0xa000);
  EXPECT_EQ(fault.address, 0xffff800000001000u);
  EXPECT_EQ(fault.address_precision, 4096u);
  EXPECT_EQ(fault.access_type, 1u);
  EXPECT_EQ(fault.fault_level, 3u);
}

TEST(Decode, AddressForms) {
  EXPECT_EQ(strip_canonical(0xffffd55600001000, kBmg), GpuVa(0xd55600001000));
  EXPECT_EQ(strip_canonical(0xffff000000000000, kPvc), GpuVa(0x1ff000000000000));
  EXPECT_EQ(canonical(GpuVa(0x7fffffffffff), kBmg), 0x7fffffffffffu);
  EXPECT_EQ(canonical(GpuVa(0x800000000000), kBmg), 0xffff800000000000u);
}

TEST(Decode, RepliesChangeTheirFieldAndNothingElse) {
  std::array<std::byte, 64> bytes;
  bytes.fill(std::byte{0xee});
  reply_vm_create(std::span(bytes), VmId{0x01020304});
  for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_EQ(bytes[i] != std::byte{0xee}, i >= 12 && i < 16) << i;
}

/// The body of the fuzz target over seeded bytes: no crash, and no accepted request that breaks the
/// promises of its type (decode_fuzz.h checks them).
TEST(Decode, SeededRandomBytesKeepThePromises) {
  Prng prng(20260801);
  std::array<std::uint8_t, 700> bytes{};
  unsigned accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    for (auto& byte : bytes) {
      // Mostly zero, so that reserved fields let something through.
      byte = prng.chance(1, 12) ? static_cast<std::uint8_t>(prng.below(40)) : 0;
    }
    accepted += decode_everything(bytes);
  }
  EXPECT_GT(accepted, 1000u);
}

}  // namespace
}  // namespace softxe
