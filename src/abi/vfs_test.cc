#include "abi/vfs.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace softxe {
namespace {

std::vector<DeviceConfig> two_devices() { return {default_config(kProfileBmg, 0), default_config(kProfilePvc, 1)}; }

// ---- paths ---------------------------------------------------------------------------------------

TEST(PathMap, ToShadow) {
  const PathMap map("/s");
  struct Case {
    const char* client;
    const char* shadow;  ///< null: the real file
  };
  const Case cases[] = {
      {"/dev/dri", "/s/dev/dri"},
      {"/dev/dri/card0", "/s/dev/dri/card0"},
      {"/dev//dri/./card0", "/s/dev/dri/card0"},
      {"/dev/dri/", "/s/dev/dri/"},
      {"/dev/dri2", nullptr},
      {"/dev/null", nullptr},
      {"/dev/dri/../null", nullptr},
      {"/dev/dri/../dri/card0", "/s/dev/dri/card0"},
      {"/dev/kmsg", "/s/dev/kmsg"},
      {"/sys", "/s/sys"},
      {"/sys/", "/s/sys/"},
      {"/sys/class/drm/card0/device/uevent", "/s/sys/class/drm/card0/device/uevent"},
      // The kernel resolves ".." behind links, not the text.
      {"/sys/class/drm/card0/device/../config", "/s/sys/class/drm/card0/device/../config"},
      {"/sys/../sys/bus", "/s/sys/bus"},
      {"/tmp/../sys/bus", "/s/sys/bus"},
      {"/sys/../etc/passwd", nullptr},
      {"/sys/devices/system/cpu/online", nullptr},
      {"/sys/devices/../devices/system/cpu", nullptr},
      {"/sys/devices/systemx", "/s/sys/devices/systemx"},
      {"/sys/fs/cgroup", nullptr},
      {"/sys/kernel/mm/transparent_hugepage/enabled", nullptr},
      {"/sys/kernel/debug/dri/0/name", "/s/sys/kernel/debug/dri/0/name"},
      {"/proc/sys/vm/nr_hugepages", "/s/proc/sys/vm/nr_hugepages"},
      {"/proc/sys/vm/drop_caches", "/s/proc/sys/vm/drop_caches"},
      {"/proc/sys/vm/swappiness", nullptr},
      {"/proc/meminfo", nullptr},
      {"/", nullptr},
      {"relative/sys", nullptr},
      {"", nullptr},
  };
  for (const Case& c : cases) {
    const auto shadow = map.to_shadow(c.client);
    EXPECT_EQ(shadow.has_value(), c.shadow != nullptr) << c.client;
    if (shadow && c.shadow) {
      EXPECT_EQ(*shadow, c.shadow) << c.client;
    }
  }
}

TEST(PathMap, ToClientIsTheWayBack) {
  const PathMap map("/tmp/s");
  EXPECT_EQ(map.to_client("/tmp/s/sys/bus/pci"), "/sys/bus/pci");
  EXPECT_EQ(map.to_client("/tmp/s"), "/");
  EXPECT_EQ(map.to_client("/tmp/sx/sys"), std::nullopt);
  EXPECT_EQ(map.to_client("/sys/bus"), std::nullopt);
  for (const char* path : {"/sys", "/dev/dri/by-path", "/sys/kernel/debug/dri/0", "/dev/kmsg"})
    EXPECT_EQ(map.to_client(*map.to_shadow(path)), path);
}

TEST(PathMap, JoinAndNormalise) {
  struct Case {
    const char *directory, *name, *joined, *normal;
  };
  const Case cases[] = {
      {"/", "sys", "/sys", "/sys"},
      {"/sys", "class", "/sys/class", "/sys/class"},
      {"/sys", "/dev/dri", "/dev/dri", "/dev/dri"},
      {"/sys", "", "/sys", "/sys"},
      {"/sys", "..", "/sys/..", "/"},
      {"/sys/class", "../../..", "/sys/class/../../..", "/"},
      {"/dev", "./dri//card0/", "/dev/./dri//card0/", "/dev/dri/card0"},
  };
  for (const Case& c : cases) {
    const std::string joined = PathMap::join(c.directory, c.name);
    EXPECT_EQ(joined, c.joined);
    EXPECT_EQ(PathMap::normalise(joined), c.normal);
  }
}

TEST(Paths, FileSystemsAndDeviceNodes) {
  EXPECT_EQ(file_system_of("/sys/class"), FileSystemKind::kSysfs);
  EXPECT_EQ(file_system_of("/sys/kernel"), FileSystemKind::kSysfs);
  EXPECT_EQ(file_system_of("/sys/kernel/debug"), FileSystemKind::kDebugfs);
  EXPECT_EQ(file_system_of("/sys/kernel/debugger"), FileSystemKind::kSysfs);
  EXPECT_EQ(file_system_of("/sys/kernel/config"), FileSystemKind::kConfigfs);
  EXPECT_EQ(file_system_of("/dev/dri/card0"), FileSystemKind::kDev);
  EXPECT_EQ(file_system_magic(FileSystemKind::kSysfs), 0x62656572u);
  EXPECT_EQ(find_device_node("/dev/dri/card1", 2)->minor, 1u);
  EXPECT_EQ(find_device_node("/dev/dri/renderD129", 2)->device, 1u);
  EXPECT_FALSE(find_device_node("/dev/dri/card2", 2));
  EXPECT_FALSE(find_device_node("/dev/dri/card01", 2));
  EXPECT_FALSE(find_device_node("/dev/dri/by-path", 2));
}

// ---- the tree ------------------------------------------------------------------------------------

std::map<std::string, VfsNode> tree_by_path(const std::vector<DeviceConfig>& devices = two_devices()) {
  std::map<std::string, VfsNode> by_path;
  for (VfsNode& node : build_tree(devices)) {
    const std::string path = node.path;
    EXPECT_TRUE(by_path.emplace(path, std::move(node)).second) << path;
  }
  return by_path;
}

TEST(Tree, ParentsComeFirstAndEverythingIsRedirected) {
  const auto devices = two_devices();
  std::set<std::string> seen;
  for (const VfsNode& node : build_tree(devices)) {
    const std::string parent = node.path.substr(0, node.path.rfind('/'));
    EXPECT_TRUE(parent.empty() || seen.count(parent)) << node.path;
    EXPECT_TRUE(seen.insert(node.path).second) << node.path;
    if (node.kind == NodeKind::kFile && !node.content.empty()) {
      EXPECT_TRUE(PathMap::is_redirected(node.path)) << node.path;
    }
  }
}

TEST(Tree, EveryDynamicNodeIsFoundAndNoStaticOne) {
  const auto devices = two_devices();
  unsigned dynamic = 0;
  for (const VfsNode& node : build_tree(devices)) {
    EXPECT_EQ(find_dynamic(node.path, devices).has_value(), node.kind == NodeKind::kDynamic) << node.path;
    dynamic += node.kind == NodeKind::kDynamic;
  }
  EXPECT_GT(dynamic, 60u);
}

TEST(Tree, FilesClientsNeed) {
  const auto tree = tree_by_path();
  const std::string pci = pci_directory(0);
  struct Case {
    std::string path;
    std::string content;
  };
  const Case cases[] = {
      {pci + "/vendor", "0x8086\n"},
      {pci + "/device", "0xe20b\n"},
      {pci + "/class", "0x030000\n"},
      {pci + "/drm/card0/dev", "226:0\n"},
      {pci + "/drm/renderD128/dev", "226:128\n"},
      {pci + "/drm/renderD128/uevent", "MAJOR=226\nMINOR=128\nDEVNAME=dri/renderD128\nDEVTYPE=drm_minor\n"},
      {pci + "/tile0/gt1/gtidle/name", "gt1-mc\n"},
      {pci + "/tile0/gt0/engines/ccs/.defaults/job_timeout_ms", "5000\n"},
      {pci_directory(1) + "/tile1/gt1/gtidle/name", "gt1-rc\n"},
      {"/sys/module/xe/initstate", "live\n"},
      {"/sys/kernel/debug/dri/0/name", "xe dev=0000:03:00.0 unique=0000:03:00.0\n"},
      {"/sys/kernel/debug/dri/0/gt0/register-save-restore-check", ""},
      {"/sys/kernel/debug/dri/0/page_reclaim_hw_assist", "0\n"},
  };
  for (const Case& c : cases) {
    auto found = tree.find(c.path);
    ASSERT_NE(found, tree.end()) << c.path;
    EXPECT_EQ(found->second.content, c.content) << c.path;
  }
  EXPECT_FALSE(tree.count(pci + "/physfn"));
  EXPECT_FALSE(tree.count(pci + "/sriov_numvfs"));
  const std::string& uevent = tree.at(pci + "/uevent").content;
  for (const char* line : {"DRIVER=xe\n", "PCI_ID=8086:E20B\n", "PCI_SLOT_NAME=0000:03:00.0\n"})
    EXPECT_NE(uevent.find(line), std::string::npos) << line;
  const std::string& info = tree.at("/sys/kernel/debug/dri/0/info").content;
  for (const char* line : {"devid 0xe20b\n", "revid 0\n", "is_dgfx yes\n", "tile_count 1\n", "vm_max_level 4\n",
                           "multi_lrc_engine_classes: vcs vecs\n", "gt0 multi_queue_engine_classes:\n"})
    EXPECT_NE(info.find(line), std::string::npos) << line;
  EXPECT_EQ(tree.at(pci + "/config").kind, NodeKind::kDynamic);
}

TEST(Tree, NewProfilesSayWhatTheyHave) {
  const auto tree = tree_by_path({default_config(kProfileCri, 0), default_config(kProfileNvlp, 1)});
  const auto has = [&](const char* path, std::initializer_list<const char*> lines) {
    const std::string& text = tree.at(path).content;
    for (const char* line : lines) EXPECT_NE(text.find(line), std::string::npos) << path << ": " << line;
  };
  has("/sys/kernel/debug/dri/0/info",
      {"graphics_verx100 3511\n", "devid 0x674c\n", "is_dgfx yes\n", "has_flat_ccs no\n",
       "gt0 multi_queue_engine_classes: bcs ccs\n", "gt1 multi_queue_engine_classes:\n"});
  has("/sys/kernel/debug/dri/1/info",
      {"graphics_verx100 3510\n", "devid 0xd750\n", "is_dgfx no\n", "gt0 multi_queue_engine_classes: bcs ccs\n"});
  has("/sys/kernel/debug/dri/0/page_reclaim_hw_assist", {"0\n"});
  has("/sys/kernel/debug/dri/1/page_reclaim_hw_assist", {"1\n"});
  // Without compression there is a column less.
  has("/sys/kernel/debug/dri/0/gt0/pat_sw_config",
      {"PAT[ 2] = [ 0, 0, 0, 0, 3 ]  (     0x3)\n", "PAT[ 3] = [ 0, 0, 3, 3, 0 ]  (    0x3c)\n",
       "PAT[31] = [ 0, 3, 0, 0, 3 ]  (    0xc3)\n", "PTA_MODE= [ 0, 0, 0, 0, 3 ]", "IDX[XE_CACHE_WT] = 3\n"});
  has("/sys/kernel/debug/dri/1/gt0/pat_sw_config",
      {"PAT[16] = [ 0, 1, 0, 0, 3, 2 ]", "PAT[17] = [ 0, 0, 0, 0, 0, 0 ]  (     0x0) *\n",
       "PAT[18] = [ 1, 0, 0, 2, 3, 0 ]", "PAT[19] = [ 1, 0, 0, 2, 3, 2 ]", "PTA_MODE= [ 0, 0, 0, 0, 0, 3 ]",
       "IDX[XE_CACHE_WB_COMPRESSION] = 16\n"});
  has("/sys/kernel/debug/dri/1/gt1/pat_sw_config", {"PTA_MODE= [ 0, 0, 0, 0, 0, 2 ]"});
}

/// A private folder that is gone with the test.
class ShadowTree : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/softxe-vfs-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    const auto devices = two_devices();
    ASSERT_TRUE(materialise(build_tree(devices), root_));
  }
  void TearDown() override {
    EXPECT_TRUE(remove_tree(root_));
    EXPECT_FALSE(std::filesystem::exists(root_));
  }
  std::string client_realpath(const std::string& client) {
    char resolved[PATH_MAX];
    const PathMap map(root_);
    if (realpath(map.to_shadow(client)->c_str(), resolved) == nullptr) return "";
    return map.to_client(resolved).value_or("outside");
  }
  std::string root_;
};

