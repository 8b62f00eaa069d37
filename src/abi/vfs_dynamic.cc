// Files made at open: which path is which, their text, and what a write does.
#include <fmt/format.h>

#include <charconv>

#include "abi/attribute_text.h"
#include "abi/fail_function.h"
#include "abi/vfs.h"

namespace softxe {
namespace {

/// Cuts `prefix` off the front of `text`; false and unchanged when it is not there.
bool eat(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}
bool eat_number(std::string_view& text, std::uint32_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}
bool eat_gt(std::string_view& text, std::uint16_t& gt) {
  std::uint32_t number = 0;
  if (!eat(text, "gt") || !eat_number(text, number) || !eat(text, "/")) return false;
  gt = static_cast<std::uint16_t>(number);
  return true;
}

std::optional<DynamicFile> find_property(std::string_view rest, DynamicFile file) {
  bool found = false;
  for (unsigned c = 0; c < kEngineClasses && !found; ++c) {
    file.cls = static_cast<EngineClass>(c);
    found = eat(rest, fmt::format("{}/", engine_class_name(file.cls)));
  }
  if (!found) return std::nullopt;
  if (eat(rest, "job_timeout_"))
    file.property = EngineProperty::kJobTimeoutMs;
  else if (eat(rest, "timeslice_duration_"))
    file.property = EngineProperty::kTimesliceUs;
  else if (eat(rest, "preempt_timeout_"))
    file.property = EngineProperty::kPreemptTimeoutUs;
  else
    return std::nullopt;
  file.kind = DynamicKind::kEngineProperty;
  const char* unit = file.property == EngineProperty::kJobTimeoutMs ? "ms" : "us";
  if (rest == unit)
    file.bound = PropertyBound::kValue;
  else if (rest == "min")
    file.bound = PropertyBound::kMin;
  else if (rest == "max")
    file.bound = PropertyBound::kMax;
  else
    return std::nullopt;
  return file;
}

template <typename Value>
struct Named {
  std::string_view name;
  Value value;
};
/// The value of that name in the table; null: none.
template <typename Value, std::size_t N>
const Value* find_named(std::string_view name, const Named<Value> (&table)[N]) {
  for (const Named<Value>& row : table)
    if (row.name == name) return &row.value;
  return nullptr;
}

std::optional<DynamicFile> find_frequency(std::string_view name, DynamicFile file) {
  constexpr Named<FrequencyFile> kNames[] = {{"cur_freq", FrequencyFile::kCurrent},
                                             {"act_freq", FrequencyFile::kActual},
                                             {"min_freq", FrequencyFile::kMin},
                                             {"max_freq", FrequencyFile::kMax}};
  const FrequencyFile* found = find_named(name, kNames);
  if (found == nullptr) return std::nullopt;
  file.kind = DynamicKind::kGtFrequency;
  file.frequency = *found;
  return file;
}

std::optional<DynamicFile> of_kind(const DynamicKind* kind, DynamicFile file) {
  if (kind == nullptr) return std::nullopt;
  file.kind = *kind;
  return file;
}

DynamicFile power_file(PowerFile power, DynamicFile file) {
  file.kind = DynamicKind::kPower;
  file.power = power;
  return file;
}

std::optional<DynamicFile> find_in_sysfs(std::string_view rest, DynamicFile file) {
  if (const auto power = find_power_file(rest)) return power_file(*power, file);
  std::uint32_t tile = 0;
  if (!eat(rest, "/tile") || !eat_number(rest, tile) || !eat(rest, "/") || !eat_gt(rest, file.gt)) return std::nullopt;
  if (eat(rest, "freq0/")) return find_frequency(rest, file);
  if (eat(rest, "engines/")) return find_property(rest, file);
  constexpr Named<DynamicKind> kGtFiles[] = {{"gtidle/idle_status", DynamicKind::kGtIdleStatus},
                                             {"gtidle/idle_residency_ms", DynamicKind::kGtIdleResidency}};
  return of_kind(find_named(rest, kGtFiles), file);
}

std::optional<DynamicFile> find_in_debugfs(std::string_view rest, DynamicFile file) {
  constexpr Named<DynamicKind> kDeviceFiles[] = {{"clients", DynamicKind::kClients},
                                                 {"wedged_mode", DynamicKind::kWedgedMode},
                                                 {"forcewake_all", DynamicKind::kForcewake},
                                                 {"atomic_svm_timeslice_ms", DynamicKind::kAtomicTimeslice}};
  constexpr Named<DynamicKind> kGtFiles[] = {{"stats", DynamicKind::kGtStats},
                                             {"force_reset", DynamicKind::kGtForceReset},
                                             {"force_reset_sync", DynamicKind::kGtForceResetSync}};
  if (const DynamicKind* kind = find_named(rest, kDeviceFiles)) return of_kind(kind, file);
  if (std::string_view fault = rest; eat(fault, "fail_gt_reset/")) {
    const auto attribute = find_fault_attribute(fault);
    if (!attribute) return std::nullopt;
    file.kind = DynamicKind::kResetFault;
    file.fault = *attribute;
    return file;
  }
  std::uint32_t tile = 0;
  std::string_view vram = rest;
  if ((eat(vram, "vram") && eat_number(vram, tile) && vram == "_mm") ||
      (vram = rest, eat(vram, "tile") && eat_number(vram, tile) && vram == "/vram_mm")) {
    file.kind = DynamicKind::kVramManager;
    file.gt = static_cast<std::uint16_t>(tile);
    return file;
  }
  if (!eat_gt(rest, file.gt)) return std::nullopt;
  return of_kind(find_named(rest, kGtFiles), file);
}

std::string vram_text(const DeviceConfig& device, const RegionUse& use) {
  return fmt::format(
      "  use_type: 1\n  use_tt: 0\n  size: {}\n  usage: {}\ndefault_page_size: {}KiB\n"
      "ram_block size: {}\nvisible size: {}\nvisible usage: {}\n",
      device.vram_bytes, use.used_bytes, device.profile->vram_page_bytes() / 1024, device.vram_bytes,
      device.visible_bytes, use.visible_used_bytes);
}

std::uint64_t vram_used(const DeviceConfig& device, const DeviceFiles& files) {
  std::uint64_t used = 0;
  for (std::uint32_t tile = 0; tile < device.profile->tiles; ++tile) used += files.region_use(tile + 1).used_bytes;
  return used;
}

std::string clients_text(const std::vector<DrmClient>& clients) {
  std::string text =
      fmt::format("{:>20} {:>5} {:>3} {} {} {:>5} {:>10}\n", "command", "tgid", "dev", "master", "a", "uid", "magic");
  for (const DrmClient& c : clients)
    text += fmt::format("{:>20} {:>5} {:>3} {:>6} {} {:>5} {:>10}\n", c.command, c.pid, c.minor, "n", "y", c.uid, 0);
  return text;
}

/// "drm-total-vram0:	16 KiB": in the largest of the units B, KiB, MiB that divides it.
void append_bytes(std::string& text, std::string_view key, const char* region, std::uint64_t bytes) {
  const char* unit = "";
  for (const char* larger : {" KiB", " MiB"}) {
    if (bytes == 0 || bytes % 1024 != 0) break;
    bytes /= 1024;
    unit = larger;
  }
  text += fmt::format("drm-{}-{}:\t{}{}\n", key, region, bytes, unit);
}

}  // namespace

std::optional<std::uint32_t> find_slot(std::string_view text, std::size_t count) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  for (std::uint32_t device = 0; device < count; ++device)
    if (text == pci_slot(device)) return device;
  return std::nullopt;
}

