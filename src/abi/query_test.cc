#include "abi/query.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <ctime>
#include <map>

#include "abi/fake_user_memory.h"
#include "abi/uapi.h"

namespace softxe {
namespace {

constexpr std::uint64_t kData = 0x10000;

class FakeInputs final : public QueryInputs {
 public:
  RegionUse region_use(std::uint32_t region) const override {
    return {.used_bytes = region * 0x3000ull, .visible_used_bytes = region * 0x1000ull};
  }
  std::uint64_t system_total_bytes() const override { return 0x400000000; }
  Privilege privilege() const override { return nice; }
  CycleSample sample_cycles(const EngineFact&, clockid_t) const override {
    return {.cycles = 0xfff123456789, .cpu_timestamp_ns = 77, .cpu_delta_ns = 3};
  }
  Privilege nice = Privilege::kNone;
};

struct Asked {
  std::uint32_t query = 0;
  std::uint32_t size = 0;
  std::uint64_t data = kData;
};
Result<std::uint32_t> ask(const DeviceProfile& p, const Asked& a, FakeUserMemory& memory) {
  FakeInputs inputs;
  return answer_device_query(default_config(p, 0), {.query = a.query, .size_bytes = a.size, .data = HostVa(a.data)},
                             inputs, memory);
}

/// Both calls; the table as raw bytes.
template <typename T>
T fetch(const DeviceProfile& p, std::uint32_t query) {
  FakeUserMemory memory;
  auto size = ask(p, {.query = query}, memory);
  EXPECT_TRUE(size);
  EXPECT_EQ(*size, sizeof(T));
  memory.put(kData, T{});
  EXPECT_TRUE(ask(p, {.query = query, .size = *size}, memory));
  return memory.get<T>(kData);
}

TEST(DeviceQuery, SizesOfEveryTable) {
  struct Case {
    const DeviceProfile* profile;
    std::uint32_t query;
    int size_or_err;
  };
  const Case cases[] = {
      {&kProfileBmg, 0, 232},      {&kProfilePvc, 0, 584}, {&kProfileLnl, 0, 168},  {&kProfileBmg, 1, 184},
      {&kProfilePvc, 1, 272},      {&kProfileLnl, 1, 96},  {&kProfileBmg, 2, 48},   {&kProfilePvc, 2, 48},
      {&kProfileLnl, 2, 48},       {&kProfileBmg, 3, 200}, {&kProfilePvc, 3, 200},  {&kProfileLnl, 3, 200},
      {&kProfileBmg, 4, 168},      {&kProfileBmg, 5, 160}, {&kProfilePvc, 5, 160},  {&kProfileLnl, 5, 160},
      {&kProfileBmg, 6, 40},       {&kProfileBmg, 7, 32},  {&kProfileBmg, 8, 16},   {&kProfileBmg, 9, 8},
      {&kProfileBmg, 10, -ENODEV}, {&kProfileCri, 0, 392}, {&kProfileNvlp, 0, 168}, {&kProfileCri, 1, 184},
      {&kProfileNvlp, 1, 96},      {&kProfileCri, 3, 200}, {&kProfileNvlp, 3, 200}, {&kProfileCri, 4, 108},
      {&kProfileNvlp, 4, 120},     {&kProfileCri, 5, 144}, {&kProfileNvlp, 5, 144},
  };
  for (const Case& c : cases) {
    FakeUserMemory memory;
    auto size = ask(*c.profile, {.query = c.query}, memory);
    EXPECT_EQ(size ? static_cast<int>(*size) : -size.error().err, c.size_or_err)
        << c.profile->name << " query " << c.query;
  }
}

TEST(DeviceQuery, RefusalsInOrder) {
  struct Case {
    const char* row;
    Asked asked;
    int err;
  };
  const Case cases[] = {
      {"size too small", {.query = 2, .size = 47}, EINVAL},
      {"size too large", {.query = 2, .size = 49}, EINVAL},
      {"hwconfig with a size", {.query = 4, .size = 8}, EINVAL},
      {"EU stall before size", {.query = 10, .size = 1}, ENODEV},
      {"PXP data", {.query = 9, .size = 8}, ENODEV},
      {"PXP size first", {.query = 9, .size = 9}, EINVAL},
      {"unwritable", {.query = 2, .size = 48, .data = 0xdead0000}, EFAULT},
      {"unwritable regions", {.query = 1, .size = 184, .data = 0xdead0000}, ENOSPC},
      {"cycles unreadable", {.query = 6, .size = 40, .data = 0xdead0000}, EFAULT},
      {"firmware unreadable", {.query = 7, .size = 32, .data = 0xdead0000}, EFAULT},
  };
  for (const Case& c : cases) {
    FakeUserMemory memory;
    memory.put(kData, std::array<std::byte, 1024>{});
    auto answer = ask(kProfileBmg, c.asked, memory);
    ASSERT_FALSE(answer) << c.row;
    EXPECT_EQ(answer.error().err, c.err) << c.row;
  }
}

/// The fixed part of the counted tables.
struct Head {
  std::uint32_t count;
  std::uint32_t pad;
};
struct ConfigTable {
  Head head;
  std::uint64_t info[5];
};

TEST(DeviceQuery, Config) {
  auto bmg = fetch<ConfigTable>(kProfileBmg, 2);
  EXPECT_EQ(bmg.head.count, 5u);
  EXPECT_EQ(bmg.info[0], 0xe20bu);
  EXPECT_EQ(bmg.info[1], 0x3fu);
  EXPECT_EQ(bmg.info[2], 4096u);
  EXPECT_EQ(bmg.info[3], 48u);
  EXPECT_EQ(bmg.info[4], 1u);
  auto pvc = fetch<ConfigTable>(kProfilePvc, 2);
  EXPECT_EQ(pvc.info[0], 0x2f0bd5u);
  EXPECT_EQ(pvc.info[1], 0x37u);
  EXPECT_EQ(pvc.info[2], 65536u);
  EXPECT_EQ(pvc.info[3], 57u);
  EXPECT_EQ(fetch<ConfigTable>(kProfileLnl, 2).info[1], 0x3eu);
  const auto cri = fetch<ConfigTable>(kProfileCri, 2);
  EXPECT_EQ(cri.info[0], 0x674cu);
  EXPECT_EQ(cri.info[1], 0x3fu);
  EXPECT_EQ(cri.info[2], 4096u);
  EXPECT_EQ(cri.info[3], 57u);
  const auto nvlp = fetch<ConfigTable>(kProfileNvlp, 2);
  EXPECT_EQ(nvlp.info[0], 0xd750u);
  EXPECT_EQ(nvlp.info[1], 0x3eu);
  EXPECT_EQ(nvlp.info[3], 48u);
  FakeInputs inputs;
  inputs.nice = Privilege::kSysNice;
  FakeUserMemory memory;
  memory.put(kData, ConfigTable{});
  ASSERT_TRUE(answer_device_query(default_config(kProfileBmg, 0), {.query = 2, .size_bytes = 48, .data = HostVa(kData)},
                                  inputs, memory));
  EXPECT_EQ(memory.get<ConfigTable>(kData).info[4], 2u);
}

/// Runtimes size scratch and private memory by it, so it must not count more threads than there are ids.
TEST(DeviceQuery, HwConfigCountsTheThreadsThatUnitsRun) {
  struct Entry {
    std::uint32_t key;
    std::uint32_t dwords;
    std::uint32_t value;
  };
  for (const DeviceProfile* p : {&kProfileBmg, &kProfileCri, &kProfileNvlp}) {
    FakeUserMemory memory;
    const auto size = ask(*p, {.query = 4}, memory);
    ASSERT_TRUE(size) << p->name;
    std::array<Entry, 32> table{};
    ASSERT_LE(*size, sizeof table);
    memory.put(kData, table);
    ASSERT_TRUE(ask(*p, {.query = 4, .size = *size}, memory));
    table = memory.get<std::array<Entry, 32>>(kData);
    std::map<std::uint32_t, std::uint32_t> values;
    for (std::size_t i = 0; i < *size / sizeof(Entry); ++i) {
      EXPECT_EQ(table[i].dwords, 1u) << table[i].key;
      EXPECT_TRUE(values.emplace(table[i].key, table[i].value).second) << table[i].key;
    }
    EXPECT_EQ(values.at(70) * values.at(71) * values.at(15), 512u) << p->name << ": sub-slices, units, threads";
    EXPECT_EQ(values.at(2) * values.at(3) * values.at(15), 512u) << p->name << ": under the older names";
  }
}

struct RegionsTable {
  Head head;
  drm_xe_mem_region region[2];
};

TEST(DeviceQuery, MemoryRegionsSatisfyTheConstraints) {
  auto t = fetch<RegionsTable>(kProfileBmg, 1);
  EXPECT_EQ(t.head.count, 2u);
  EXPECT_EQ(t.region[0].mem_class, DRM_XE_MEM_REGION_CLASS_SYSMEM);
  EXPECT_EQ(t.region[0].total_size, 0x400000000u);
  EXPECT_EQ(t.region[0].cpu_visible_size, 0u);
  EXPECT_EQ(t.region[1].mem_class, DRM_XE_MEM_REGION_CLASS_VRAM);
  EXPECT_EQ(t.region[1].instance, 1u);
  EXPECT_EQ(t.region[1].min_page_size, 4096u);
  EXPECT_EQ(t.region[1].total_size, 0x2fb800000u);
  EXPECT_LE(t.region[1].cpu_visible_size, t.region[1].total_size);
  EXPECT_EQ(t.region[1].used, 0x3000u);
  EXPECT_EQ(t.region[1].cpu_visible_used, 0x1000u);
}

struct EnginesTable {
  Head head;
  drm_xe_engine engine[7];
};

TEST(DeviceQuery, EnginesInTheDocumentedOrder) {
  auto t = fetch<EnginesTable>(kProfileBmg, 0);
  EXPECT_EQ(t.head.count, 7u);
  const int wanted[7][3] = {{0, 0, 0}, {1, 0, 0}, {4, 0, 0}, {2, 0, 1}, {2, 1, 1}, {3, 0, 1}, {3, 1, 1}};
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(t.engine[i].instance.engine_class, wanted[i][0]) << i;
    EXPECT_EQ(t.engine[i].instance.engine_instance, wanted[i][1]) << i;
    EXPECT_EQ(t.engine[i].instance.gt_id, wanted[i][2]) << i;
  }
}

struct GtTable {
  Head head;
  drm_xe_gt gt[2];
};

TEST(DeviceQuery, GtListIsIndexedByGtId) {
  for (const DeviceProfile* p : all_profiles()) {
    auto t = fetch<GtTable>(*p, 3);
    for (unsigned i = 0; i < 2; ++i) {
      EXPECT_EQ(t.gt[i].gt_id, i) << p->name;
      EXPECT_NE(t.gt[i].reference_clock, 0u) << p->name;
      EXPECT_EQ(t.gt[i].near_mem_regions & t.gt[i].far_mem_regions, 0u) << p->name;
      EXPECT_EQ(t.gt[i].near_mem_regions | t.gt[i].far_mem_regions, p->region_mask()) << p->name;
    }
  }
  auto bmg = fetch<GtTable>(kProfileBmg, 3);
  EXPECT_EQ(bmg.gt[0].ip_ver_major, 20u);
  EXPECT_EQ(bmg.gt[1].type, DRM_XE_QUERY_GT_TYPE_MEDIA);
  EXPECT_EQ(fetch<GtTable>(kProfilePvc, 3).gt[1].ip_ver_major, 0u) << "no GMD_ID";
}

TEST(DeviceQuery, TopologyEndsWithSimd16Eus) {
  for (const DeviceProfile* p : all_profiles()) {
    // Newer media GTs have no L3 of their own.
    const bool media_l3 = p->graphics_version < 30;
    std::vector<std::uint8_t> raw(160);
    if (media_l3) {
      const auto table = fetch<std::array<std::uint8_t, 160>>(*p, 5);
      raw.assign(table.begin(), table.end());
    } else {
      const auto table = fetch<std::array<std::uint8_t, 144>>(*p, 5);
      raw.assign(table.begin(), table.end());
    }
    std::vector<unsigned> types;
    std::uint64_t main_dss = 0;
    unsigned l3_banks = 0;
    for (std::size_t at = 0; at < raw.size();) {
      struct {
        std::uint16_t gt_id, type;
        std::uint32_t num_bytes;
      } head;
      std::memcpy(&head, raw.data() + at, 8);
      std::uint64_t mask;
      std::memcpy(&mask, raw.data() + at + 8, 8);
      types.push_back(head.type);
      if (head.gt_id == 0 && head.type == 2) main_dss = mask;
      if (head.gt_id == 0 && head.type == 3) l3_banks = static_cast<unsigned>(std::popcount(mask));
      at += 8 + head.num_bytes;
    }
    std::vector<unsigned> wanted{1, 2, 3, 5, 1, 2, 3, 5};
    if (!media_l3) wanted.erase(wanted.begin() + 6);
    EXPECT_EQ(types, wanted) << p->name;
    EXPECT_NE(main_dss, 0u) << p->name;
    EXPECT_NE(l3_banks, 0u) << p->name;
    EXPECT_TRUE(p->graphics_version >= 20 || l3_banks % 4 == 0) << p->name;
  }
}

TEST(DeviceQuery, EngineCyclesWritesOnlyItsOutputs) {
  struct Case {
    const char* row;
    std::uint16_t cls, instance, gt;
    std::int32_t clock;
    int err;
  };
  const Case cases[] = {
      {"copy", 1, 0, 0, CLOCK_MONOTONIC_RAW, 0},
      {"tai", 2, 1, 1, CLOCK_TAI, 0},
      {"clock", 1, 0, 0, CLOCK_PROCESS_CPUTIME_ID, EINVAL},
      {"gt", 1, 0, 2, 0, EINVAL},
      {"class", 5, 0, 0, 0, EINVAL},
      {"instance", 1, 1, 0, 0, EINVAL},
  };
  for (const Case& c : cases) {
    FakeUserMemory memory;
    drm_xe_query_engine_cycles q{};
    q.eci = {c.cls, c.instance, c.gt, 0xabcd};
    q.clockid = c.clock;
    memory.put(kData, q);
    auto answer = ask(kProfileBmg, {.query = 6, .size = 40}, memory);
    EXPECT_EQ(answer ? 0 : answer.error().err, c.err) << c.row;
    q = memory.get<drm_xe_query_engine_cycles>(kData);
    EXPECT_EQ(q.width, c.err == 0 ? 64u : 0u) << c.row;
    EXPECT_EQ(q.cpu_timestamp, c.err == 0 ? 77u : 0u) << c.row;
    EXPECT_EQ(q.eci.pad, 0xabcd);
  }
  FakeUserMemory memory;
  drm_xe_query_engine_cycles q{};
  q.eci.engine_class = 1;
  memory.put(kData, q);
  ASSERT_TRUE(ask(kProfilePvc, {.query = 6, .size = 40}, memory));
  q = memory.get<drm_xe_query_engine_cycles>(kData);
  EXPECT_EQ(q.width, 36u);
  EXPECT_EQ(q.engine_cycles, 0xfff123456789u & 0xfffffffffu);
}

TEST(DeviceQuery, FirmwareVersions) {
  struct Case {
    const DeviceProfile* profile;
    drm_xe_query_uc_fw_version in;
    int err;
    std::uint32_t major, minor;
  };
  const Case cases[] = {
      {&kProfileBmg, {0, 0, 9, 0, 0, 0, 0, 0}, 0, 1, 26},     {&kProfileBmg, {1, 0, 0, 0, 0, 0, 0, 0}, 0, 8, 2},
      {&kProfilePvc, {1, 0, 0, 0, 0, 0, 0, 0}, ENODEV, 0, 0}, {&kProfileBmg, {2, 0, 0, 0, 0, 0, 0, 0}, EINVAL, 0, 0},
      {&kProfileBmg, {0, 1, 0, 0, 0, 0, 0, 0}, EINVAL, 0, 0}, {&kProfileBmg, {0, 0, 0, 0, 0, 0, 1, 0}, EINVAL, 0, 0},
      {&kProfileBmg, {0, 0, 0, 0, 0, 0, 0, 1}, EINVAL, 0, 0},
  };
  for (const Case& c : cases) {
    FakeUserMemory memory;
    memory.put(kData, c.in);
    auto answer = ask(*c.profile, {.query = 7, .size = 32}, memory);
    EXPECT_EQ(answer ? 0 : answer.error().err, c.err);
    if (c.err != 0) continue;
    auto out = memory.get<drm_xe_query_uc_fw_version>(kData);
    EXPECT_EQ(out.major_ver, c.major);
    EXPECT_EQ(out.minor_ver, c.minor);
    EXPECT_EQ(out.branch_ver, 0u);
  }
}

TEST(DeviceQuery, ProfilesMatchTheSpecifiedPatTables) {
  const std::vector<int> none = {0, 3, 6, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21, 24, 25, 28, 29};
  const std::vector<int> one_way = {1, 4, 5, 22, 26, 30};
  const std::vector<int> two_way = {2, 7, 23, 27, 31};
  const std::vector<int> compressed = {9, 10, 11, 12, 14, 15, 21, 25, 29};
  std::vector<int> got_none, got_one, got_two, got_compressed;
  for (int i = 0; i < 32; ++i) {
    const PatEntry& e = kXe2Pat[static_cast<std::size_t>(i)];
    if (compresses(e)) got_compressed.push_back(i);
    if (e.state == PatState::kReserved) continue;
    (e.coherency == PatCoherency::kNone     ? got_none
     : e.coherency == PatCoherency::kOneWay ? got_one
                                            : got_two)
        .push_back(i);
  }
  EXPECT_EQ(got_none, none);
  EXPECT_EQ(got_one, one_way);
  EXPECT_EQ(got_two, two_way);
  EXPECT_EQ(got_compressed, compressed);
  EXPECT_EQ(find_profile("pvc").value(), &kProfilePvc);
  EXPECT_FALSE(find_profile("dg2"));
}

TEST(DeviceQuery, CyclesDoNotOverflow) {
  EXPECT_EQ(cycles_at(1'000'000'000, 19'200'000), 19'200'000u);
  EXPECT_EQ(cycles_at(10'000'000'000'000'000'000u, 19'200'000), 10'000'000'000u * 19'200'000u);
}

}  // namespace
}  // namespace softxe
