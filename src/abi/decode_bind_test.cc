// VM_BIND: one line per refusal row of spec/vm.md 3.1 (A, B, G, I, J), and their order.
#include "abi/decode_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kOps = 0x100000;

/// Nova-Lake-like: integrated, optimised L2 flush.
const DeviceProfile kL2Profile = [] {
  DeviceProfile p = kProfileLnl;
  p.facts |= static_cast<std::uint32_t>(DeviceFact::kOptimisedL2Flush);
  return p;
}();
const DeviceProfile kNoSvmProfile = [] {
  DeviceProfile p = kProfileBmg;
  p.facts &= ~static_cast<std::uint32_t>(DeviceFact::kSvm);
  return p;
}();
const DecodeLimits kL2{.profile = &kL2Profile};
const DecodeLimits kNoSvm{.profile = &kNoSvmProfile};

// Valid ops to spoil.
drm_xe_vm_bind_op map_op() {
  drm_xe_vm_bind_op op{};
  op.op = DRM_XE_VM_BIND_OP_MAP;
  op.obj = 1;
  op.pat_index = 3;
  op.addr = 0x200000;
  op.range = 0x10000;
  return op;
}
drm_xe_vm_bind_op mirror_op() {
  auto op = map_op();
  op.obj = 0;
  op.pat_index = 2;
  op.flags = DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR;
  return op;
}
drm_xe_vm_bind_op userptr_op() {
  auto op = map_op();
  op.op = DRM_XE_VM_BIND_OP_MAP_USERPTR;
  op.obj = 0;
  op.pat_index = 2;
  op.userptr = 0x7000000;
  return op;
}
drm_xe_vm_bind_op unmap_op() {
  auto op = map_op();
  op.op = DRM_XE_VM_BIND_OP_UNMAP;
  op.obj = 0;
  return op;
}
drm_xe_vm_bind_op unmap_all_op() {
  auto op = map_op();
  op.op = DRM_XE_VM_BIND_OP_UNMAP_ALL;
  op.addr = op.range = 0;
  return op;
}
drm_xe_vm_bind_op prefetch_op() {
  auto op = unmap_op();
  op.op = DRM_XE_VM_BIND_OP_PREFETCH;
  return op;
}

drm_xe_vm_bind single(const drm_xe_vm_bind_op& op) {
  drm_xe_vm_bind bind{};
  bind.vm_id = 1;
  bind.num_binds = 1;
  bind.bind = op;
  return bind;
}

int decode_err(const drm_xe_vm_bind& bind, const DecodeLimits& limits, VmMode mode, FakeUserMemory& memory) {
  auto request = decode_vm_bind(bytes_of(bind), limits, mode, memory);
  if (request) return 0;
  EXPECT_STRNE(request.error().why, "");
  return request.error().err;
}
int op_err(const drm_xe_vm_bind_op& op, const DecodeLimits& limits = kBmg, VmMode mode = VmMode::kFault) {
  FakeUserMemory memory;
  return decode_err(single(op), limits, mode, memory);
}

TEST(DecodeVmBind, TheUnspoiltOpsAreAccepted) {
  for (const auto& op : {map_op(), mirror_op(), userptr_op(), unmap_op(), unmap_all_op(), prefetch_op()})
    EXPECT_EQ(op_err(op), 0) << op.op;
}