std::optional<DynamicFile> find_dynamic(std::string_view path, std::span<const DeviceConfig> devices) {
  if (path == "/proc/meminfo") return DynamicFile{.kind = DynamicKind::kMeminfo};
  if (path == "/sys/bus/pci/drivers/xe/bind") return DynamicFile{.kind = DynamicKind::kBind};
  if (path == "/sys/bus/pci/drivers/xe/unbind") return DynamicFile{.kind = DynamicKind::kUnbind};
  if (const auto file = find_fail_file(path)) return DynamicFile{.kind = DynamicKind::kFailFunction, .fail = *file};
  for (const DeviceConfig& device : devices) {
    DynamicFile file;
    file.device = device.index;
    std::string_view rest = path;
    if (eat(rest, pci_directory(device.index))) return find_in_sysfs(rest, file);
    if (eat(rest, bridge_directory(device.index))) {
      const auto power = find_bridge_power_file(rest);
      if (!power) return std::nullopt;
      return power_file(*power, file);
    }
    if (eat(rest, fmt::format("/sys/kernel/debug/dri/{}/", device.index))) return find_in_debugfs(rest, file);
  }
  return std::nullopt;
}

PropertyLimits& EngineSettings::of(EngineProperty property) {
  switch (property) {
    case EngineProperty::kJobTimeoutMs: return job_timeout_ms;
    case EngineProperty::kTimesliceUs: return timeslice_us;
    case EngineProperty::kPreemptTimeoutUs: break;
  }
  return preempt_timeout_us;
}
const PropertyLimits& EngineSettings::of(EngineProperty property) const {
  return const_cast<EngineSettings*>(this)->of(property);
}