TEST_F(ShadowTree, LinksLeadWhereSysfsLinksLead) {
  const std::string pci = pci_directory(0);
  struct Case {
    std::string from, to;
  };
  const Case cases[] = {
      {"/sys/dev/char/226:0", pci + "/drm/card0"},
      {"/sys/dev/char/226:128", pci + "/drm/renderD128"},
      {"/sys/dev/char/226:129/device", pci_directory(1)},
      {"/sys/dev/char/226:128/device/driver", "/sys/bus/pci/drivers/xe"},
      {"/sys/class/drm/card0/device/subsystem", "/sys/bus/pci"},
      {"/sys/class/drm/card0/subsystem", "/sys/class/drm"},
      {"/sys/bus/pci/devices/0000:03:00.0", pci},
      {"/sys/bus/pci/devices/0000:03:00.0/drm/card0/device/tile0/gt0/freq0/max_freq",
       pci + "/tile0/gt0/freq0/max_freq"},
      {"/sys/bus/pci/drivers/xe/0000:04:00.0", pci_directory(1)},
      {"/dev/dri/by-path/pci-0000:03:00.0-card", "/dev/dri/card0"},
      {"/dev/dri/by-path/pci-0000:03:00.0-render", "/dev/dri/renderD128"},
      {"/sys/kernel/debug/dri/128/gt0/stats", "/sys/kernel/debug/dri/0/gt0/stats"},
      {"/sys/kernel/debug/dri/0000:04:00.0", "/sys/kernel/debug/dri/1"},
      {"/sys/class/drm/card0/device/../0000:03:00.0/vendor", pci + "/vendor"},
  };
  for (const Case& c : cases) EXPECT_EQ(client_realpath(c.from), c.to) << c.from;
}