TEST(DecodeVmBind, RowsA) {
  using Spoil = std::function<void(drm_xe_vm_bind&)>;
  struct Case {
    const char* row;
    int err;
    Spoil spoil;
  };
  const Case cases[] = {
      {"A2 pad", EINVAL, [](auto& b) { b.pad = 1; }},
      {"A2 pad2", EINVAL, [](auto& b) { b.pad2 = 1; }},
      {"A3 reserved 0", EINVAL, [](auto& b) { b.reserved[0] = 1; }},
      {"A3 reserved 1", EINVAL, [](auto& b) { b.reserved[1] = 1; }},
      {"A4 extensions", EINVAL, [](auto& b) { b.extensions = 8; }},
      {"A5 syncs", EINVAL, [](auto& b) { b.num_syncs = 1025; }},
      {"A5 limit", 0, [](auto& b) { b.num_syncs = 1024; }},
      {"A6 array too large", ENOBUFS, [](auto& b) { b.num_binds = 0xffffffff; }},
      {"A7 array unreadable", EFAULT, [](auto& b) { b.num_binds = 2, b.vector_of_binds = kBadAddress; }},
      {"no ops at all", 0, [](auto& b) { b.num_binds = 0; }},
      {"A5 before A6", EINVAL, [](auto& b) { b.num_syncs = 1025, b.num_binds = 0xffffffff; }},
  };
  for (const Case& c : cases) {
    FakeUserMemory memory;
    auto bind = single(map_op());
    c.spoil(bind);
    EXPECT_EQ(decode_err(bind, kBmg, VmMode::kFault, memory), c.err) << c.row;
  }
}