Status write_engine_setting(EngineSettings& settings, const DynamicFile& file, std::string_view text) {
  const auto number = parse_number(text);
  if (!number) return fail(EINVAL, "not a number");
  const EngineSettings build;
  const PropertyLimits& hard = build.of(file.property);
  PropertyLimits& limits = settings.of(file.property);
  switch (file.bound) {
    case PropertyBound::kValue:
      if (*number < limits.min || *number > limits.max) return fail(EINVAL, "outside the limits of the engine class");
      limits.value = *number;
      return {};
    case PropertyBound::kMin:
      if (*number < hard.min || *number > limits.max) return fail(EINVAL, "minimum outside the build-time limits");
      limits.min = *number;
      return {};
    case PropertyBound::kMax:
      if (*number > hard.max || *number < limits.min) return fail(EINVAL, "maximum outside the build-time limits");
      limits.max = *number;
      return {};
  }
  return fail(EINVAL, "unknown bound");
}

std::uint32_t frequency_mhz(FrequencyFile file, const DeviceProfile& profile, FrequencyLimits limits, bool idle) {
  const std::uint32_t min = limits.min_mhz != 0 ? limits.min_mhz : profile.rpn_mhz;
  const std::uint32_t max = limits.max_mhz != 0 ? limits.max_mhz : profile.rp0_mhz;
  switch (file) {
    case FrequencyFile::kMin: return min;
    case FrequencyFile::kMax: return max;
    case FrequencyFile::kActual:
      if (idle) return 0;  // in C6 there is no clock
      break;
    case FrequencyFile::kCurrent: break;
  }
  return idle || max < min ? min : max;
}

Status write_frequency_limit(FrequencyLimits& limits, FrequencyFile file, const DeviceProfile& profile,
                             std::string_view text) {
  const auto number = parse_number(text);
  if (!number || *number < profile.rpn_mhz || *number > profile.rp0_mhz)
    return fail(EINVAL, "not a number between rpn_freq and rp0_freq");
  (file == FrequencyFile::kMin ? limits.min_mhz : limits.max_mhz) = *number;
  return {};
}

Result<std::string> read_dynamic(const DynamicFile& file, const DeviceConfig& device, const DeviceFiles& files) {
  switch (file.kind) {
    case DynamicKind::kGtStats: return stats_text(files.gt_counters(file.gt));
    case DynamicKind::kGtIdleStatus: return std::string(files.gt_idle(file.gt).idle ? "gt-c6\n" : "gt-c0\n");
    case DynamicKind::kGtIdleResidency: return fmt::format("{}\n", files.gt_idle(file.gt).residency_ms);
    case DynamicKind::kEngineProperty: {
      const EngineSettings settings = files.engine_settings(file.gt, file.cls);
      const PropertyLimits& limits = settings.of(file.property);
      const std::uint32_t number = file.bound == PropertyBound::kValue ? limits.value
                                   : file.bound == PropertyBound::kMin ? limits.min
                                                                       : limits.max;
      return fmt::format("{}\n", number);
    }
    case DynamicKind::kGtFrequency:
      return fmt::format("{}\n", frequency_mhz(file.frequency, *device.profile, files.frequency_limits(file.gt),
                                               files.gt_idle(file.gt).idle));
    case DynamicKind::kWedgedMode: return fmt::format("{}\n", files.wedged_mode());
    case DynamicKind::kAtomicTimeslice: return fmt::format("{}\n", files.atomic_timeslice_ms());
    case DynamicKind::kVramManager: return vram_text(device, files.region_use(file.gt + 1u));
    case DynamicKind::kClients: return clients_text(files.clients());
    case DynamicKind::kForcewake:
    case DynamicKind::kGtForceReset:
    case DynamicKind::kGtForceResetSync: return std::string();
    case DynamicKind::kBind:
    case DynamicKind::kUnbind: return fail(EACCES, "file is write-only");
    case DynamicKind::kResetFault: return files.reset_faults().read(file.fault);
    case DynamicKind::kPower: return read_power(file.power, files.power(), device, vram_used(device, files));
    case DynamicKind::kFailFunction: return fault_injection().read(file.fail);
    case DynamicKind::kMeminfo: break;
  }
  return fail(EINVAL, "not a file of a device");
}