TEST_F(ShadowTree, NoLinkDanglesOrNamesTheRoot) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
    if (!entry.is_symlink()) continue;
    EXPECT_TRUE(std::filesystem::exists(entry.path())) << entry.path();
    EXPECT_TRUE(std::filesystem::read_symlink(entry.path()).is_relative()) << entry.path();
  }
}

TEST_F(ShadowTree, ContentAndModesArriveOnDisk) {
  std::ifstream file(root_ + pci_directory(0) + "/device");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), "0xe20b\n");
  struct stat st {};
  ASSERT_EQ(stat((root_ + pci_directory(0) + "/uevent").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0644u);
  ASSERT_EQ(stat((root_ + pci_directory(0) + "/resource0").c_str(), &st), 0);
  EXPECT_EQ(st.st_size, 16 << 20);
  EXPECT_EQ(st.st_blocks, 0);
  EXPECT_FALSE(materialise(build_tree({}), root_)) << "the root must be empty";
}

// ---- dynamic files -------------------------------------------------------------------------------

class FakeFiles final : public DeviceFiles {
 public:
  const CounterSet& gt_counters(std::uint16_t) const override { return counters; }
  void reset_gt_counters(std::uint16_t gt) override { log += "stats" + std::to_string(gt) + " "; }
  GtIdle gt_idle(std::uint16_t) const override { return {.idle = idle, .residency_ms = 12}; }
  Status reset_gt(std::uint16_t gt, ResetWait wait) override {
    log += (wait == ResetWait::kUntilDone ? "sync" : "reset") + std::to_string(gt) + " ";
    return {};
  }
  EngineSettings engine_settings(std::uint16_t, EngineClass) const override { return settings; }
  void set_engine_settings(std::uint16_t, EngineClass, const EngineSettings& s) override { settings = s; }
  FrequencyLimits frequency_limits(std::uint16_t) const override { return limits; }
  void set_frequency_limits(std::uint16_t, FrequencyLimits l) override { limits = l; }
  std::uint32_t wedged_mode() const override { return wedged; }
  void set_wedged_mode(std::uint32_t mode) override { wedged = mode; }
  std::uint32_t atomic_timeslice_ms() const override { return timeslice; }
  void set_atomic_timeslice_ms(std::uint32_t ms) override { timeslice = ms; }
  RegionUse region_use(std::uint32_t region) const override { return {.used_bytes = region * 4096ull}; }
  std::vector<DrmClient> clients() const override { return {{"prog", 42, 128, 1000}}; }