TEST(DecodeVmBind, RowsB) {
  using Spoil = std::function<void(drm_xe_vm_bind_op&)>;
  struct Case {
    const char* row;
    drm_xe_vm_bind_op (*base)();
    int err;
    Spoil spoil;
    const DecodeLimits* limits = &kBmg;
    VmMode mode = VmMode::kFault;
  };
  const Spoil same = [](auto&) {};
  const DecodeLimits no_inject{.profile = &kProfileBmg, .injection = ErrorInjection::kRefused};
  const Case cases[] = {
      {"B1 dma-fence VM", mirror_op, EINVAL, same, &kBmg, VmMode::kDmaFence},
      {"B1 preempt-fence VM", mirror_op, EINVAL, same, &kBmg, VmMode::kPreemptFence},
      {"B1 no SVM", mirror_op, EINVAL, same, &kNoSvm},
      {"B2 on MAP", map_op, EINVAL, [](auto& o) { o.pat_index = 28; }},
      {"B2 on UNMAP", unmap_op, EINVAL, [](auto& o) { o.pat_index = 28; }},
      {"B2 lnl has 32", map_op, 0, [](auto& o) { o.pat_index = 31; }, &kLnl},
      {"B2 pvc has 8", map_op, EINVAL, [](auto& o) { o.pat_index = 8; }, &kPvc},
      {"B3 first reserved", map_op, EINVAL, [](auto& o) { o.pat_index = 16; }},
      {"B3 last reserved", map_op, EINVAL, [](auto& o) { o.pat_index = 19; }},
      {"B4", map_op, EINVAL, [](auto& o) { o.op = 5; }},
      {"B5 bit 8", map_op, EINVAL, [](auto& o) { o.flags = 1u << 8; }},
      {"B5 bit 30", map_op, EINVAL, [](auto& o) { o.flags = 1u << 30; }},
      {"B5 bit 31 with injection", map_op, 0, [](auto& o) { o.flags = 1u << 31; }},
      {"B5 bit 31 without", map_op, EINVAL, [](auto& o) { o.flags = 1u << 31; }, &no_inject},
      {"B6 mirror", mirror_op, EINVAL, [](auto& o) { o.obj = 1; }},
      {"B6 null", map_op, EINVAL, [](auto& o) { o.flags = DRM_XE_VM_BIND_FLAG_NULL; }},
      {"B7", mirror_op, EINVAL, [](auto& o) { o.obj_offset = 4096; }},
      {"B8 mirror UNMAP", mirror_op, EINVAL, [](auto& o) { o.op = DRM_XE_VM_BIND_OP_UNMAP; }},
      {"B8 null userptr", userptr_op, EINVAL, [](auto& o) { o.flags = DRM_XE_VM_BIND_FLAG_NULL, o.userptr = 0; }},
      {"B8 decompress UNMAP", unmap_op, EINVAL, [](auto& o) { o.flags = DRM_XE_VM_BIND_FLAG_DECOMPRESS; }},
      {"B9", map_op, EINVAL, [](auto& o) { o.flags = DRM_XE_VM_BIND_FLAG_DECOMPRESS, o.pat_index = 9; }},
      {"B10", map_op, EINVAL, [](auto& o) { o.obj = 0; }},
      {"B10 null is fine", map_op, 0, [](auto& o) { o.obj = 0, o.flags = 4; }},
      {"B11 obj", unmap_all_op, EINVAL, [](auto& o) { o.obj = 0; }},
      {"B11 addr", unmap_all_op, EINVAL, [](auto& o) { o.addr = 4096; }},
      {"B11 range", unmap_all_op, EINVAL, [](auto& o) { o.range = 4096; }},
      {"B12", userptr_op, EINVAL, [](auto& o) { o.obj = 1; }},
      {"B13", userptr_op, EINVAL, [](auto& o) { o.pat_index = 3; }},
      {"B14 integrated", mirror_op, EINVAL, [](auto& o) { o.pat_index = 3; }, &kLnl},
      {"B14 discrete is fine", mirror_op, 0, [](auto& o) { o.pat_index = 3; }},
      {"B15 userptr 1-way", userptr_op, EINVAL, [](auto& o) { o.pat_index = 1; }, &kL2},
      {"B15 mirror 1-way", mirror_op, EINVAL, [](auto& o) { o.pat_index = 1; }, &kL2},
      {"B15 2-way is fine", mirror_op, 0, same, &kL2},
      {"B15 object is not asked", map_op, 0, [](auto& o) { o.pat_index = 1; }, &kL2},
      {"B17", userptr_op, EINVAL, same, &kNoSvm},
      {"B18", prefetch_op, EINVAL, [](auto& o) { o.obj = 1; }},
      {"B19 region", map_op, EINVAL, [](auto& o) { o.prefetch_mem_region_instance = 1; }},
      {"B19 consult", map_op, EINVAL, [](auto& o) { o.prefetch_mem_region_instance = ~0u; }},
      {"B20 missing", prefetch_op, EINVAL, [](auto& o) { o.prefetch_mem_region_instance = 2; }},
      {"B20 pvc has it", prefetch_op, 0, [](auto& o) { o.prefetch_mem_region_instance = 2, o.pat_index = 3; }, &kPvc},
      {"B20 32", prefetch_op, EINVAL, [](auto& o) { o.prefetch_mem_region_instance = 32; }},
      {"B20 33", prefetch_op, EINVAL, [](auto& o) { o.prefetch_mem_region_instance = 33; }},
      {"B20 64", prefetch_op, EINVAL, [](auto& o) { o.prefetch_mem_region_instance = 64; }},
      {"B20 consult", prefetch_op, 0, [](auto& o) { o.prefetch_mem_region_instance = ~0u; }},
      {"B21", unmap_op, EINVAL, [](auto& o) { o.obj = 1; }},
      {"B22 without mirror", map_op, EINVAL, [](auto& o) { o.flags = DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET; }},
      {"B23 offset", map_op, EINVAL, [](auto& o) { o.obj_offset = 8; }},
      {"B23 addr", map_op, EINVAL, [](auto& o) { o.addr = 0x800; }},
      {"B23 range", map_op, EINVAL, [](auto& o) { o.range = 0x1001; }},
      {"B23 userptr", userptr_op, EINVAL, [](auto& o) { o.userptr = 0x7000001; }},
      {"B23 unused offset", unmap_op, EINVAL, [](auto& o) { o.obj_offset = 1; }},
      {"B24", map_op, EINVAL, [](auto& o) { o.range = 0; }},
      {"B25 integrated", map_op, EOPNOTSUPP, [](auto& o) { o.flags = DRM_XE_VM_BIND_FLAG_DECOMPRESS; }, &kLnl},
      {"B25 pvc", map_op, EOPNOTSUPP, [](auto& o) { o.flags = DRM_XE_VM_BIND_FLAG_DECOMPRESS; }, &kPvc},
      {"B25 bmg is fine", map_op, 0, [](auto& o) { o.flags = DRM_XE_VM_BIND_FLAG_DECOMPRESS; }},
      {"B24 before B25", map_op, EINVAL, [](auto& o) { o.flags = DRM_XE_VM_BIND_FLAG_DECOMPRESS, o.range = 0; }, &kLnl},
      {"Q5 unchecked fields", map_op, 0, [](auto& o) { o.extensions = 1, o.pad = 1, o.pad2 = 1, o.reserved[2] = 1; }},
      {"canonical address is a bounds matter", map_op, 0, [](auto& o) { o.addr = 0xffff800000000000; }},
  };
  for (const Case& c : cases) {
    auto op = c.base();
    c.spoil(op);
    EXPECT_EQ(op_err(op, *c.limits, c.mode), c.err) << c.row;
  }
}