Status write_dynamic(const DynamicFile& file, std::string_view text, const DeviceConfig& device, DeviceFiles& files) {
  switch (file.kind) {
    case DynamicKind::kGtStats:
    case DynamicKind::kGtForceReset:
    case DynamicKind::kGtForceResetSync: {
      const auto yes = parse_bool(text);
      if (!yes) return fail(EINVAL, "not a boolean");
      if (!*yes) return {};
      if (file.kind != DynamicKind::kGtStats)
        return files.reset_gt(
            file.gt, file.kind == DynamicKind::kGtForceReset ? ResetWait::kReturnAtOnce : ResetWait::kUntilDone);
      files.reset_gt_counters(file.gt);
      return {};
    }
    case DynamicKind::kEngineProperty: {
      EngineSettings settings = files.engine_settings(file.gt, file.cls);
      SX_TRY_VOID(write_engine_setting(settings, file, text));
      files.set_engine_settings(file.gt, file.cls, settings);
      return {};
    }
    case DynamicKind::kGtFrequency: {
      if (file.frequency != FrequencyFile::kMin && file.frequency != FrequencyFile::kMax)
        return fail(EACCES, "not a limit");
      FrequencyLimits limits = files.frequency_limits(file.gt);
      SX_TRY_VOID(write_frequency_limit(limits, file.frequency, *device.profile, text));
      files.set_frequency_limits(file.gt, limits);
      return {};
    }
    case DynamicKind::kWedgedMode:
    case DynamicKind::kAtomicTimeslice: {
      const auto number = parse_number(text);
      if (!number) return fail(EINVAL, "not a number");
      if (file.kind == DynamicKind::kAtomicTimeslice) {
        files.set_atomic_timeslice_ms(*number);
        return {};
      }
      if (*number > 2) return fail(EINVAL, "wedged mode is 0, 1 or 2");
      files.set_wedged_mode(*number);
      return {};
    }
    case DynamicKind::kBind: return files.bind();
    case DynamicKind::kUnbind: return files.unbind();
    case DynamicKind::kResetFault: return files.reset_faults().write(file.fault, text);
    case DynamicKind::kPower: return write_power(file.power, text, files.power(), device);
    case DynamicKind::kFailFunction: return fault_injection().write(file.fail, text);
    default: return fail(EACCES, "file is read-only");
  }
}

std::string stats_text(const CounterSet& counters) {
  std::string text;
  for (std::size_t i = 0; i < kKernelCounterCount; ++i)
    text += fmt::format("{}: {}\n", kCounterNames[i], counters.get(static_cast<Counter>(i)));
  return text;
}

std::string meminfo_text(std::string_view real, std::uint64_t huge_pages) {
  std::string text;
  while (!real.empty()) {
    const std::size_t end = std::min(real.find('\n'), real.size() - 1);
    const std::string_view line = real.substr(0, end + 1);
    real.remove_prefix(end + 1);
    if (line.starts_with("HugePages_Total:") || line.starts_with("HugePages_Free:"))
      text += fmt::format("{:<16}{:>8}\n", line.substr(0, line.find(':') + 1), huge_pages);
    else if (line.starts_with("HugePages_Rsvd:") || line.starts_with("HugePages_Surp:"))
      text += fmt::format("{:<16}{:>8}\n", line.substr(0, line.find(':') + 1), 0);
    else
      text += line;
  }
  return text;
}

std::string fdinfo_text(const FdinfoFacts& facts) {
  std::string text = fmt::format(
      "pos:\t0\nflags:\t0{:o}\nmnt_id:\t26\nino:\t{}\ndrm-driver:\txe\ndrm-client-id:\t{}\n"
      "drm-pdev:\t{}\n",
      facts.open_flags, 500 + facts.device, facts.client_id, pci_slot(facts.device));
  if (!facts.client_name.empty()) text += fmt::format("drm-client-name:\t{}\n", facts.client_name);
  for (const FdinfoRegion& r : facts.regions) {
    append_bytes(text, "total", r.name, r.total_bytes);
    append_bytes(text, "shared", r.name, r.shared_bytes);
    append_bytes(text, "active", r.name, r.active_bytes);
    append_bytes(text, "resident", r.name, r.resident_bytes);
    if (r.purgeable_bytes) append_bytes(text, "purgeable", r.name, *r.purgeable_bytes);
  }
  for (const FdinfoEngine& e : facts.engines) {
    const char* name = engine_class_name(e.cls);
    text += fmt::format("drm-cycles-{}:\t{}\ndrm-total-cycles-{}:\t{}\n", name, e.cycles, name, e.total_cycles);
    if (e.capacity > 1) text += fmt::format("drm-engine-capacity-{}:\t{}\n", name, e.capacity);
  }
  return text;
}

}  // namespace softxe
