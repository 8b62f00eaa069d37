// The virtual file tree as content: what a client finds in /dev/dri, /sys and debugfs when it looks at
// a device (spec/clients.md 1.3 and 2). No system call is intercepted here; src/preload does that.
//
// Three parts:
//   PathMap       pure string functions between client paths and paths of a shadow tree
//   build_tree()  every directory, file and link as a list of VfsNode; materialise() writes the list
//                 under a private directory as real files, so that readdir, openat, pread and seek
//                 need no help
//   DynamicFile   files whose text is made at open, or whose writes do something; in the shadow tree
//                 they are empty files that hold the place
//
// How the preload library opens a path: to_shadow(); open the shadow file; ask where it ended up
// (/proc/self/fd/N, then to_client()), because links lead there by many names; find_dynamic() of that
// physical path; when there is one, give the client a file with read_dynamic()'s text instead.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "abi/fail_function.h"
#include "abi/query.h"
#include "abi/vfs_power.h"
#include "base/counters.h"
#include "base/result.h"
#include "drv/profile.h"

namespace softxe {

// ---- paths ---------------------------------------------------------------------------------------

/// Translates between client paths and the shadow tree at `root`. Immutable: any thread.
class PathMap {
 public:
  explicit PathMap(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  /// Absolute client path -> shadow path; none when the real file is meant. The rest behind the
  /// redirected prefix is kept as it is (links and ".." are the kernel's business) unless ".."
  /// climbs out of the prefix on the way.
  std::optional<std::string> to_shadow(std::string_view client) const;
  /// Shadow path (for example from readlink of /proc/self/fd/N) -> client path; none when `path`
  /// is not in the shadow tree.
  std::optional<std::string> to_client(std::string_view path) const;
  /// The client path meant by (dirfd, name): `directory` is the client path of dirfd or the working
  /// directory. An absolute name wins; an empty one means the directory.
  static std::string join(std::string_view directory, std::string_view name);
  /// Without ".", "..", double and trailing slashes, by text alone.
  static std::string normalise(std::string_view path);
  /// True when a file in that place is softxe's, so O_CREAT must not make one and mount() succeeds.
  static bool is_redirected(std::string_view client);

 private:
  std::string root_;
};

/// Which file system a client must believe a redirected path is on. Different kinds have different
/// st_dev, and statfs gives their magic.
enum class FileSystemKind : std::uint8_t { kSysfs, kDebugfs, kConfigfs, kDev, kProc };
FileSystemKind file_system_of(std::string_view physical_client_path);
std::uint64_t file_system_magic(FileSystemKind kind);

/// /dev/dri/card0 and the like (physical path): character device 226:minor, mode 0660.
struct DeviceNode {
  std::uint32_t device = 0;
  std::uint32_t minor = 0;  ///< device, or 128 + device for the render node
  bool is_render() const { return minor >= 128; }
};
inline constexpr unsigned kDrmMajor = 226;
/// Each open of this file is a timeline (drv/exec/sw_sync.h).
inline constexpr std::string_view kSwSyncPath = "/sys/kernel/debug/sync/sw_sync";
std::optional<DeviceNode> find_device_node(std::string_view physical_client_path, std::size_t device_count);
/// "0000:03:00.0" of device 0.
std::string pci_slot(std::uint32_t device);
/// Client path of the node: what /proc/self/fd/N of a device file must read.
std::string device_node_path(const DeviceNode& node);

// ---- the tree ------------------------------------------------------------------------------------

enum class NodeKind : std::uint8_t { kDirectory, kFile, kLink, kDynamic };
struct VfsNode {
  std::string path;  ///< absolute client path
  NodeKind kind = NodeKind::kFile;
  std::string content;  ///< text of a file, relative target of a link
  mode_t mode = 0444;
  std::uint64_t sparse_bytes = 0;  ///< length of a file beyond its content
};

/// Parents before children, no path twice.
std::vector<VfsNode> build_tree(std::span<const DeviceConfig> devices);
/// Makes the tree under `root`, an existing empty directory.
Status materialise(std::span<const VfsNode> nodes, const std::string& root);
/// Removes `root` and everything in it.
Status remove_tree(const std::string& root);

/// Collects nodes and makes missing parents. Used by vfs_sysfs.cc and vfs_debugfs.cc.
class TreeBuilder {
 public:
  void directory(const std::string& path);
  void file(const std::string& path, std::string content, mode_t mode = 0444);
  void dynamic(const std::string& path, mode_t mode = 0444);
  void sparse(const std::string& path, std::uint64_t bytes);
  /// A relative link, so that readlink never shows the shadow root.
  void link(const std::string& path, const std::string& target);
  /// The same for a device's own folder above `path`, with its name in the link as sysfs has it
  /// ("../../../0000:03:00.0"): clients take the name from there.
  void device_link(const std::string& path, const std::string& folder);
  std::vector<VfsNode> take() { return std::move(nodes_); }