/// B16 cannot be seen through the Xe2 table, where compressing entries are never coherent (B13 is
/// first): a made-up table shows it.
TEST(DecodeVmBind, RowB16WithACoherentCompressingEntry) {
  PatEntry table[] = {{.state = PatState::kCompressed, .coherency = PatCoherency::kTwoWay}};
  DeviceProfile profile = kProfileBmg;
  profile.pat = table;
  profile.pat_entries = 1;
  auto op = userptr_op();
  op.pat_index = 0;
  EXPECT_EQ(op_err(op, {.profile = &profile}), EINVAL);
  table[0].state = PatState::kPlain;
  EXPECT_EQ(op_err(op, {.profile = &profile}), 0);
}

TEST(DecodeVmBind, ArraysAreReadWholeAndCheckedInOrder) {
  FakeUserMemory memory;
  std::array<drm_xe_vm_bind_op, 3> ops = {map_op(), userptr_op(), prefetch_op()};
  ops[2].prefetch_mem_region_instance = 1;
  memory.put(kOps, ops);
  drm_xe_vm_bind bind{};
  bind.num_binds = 3;
  bind.vector_of_binds = kOps;
  bind.exec_queue_id = 7;
  bind.num_syncs = 2;
  bind.syncs = 0x9000;
  auto request = decode_vm_bind(bytes_of(bind), kBmg, VmMode::kDmaFence, memory);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->queue, QueueId{7});
  EXPECT_EQ(request->syncs.count, 2u);
  ASSERT_EQ(request->ops.size(), 3u);
  const auto& map = std::get<BindMap>(request->ops[0].what);
  EXPECT_EQ(std::get<BindBo>(map.backing).handle, GemHandle{1});
  EXPECT_EQ(request->ops[0].object(), GemHandle{1});
  EXPECT_EQ(std::get<BindUserptr>(std::get<BindMap>(request->ops[1].what).backing).address, HostVa(0x7000000));
  EXPECT_EQ(request->ops[1].object(), std::nullopt);
  EXPECT_EQ(std::get<BindPrefetch>(request->ops[2].what).region, 1u);

  ops[2].op = 9;
  memory.put(kOps, ops);
  EXPECT_EQ(decode_err(bind, kBmg, VmMode::kDmaFence, memory), EINVAL);
  bind.num_binds = 4;  // the fourth element is unreadable: that comes first
  EXPECT_EQ(decode_err(bind, kBmg, VmMode::kDmaFence, memory), EFAULT);
}

TEST(DecodeVmBind, MirrorWinsOverNullAndCarriesAutoreset) {
  FakeUserMemory memory;
  auto op = mirror_op();
  op.flags |= DRM_XE_VM_BIND_FLAG_NULL | DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET;
  auto request = decode_vm_bind(bytes_of(single(op)), kBmg, VmMode::kFault, memory);
  ASSERT_TRUE(request);
  const auto& map = std::get<BindMap>(request->ops[0].what);
  EXPECT_EQ(std::get<BindMirror>(map.backing).autoreset, AutoReset::kOn);
}

TEST(DecodeVmBind, RowG) {
  struct Case {
    std::uint64_t addr, range;
    int err;
  };
  const Case cases[] = {
      {0, 1ull << 48, 0},
      {0, (1ull << 48) + 4096, EINVAL},
      {(1ull << 48) - 4096, 4096, 0},
      {(1ull << 48) - 4096, 8192, EINVAL},
      {0xffff800000000000, 4096, EINVAL},
      {4096, ~0ull - 4095, EINVAL},
  };
  for (const Case& c : cases) {
    BindOp op;
    op.range = {GpuVa(c.addr), c.range};
    op.what = BindUnmap{};
    auto status = check_bind_bounds(op, kBmg);
    EXPECT_EQ(status ? 0 : status.error().err, c.err) << std::hex << c.addr << " " << c.range;
  }
}