  RuntimePm& power() const override { return pm; }
  FaultAttributes& reset_faults() const override { return faults; }
  Status unbind() override {
    log += "unbind ";
    return {};
  }
  Status bind() override {
    log += "bind ";
    return {};
  }

  ManualClock clock;
  mutable RuntimePm pm{clock};
  mutable FaultAttributes faults;
  CounterWords words;
  CounterSet counters{words};
  bool idle = true;
  FrequencyLimits limits;
  EngineSettings settings;
  std::uint32_t wedged = 1;
  std::uint32_t timeslice = 5;
  std::string log;
};

Result<std::string> read_path(const std::string& path, const DeviceFiles& files) {
  const auto devices = two_devices();
  const auto file = find_dynamic(path, devices);
  if (!file) return fail(ENOENT, "test: not dynamic");
  return read_dynamic(*file, devices[file->device], files);
}
int write_path(const std::string& path, std::string_view text, FakeFiles& files) {
  const auto devices = two_devices();
  const auto file = find_dynamic(path, devices);
  if (!file) return ENOENT;
  auto status = write_dynamic(*file, text, devices[file->device], files);
  return status ? 0 : status.error().err;
}

TEST(DynamicFiles, StatsFirstSubstringMatchIsTheNamedLine) {
  FakeFiles files;
  for (std::size_t i = 0; i < kKernelCounterCount; ++i) files.counters.add(static_cast<Counter>(i), 1000 + i);
  const std::string text = *read_path("/sys/kernel/debug/dri/0/gt1/stats", files);
  EXPECT_TRUE(
      text.starts_with("svm_pagefault_count: 1000\ntlb_inval_count: 1001\nsvm_tlb_inval_count: 1002\n"
                       "svm_tlb_inval_us: 1003\nvma_pagefault_count: 1004\nvma_pagefault_kb: 1005\n"
                       "invalid_prefetch_pagefault_count: 1006\nsvm_4K_pagefault_count: 1007\n"));
  EXPECT_TRUE(text.find("prl_aborted_count: ") > text.find("prl_issued_count: "));
  for (const char* name : {"svm_pagefault_count", "tlb_inval_count", "svm_4K_pagefault_us", "svm_2M_cpu_copy_kb",
                           "invalid_prefetch_pagefault_count", "prl_64k_entry_count"}) {
    const std::size_t at = text.find(name);
    ASSERT_NE(at, std::string::npos) << name;
    EXPECT_TRUE(at == 0 || text[at - 1] == '\n') << name << ": an earlier line contains it";
  }
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), static_cast<std::ptrdiff_t>(kKernelCounterCount));
}