 private:
  /// False when the path is taken already; else its parents exist now.
  bool claim(const std::string& path);
  std::unordered_set<std::string> claimed_;
  std::vector<VfsNode> nodes_;
};
void add_sysfs(TreeBuilder& tree, const DeviceConfig& device);
void add_debugfs(TreeBuilder& tree, const DeviceConfig& device);
/// Directories in /sys/devices of the PCI device and of the port above it.
std::string pci_directory(std::uint32_t device);
std::string bridge_directory(std::uint32_t device);

enum class PciPower : std::uint8_t { kD0, kD3hot, kD3cold };
/// The first 256 bytes of configuration space.
std::string config_space(const DeviceConfig& device, PciPower power);

// ---- dynamic files -------------------------------------------------------------------------------

enum class DynamicKind : std::uint8_t {
  kGtStats,  ///< write a true boolean: reset
  kGtIdleStatus,
  kGtIdleResidency,
  kGtFrequency,       ///< of DynamicFile::frequency; the two limits can be written
  kForcewake,         ///< the GTs of the device are awake while it is open
  kGtForceReset,      ///< write true: reset, do not wait
  kGtForceResetSync,  ///< write true: reset, done on return
  kEngineProperty,
  kWedgedMode,
  kAtomicTimeslice,
  kVramManager,
  kClients,
  kResetFault,  ///< debugfs fail_gt_reset: DynamicFile::fault
  kBind,        ///< of the driver: the card is DynamicFile::device once its slot has been read
  kUnbind,
  kPower,         ///< DynamicFile::power
  kFailFunction,  ///< of the kernel's fault injection, for all devices: DynamicFile::fail
  kMeminfo,
};
enum class EngineProperty : std::uint8_t { kJobTimeoutMs, kTimesliceUs, kPreemptTimeoutUs };
enum class PropertyBound : std::uint8_t { kValue, kMin, kMax };
enum class FrequencyFile : std::uint8_t { kCurrent, kActual, kMin, kMax };

struct DynamicFile {
  DynamicKind kind = DynamicKind::kMeminfo;
  std::uint32_t device = 0;
  std::uint16_t gt = 0;  ///< kVramManager: the tile
  EngineClass cls = EngineClass::kRender;
  EngineProperty property = EngineProperty::kJobTimeoutMs;
  PropertyBound bound = PropertyBound::kValue;
  FrequencyFile frequency = FrequencyFile::kCurrent;
  FaultAttribute fault = FaultAttribute::kProbability;
  FailFile fail{};
  PowerFile power = PowerFile::kControl;
};
/// Which of `count` devices has this PCI slot, which a newline may follow.
std::optional<std::uint32_t> find_slot(std::string_view text, std::size_t count);
/// By physical client path; none: serve the shadow file (or the real one) as it is.
std::optional<DynamicFile> find_dynamic(std::string_view physical_client_path, std::span<const DeviceConfig> devices);

struct PropertyLimits {
  std::uint32_t value = 0;
  std::uint32_t min = 0;
  std::uint32_t max = 0;
};
/// Scheduling defaults of one engine class of one GT, as sysfs shows them.
struct EngineSettings {
  PropertyLimits job_timeout_ms{5000, 1, 10'000};
  PropertyLimits timeslice_us{1000, 1, 10'000'000};
  PropertyLimits preempt_timeout_us{640'000, 1, 10'000'000};

  PropertyLimits& of(EngineProperty property);
  const PropertyLimits& of(EngineProperty property) const;
};
/// Applies a write; EINVAL when the number is malformed, outside [min, max], or a bound outside the
/// build-time limits.
Status write_engine_setting(EngineSettings& settings, const DynamicFile& file, std::string_view text);

/// What the client asks the GT's clock to keep to, in MHz. 0: the profile's own limit.
struct FrequencyLimits {
  std::uint32_t min_mhz = 0;
  std::uint32_t max_mhz = 0;
};
/// What a frequency file reads. The clock follows the load at once: the minimum without work, the maximum with it. A
/// maximum below the minimum makes the minimum a fixed request, as Xe's firmware does.
std::uint32_t frequency_mhz(FrequencyFile file, const DeviceProfile& profile, FrequencyLimits limits, bool idle);
/// Applies a write to kMin or kMax. EINVAL: not a number, or outside [RPn, RP0].
Status write_frequency_limit(FrequencyLimits& limits, FrequencyFile file, const DeviceProfile& profile,
                             std::string_view text);

enum class ResetWait : std::uint8_t { kReturnAtOnce, kUntilDone };
struct GtIdle {
  bool idle = true;
  std::uint64_t residency_ms = 0;
};
struct DrmClient {
  std::string command;
  std::int32_t pid = 0;
  std::uint32_t minor = 0;
  std::uint32_t uid = 0;
};

/// What the dynamic files of one device need from it. Called without locks held.
class DeviceFiles {
 public:
  virtual ~DeviceFiles() = default;
  virtual const CounterSet& gt_counters(std::uint16_t gt) const = 0;
  virtual void reset_gt_counters(std::uint16_t gt) = 0;
  virtual GtIdle gt_idle(std::uint16_t gt) const = 0;
  virtual Status reset_gt(std::uint16_t gt, ResetWait wait) = 0;
  virtual EngineSettings engine_settings(std::uint16_t gt, EngineClass cls) const = 0;
  virtual void set_engine_settings(std::uint16_t gt, EngineClass cls, const EngineSettings&) = 0;
  virtual FrequencyLimits frequency_limits(std::uint16_t gt) const = 0;
  virtual void set_frequency_limits(std::uint16_t gt, FrequencyLimits) = 0;
  virtual std::uint32_t wedged_mode() const = 0;
  virtual void set_wedged_mode(std::uint32_t mode) = 0;
  virtual std::uint32_t atomic_timeslice_ms() const = 0;
  virtual void set_atomic_timeslice_ms(std::uint32_t ms) = 0;
  virtual RegionUse region_use(std::uint32_t region) const = 0;
  virtual std::vector<DrmClient> clients() const = 0;
  virtual RuntimePm& power() const = 0;
  virtual FaultAttributes& reset_faults() const = 0;
  /// ENODEV: it is not bound. EBUSY: it is.
  virtual Status unbind() = 0;
  virtual Status bind() = 0;
};

/// Text of a dynamic file now. kMeminfo is not a device's: see meminfo_text().
Result<std::string> read_dynamic(const DynamicFile& file, const DeviceConfig& device, const DeviceFiles& files);
/// Effect of a write; EINVAL malformed, EACCES for a file that cannot be written.
Status write_dynamic(const DynamicFile& file, std::string_view text, const DeviceConfig& device, DeviceFiles& files);

/// Lines "name: value" in the order of spec/svm.md 9.1.
std::string stats_text(const CounterSet& counters);
/// debugfs gt0/pat_sw_config.
std::string pat_text(const DeviceProfile& profile, const GtFact& gt);
/// The real /proc/meminfo with its huge page counts replaced by `huge_pages`, all free.
std::string meminfo_text(std::string_view real, std::uint64_t huge_pages);

// ---- fdinfo --------------------------------------------------------------------------------------

struct FdinfoRegion {
  const char* name = "";  ///< system, gtt, vram0, vram1, stolen
  std::uint64_t total_bytes = 0;
  std::uint64_t shared_bytes = 0;
  std::uint64_t active_bytes = 0;
  std::uint64_t resident_bytes = 0;
  std::optional<std::uint64_t> purgeable_bytes{};
};
struct FdinfoEngine {
  EngineClass cls = EngineClass::kRender;
  std::uint64_t cycles = 0;
  std::uint64_t total_cycles = 0;
  std::uint32_t capacity = 1;
};
struct FdinfoFacts {
  std::uint32_t open_flags = 0;
  std::uint32_t device = 0;
  std::uint64_t client_id = 0;
  std::string client_name;  ///< empty: no line
  std::vector<FdinfoRegion> regions;
  std::vector<FdinfoEngine> engines;
};
std::string fdinfo_text(const FdinfoFacts& facts);

}  // namespace softxe