TEST(DecodeVmBind, RowsI) {
  struct Case {
    const char* row;
    std::uint16_t pat;
    BindObject object;
    int err;
    std::uint64_t offset = 0;
    const DecodeLimits* limits = &kBmg;
  };
  const auto wc = CpuCaching::kWriteCombine;
  const auto wb = CpuCaching::kWriteBack;
  const Case cases[] = {
      {"fits", 3, {.size_bytes = 0x10000, .caching = wc}, 0},
      {"I1", 9, {.size_bytes = 0x10000, .caching = wc, .no_compression = true}, EINVAL},
      {"I1 plain PAT", 3, {.size_bytes = 0x10000, .caching = wc, .no_compression = true}, 0},
      {"I2 range", 3, {.size_bytes = 0xf000, .caching = wc}, EINVAL},
      {"I2 offset", 3, {.size_bytes = 0x10000, .caching = wc}, EINVAL, 0x1000},
      {"I3 pvc", 0, {.size_bytes = 0x20000, .caching = wc, .internally_64k = true}, EINVAL, 0x1000, &kPvc},
      {"I3 pvc aligned", 0, {.size_bytes = 0x20000, .caching = wc, .internally_64k = true}, 0, 0x10000, &kPvc},
      {"I3 not on bmg", 3, {.size_bytes = 0x20000, .caching = wc, .internally_64k = true}, 0, 0x1000},
      {"I4", 3, {.size_bytes = 0x10000, .caching = wb}, EINVAL},
      {"I4 coherent", 2, {.size_bytes = 0x10000, .caching = wb}, 0},
      {"I5", 3, {.size_bytes = 0x10000, .imported = true}, EINVAL},
      {"I6", 9, {.size_bytes = 0x10000, .caching = wc, .imported = true}, EINVAL},
      {"I7", 1, {.size_bytes = 0x10000, .imported = true}, EINVAL, 0, &kL2},
      {"I7 2-way", 2, {.size_bytes = 0x10000, .imported = true}, 0, 0, &kL2},
  };
  for (const Case& c : cases) {
    BindOp op;
    op.range = {GpuVa(0x200000), 0x10000};
    op.pat_index = c.pat;
    op.what = BindMap{.backing = BindBo{GemHandle{1}, c.offset}};
    auto status = check_bind_object(op, c.object, *c.limits);
    EXPECT_EQ(status ? 0 : status.error().err, c.err) << c.row;
  }
}

// ---- J: sync entries -----------------------------------------------------------------------------

class CountingSink final : public SyncSink {
 public:
  Status add(const SyncEntry& entry) override {
    entries.push_back(entry);
    if (entries.size() == fail_at) return fail(ENOENT, "test: unknown handle");
    return {};
  }
  std::vector<SyncEntry> entries;
  std::size_t fail_at = 0;
};

constexpr std::uint64_t kSyncs = 0x300000;
constexpr std::uint64_t kFence = 0x400000;

drm_xe_sync sync_entry(std::uint32_t type, std::uint32_t flags, std::uint64_t addr, std::uint64_t value) {
  drm_xe_sync s{};
  s.type = type;
  s.flags = flags;
  s.addr = addr;
  s.timeline_value = value;
  return s;
}