TEST(DynamicFiles, TheClockKeepsToTheLimitsOfTheClient) {
  FakeFiles files;
  const std::string freq = pci_directory(0) + "/tile0/gt0/freq0/";
  struct Case {
    const char* file;
    const char* write;  ///< empty: read
    int error;
    const char* text;  ///< what a read gives
    bool idle;
  };
  const Case cases[] = {
      {"min_freq", "", 0, "400\n", true},        {"max_freq", "", 0, "2850\n", true},
      {"cur_freq", "", 0, "400\n", true},        {"cur_freq", "", 0, "2850\n", false},
      {"act_freq", "", 0, "0\n", true},          {"act_freq", "", 0, "2850\n", false},
      {"min_freq", "399", EINVAL, "", true},     {"min_freq", "2851", EINVAL, "", true},
      {"max_freq", "399", EINVAL, "", true},     {"max_freq", "2851", EINVAL, "", true},
      {"max_freq", "garbage", EINVAL, "", true}, {"cur_freq", "1000", EACCES, "", true},
      {"max_freq", "", 0, "2850\n", true},       {"max_freq", "1000\n", 0, "", true},
      {"max_freq", "", 0, "1000\n", true},       {"act_freq", "", 0, "1000\n", false},
      {"min_freq", "1200", 0, "", true},         {"cur_freq", "", 0, "1200\n", false},  // fixed: max is below
      {"cur_freq", "", 0, "1200\n", true},
  };
  for (const Case& c : cases) {
    files.idle = c.idle;
    SCOPED_TRACE(fmt::format("{} <- '{}'", c.file, c.write));
    if (*c.write != '\0' || c.error != 0)
      EXPECT_EQ(write_path(freq + c.file, c.write, files), c.error);
    else
      EXPECT_EQ(*read_path(freq + c.file, files), c.text);
  }
}

TEST(Tree, TheLinkOfAMinorNamesItsDevice) {
  EXPECT_EQ(tree_by_path().at(pci_directory(0) + "/drm/card0/device").content, "../../../" + pci_slot(0));
}

TEST(DynamicFiles, Reads) {
  FakeFiles files;
  const std::string gt = pci_directory(0) + "/tile0/gt0";
  struct Case {
    std::string path, text;
  };
  const Case cases[] = {
      {gt + "/gtidle/idle_status", "gt-c6\n"},
      {gt + "/gtidle/idle_residency_ms", "12\n"},
      {gt + "/engines/rcs/job_timeout_ms", "5000\n"},
      {gt + "/engines/bcs/timeslice_duration_us", "1000\n"},
      {gt + "/engines/ccs/preempt_timeout_us", "640000\n"},
      {gt + "/engines/ccs/preempt_timeout_max", "10000000\n"},
      {gt + "/engines/ccs/job_timeout_min", "1\n"},
      {"/sys/kernel/debug/dri/0/wedged_mode", "1\n"},
      {"/sys/kernel/debug/dri/1/atomic_svm_timeslice_ms", "5\n"},
      {"/sys/kernel/debug/dri/0/gt0/force_reset", ""},
  };
  for (const Case& c : cases) {
    auto text = read_path(c.path, files);
    ASSERT_TRUE(text) << c.path;
    EXPECT_EQ(*text, c.text) << c.path;
  }
  files.idle = false;
  EXPECT_EQ(*read_path(gt + "/gtidle/idle_status", files), "gt-c0\n");
  EXPECT_NE(read_path("/sys/kernel/debug/dri/1/tile1/vram_mm", files)->find("usage: 8192\n"), std::string::npos);
  EXPECT_NE(read_path("/sys/kernel/debug/dri/0/clients", files)->find("prog"), std::string::npos);
}

TEST(DynamicFiles, Writes) {
  const std::string ccs = pci_directory(0) + "/tile0/gt0/engines/ccs";
  const std::string debug = "/sys/kernel/debug/dri/0";
  struct Case {
    std::string path;
    const char* text;
    int err;
    const char* log;
  };
  const Case cases[] = {
      {debug + "/gt0/force_reset", "1", 0, "reset0 "},
      {debug + "/gt1/force_reset_sync", "1\n", 0, "sync1 "},
      {debug + "/gt0/force_reset", "0", 0, ""},
      {debug + "/gt0/force_reset", "x", EINVAL, ""},
      {debug + "/gt1/stats", "Y", 0, "stats1 "},
      {debug + "/gt1/stats", "", EINVAL, ""},
      {debug + "/clients", "1", EACCES, ""},
      {debug + "/wedged_mode", "2\n", 0, ""},
      {debug + "/wedged_mode", "3", EINVAL, ""},
      {debug + "/atomic_svm_timeslice_ms", "20", 0, ""},
      {debug + "/atomic_svm_timeslice_ms", "20ms", EINVAL, ""},
      {ccs + "/job_timeout_ms", "10000", 0, ""},
      {ccs + "/job_timeout_ms", "10001", EINVAL, ""},
      {ccs + "/job_timeout_ms", "0", EINVAL, ""},
      {ccs + "/job_timeout_ms", "-1", EINVAL, ""},
      {ccs + "/job_timeout_max", "10001", EINVAL, ""},
      {ccs + "/job_timeout_min", "0", EINVAL, ""},
      {ccs + "/timeslice_duration_min", "500", 0, ""},
  };
  for (const Case& c : cases) {
    FakeFiles files;
    EXPECT_EQ(write_path(c.path, c.text, files), c.err) << c.path << " " << c.text;
    EXPECT_EQ(files.log, c.log) << c.path << " " << c.text;
  }
  FakeFiles files;
  EXPECT_EQ(write_path(ccs + "/timeslice_duration_min", "500", files), 0);
  EXPECT_EQ(write_path(ccs + "/timeslice_duration_us", "499", files), EINVAL);
  EXPECT_EQ(write_path(ccs + "/timeslice_duration_us", "500", files), 0);
  EXPECT_EQ(files.settings.timeslice_us.value, 500u);
}