TEST(DecodeSyncs, RowsJ) {
  constexpr std::uint32_t kOut = DRM_XE_SYNC_FLAG_SIGNAL;
  struct Case {
    const char* row;
    drm_xe_sync sync;
    SyncUse use;
    VmMode mode;
    int err;
  };
  auto reserved = sync_entry(0, 0, 1, 0);
  reserved.reserved[1] = 1;
  auto ignored = sync_entry(0, 0, 1, 0);
  ignored.extensions = 1;
  using enum SyncUse;
  using enum VmMode;
  const Case cases[] = {
      {"unknown flag", sync_entry(0, 2, 1, 0), kBind, kDmaFence, EINVAL},
      {"reserved", reserved, kBind, kDmaFence, EINVAL},
      {"extensions ignored", ignored, kBind, kDmaFence, 0},
      {"unknown type", sync_entry(3, 0, 1, 0), kBind, kDmaFence, EINVAL},
      {"syncobj in", sync_entry(0, 0, 1, 0), kBind, kFault, 0},
      {"syncobj out", sync_entry(0, kOut, 1, 0), kBind, kDmaFence, 0},
      {"syncobj out on LR", sync_entry(0, kOut, 1, 0), kBind, kPreemptFence, EOPNOTSUPP},
      {"syncobj out on fault VM", sync_entry(0, kOut, 1, 0), kExec, kFault, EOPNOTSUPP},
      {"upper half", sync_entry(0, 0, 1ull << 32, 0), kBind, kDmaFence, EINVAL},
      {"LR before upper half", sync_entry(0, kOut, 1ull << 32, 0), kBind, kFault, EOPNOTSUPP},
      {"point", sync_entry(1, 0, 1, 5), kExec, kDmaFence, 0},
      {"point 0 in", sync_entry(1, 0, 1, 0), kExec, kDmaFence, EINVAL},
      {"point 0 out", sync_entry(1, kOut, 1, 0), kExec, kDmaFence, EINVAL},
      {"timeline out on LR", sync_entry(1, kOut, 1, 5), kBind, kFault, EOPNOTSUPP},
      {"fence", sync_entry(2, kOut, kFence, 1), kBind, kFault, 0},
      {"fence in", sync_entry(2, 0, kFence, 1), kBind, kFault, EOPNOTSUPP},
      {"fence without ops", sync_entry(2, kOut, kFence, 1), kBindWithoutOps, kFault, EOPNOTSUPP},
      {"fence unaligned", sync_entry(2, kOut, kFence + 4, 1), kBind, kFault, EINVAL},
      {"fence unreadable", sync_entry(2, kOut, kBadAddress, 1), kBind, kFault, EFAULT},
      {"GPU address", sync_entry(2, kOut, kBadAddress, 1), kExec, kDmaFence, 0},
      {"GPU address unaligned", sync_entry(2, kOut, kBadAddress + 1, 1), kExec, kFault, EINVAL},
  };
  for (const Case& c : cases) {
    FakeUserMemory memory;
    memory.put(kSyncs, c.sync);
    memory.put(kFence, std::array<std::uint64_t, 2>{});
    CountingSink sink;
    auto status = decode_syncs({HostVa(kSyncs), 1}, c.use, c.mode, memory, sink);
    EXPECT_EQ(status ? 0 : status.error().err, c.err) << c.row;
    EXPECT_EQ(sink.entries.size(), c.err == 0 ? 1u : 0u) << c.row;
  }
}

TEST(DecodeSyncs, StopsAtTheFirstFailureAndAllowsOneUserFence) {
  FakeUserMemory memory;
  const auto fence = sync_entry(2, DRM_XE_SYNC_FLAG_SIGNAL, kFence, 1);
  memory.put(kFence, std::uint64_t{0});
  memory.put(kSyncs, std::array{sync_entry(0, 0, 1, 0), fence, fence});
  CountingSink all;
  auto two = decode_syncs({HostVa(kSyncs), 3}, SyncUse::kBind, VmMode::kFault, memory, all);
  EXPECT_EQ(two.error().err, EINVAL);
  EXPECT_EQ(all.entries.size(), 3u) << "counted after all were parsed";
  CountingSink first;
  first.fail_at = 1;
  auto lookup = decode_syncs({HostVa(kSyncs), 3}, SyncUse::kBind, VmMode::kFault, memory, first);
  EXPECT_EQ(lookup.error().err, ENOENT);
  EXPECT_EQ(first.entries.size(), 1u);
  CountingSink past;
  auto unreadable = decode_syncs({HostVa(kSyncs), 4}, SyncUse::kBind, VmMode::kFault, memory, past);
  EXPECT_EQ(unreadable.error().err, EFAULT);
}

}  // namespace
}  // namespace softxe