TEST(DynamicFiles, Meminfo) {
  EXPECT_EQ(meminfo_text("MemTotal:   10 kB\nHugePages_Total:       3\nHugePages_Free:        1\n"
                         "HugePages_Rsvd:        1\nHugepagesize:  2048 kB",
                         128),
            "MemTotal:   10 kB\nHugePages_Total:     128\nHugePages_Free:      128\n"
            "HugePages_Rsvd:        0\nHugepagesize:  2048 kB");
  EXPECT_EQ(meminfo_text("", 1), "");
}

TEST(DynamicFiles, Fdinfo) {
  FdinfoFacts facts;
  facts.open_flags = 02;
  facts.client_id = 7;
  facts.client_name = "me";
  facts.regions = {{"system", 8192, 0, 0, 4096, 0}, {"vram0", 2 << 20, 0, 0, 1000, {}}};
  facts.engines = {{EngineClass::kRender, 5, 10, 1}, {EngineClass::kVideoDecode, 1, 10, 2}};
  const std::string text = fdinfo_text(facts);
  for (const char* line : {"flags:\t02\n", "drm-driver:\txe\n", "drm-client-id:\t7\n", "drm-pdev:\t0000:03:00.0\n",
                           "drm-client-name:\tme\n", "drm-total-system:\t8 KiB\n", "drm-resident-system:\t4 KiB\n",
                           "drm-purgeable-system:\t0\n", "drm-total-vram0:\t2 MiB\n", "drm-resident-vram0:\t1000\n",
                           "drm-cycles-rcs:\t5\n", "drm-total-cycles-rcs:\t10\n", "drm-engine-capacity-vcs:\t2\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line;
  EXPECT_EQ(text.find("drm-purgeable-vram0"), std::string::npos);
  EXPECT_EQ(text.find("drm-engine-capacity-rcs"), std::string::npos);
}

TEST(DynamicFiles, PatListHasEveryEntryAndThePicks) {
  const std::string text = pat_text(kProfileBmg, kProfileBmg.gts[0]);
  for (const char* line :
       {"PAT[ 0] = [ 0, 0, 0, 0, 3, 0 ]  (     0xc)\n", "PAT[16] = [ 0, 0, 0, 0, 0, 0 ]  (     0x0) *\n",
        "PAT[27] = ", "IDX[XE_CACHE_NONE] = 3\n", "IDX[XE_CACHE_WT] = 15\n", "IDX[XE_CACHE_WB] = 2\n",
        "IDX[XE_CACHE_NONE_COMPRESSION] = 12\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line;
  EXPECT_EQ(text.find("PAT[28]"), std::string::npos) << "no more than the ABI accepts";
  EXPECT_EQ(text.find("PAT[15] = [ 1, 1, 0, 1, 1, 0 ]  (   0x614) *"), std::string::npos);
  EXPECT_NE(text.find("PAT[15] = [ 1, 1, 0, 1, 1, 0 ]  (   0x614)\n"), std::string::npos);
}

}  // namespace
}  // namespace softxe
