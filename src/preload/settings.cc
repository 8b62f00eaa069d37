#include "preload/settings.h"

#include <sched.h>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/log.h"
#include "base/raw_syscall.h"
#include "drv/check_config.h"
#include "hw/eu/eu_trace.h"
#include "hw/eu/eu_units.h"

namespace softxe::preload {
namespace {

std::string_view variable(const char* name) {
  const char* text = getenv(name);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

/// A variable with a number, and what is said when it holds something else.
struct NumberVariable {
  const char* name;
  const char* wrong;
};
constexpr NumberVariable kVram{"SOFTXE_VRAM", "SOFTXE_VRAM is not a size such as 512M"};
constexpr NumberVariable kVisible{"SOFTXE_VISIBLE", "SOFTXE_VISIBLE is not a size such as 256M"};
constexpr NumberVariable kEuThreads{"SOFTXE_EU_THREADS", "SOFTXE_EU_THREADS is 1 to 32"};
constexpr NumberVariable kDevices{"SOFTXE_DEVICES", "SOFTXE_DEVICES is 1 to 8"};

Status read_number(const NumberVariable& from, std::uint64_t& number) {
  if (variable(from.name).empty()) return {};
  const auto parsed = parse_size(variable(from.name));
  if (!parsed) return fail(EINVAL, from.wrong);
  number = *parsed;
  return {};
}

Status read_eu_trace() {
  const std::string_view text = variable("SOFTXE_EU_TRACE");
  if (text.empty()) return {};
  SX_TRY(const EuTraceChoice choice, eu_parse_trace(text));
  eu_set_trace(choice);
  return {};
}

/// The processors this process may use when the variable does not say otherwise.
Status read_eu_threads(Settings& settings) {
  std::uint64_t threads = 0;
  SX_TRY_VOID(read_number(kEuThreads, threads));
  if (threads > kEuWorkersMax) return fail(EINVAL, kEuThreads.wrong);
  if (threads == 0) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    // More processors than the set can name are enough in any case.
    const bool known = errno_of(raw_syscall(SYS_sched_getaffinity, 0, sizeof allowed, &allowed)) == 0;
    threads = known ? static_cast<std::uint64_t>(CPU_COUNT(&allowed)) : kEuWorkersMax;
  }
  settings.eu_threads = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(threads, 1, kEuWorkersMax));
  return {};
}

Status read_modes(Settings& settings) {
  const std::string_view reset = variable("SOFTXE_AUTORESET");
  if (reset == "always") {
    settings.reset = ResetMode::kAlways;
  } else if (reset == "exact") {
    settings.reset = ResetMode::kExact;
  } else if (!reset.empty() && reset != "flag") {
    return fail(EINVAL, "SOFTXE_AUTORESET is flag, always or exact");
  }
  const std::string_view dma = variable("SOFTXE_DMA");
  if (!dma.empty() && dma != "move" && dma != "copy") {
    return fail(EINVAL, "SOFTXE_DMA is move or copy");
  }
  settings.copy_dma = dma == "copy";
  const std::string_view rung = variable("SOFTXE_RUNG");
  bool known = rung.empty();
  for (const auto one : {live::Rung::kNone, live::Rung::kUserOnly, live::Rung::kFull}) {
    if (rung != live::rung_name(one)) continue;
    settings.highest_rung = one;
    known = true;
  }
  if (!known) return fail(EINVAL, "SOFTXE_RUNG is full, user-only or none");
  return {};
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end == text.data()) return fail(EINVAL, "not a size");
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  unsigned shift = 0;
  if (!text.empty()) {
    constexpr std::string_view kUnits = "KMGT";
    const auto unit = kUnits.find(text[0] >= 'a' ? static_cast<char>(text[0] - 32) : text[0]);
    if (unit == std::string_view::npos) return fail(EINVAL, "unknown unit of a size");
    shift = static_cast<unsigned>(unit + 1) * 10;
    text.remove_prefix(1);
    if (text == "iB" || text == "B") text = {};
  }
  if (!text.empty() || number > (~0ull >> shift)) return fail(EINVAL, "not a size");
  return number << shift;
}

Result<Settings> read_settings() {
  Settings settings;
  set_log_level(parse_log_level(getenv("SOFTXE_LOG")));
  settings.run_dir = variable("SOFTXE_RUN_DIR");
  if (settings.run_dir.empty()) return fail(EINVAL, "SOFTXE_RUN_DIR is not set");
  if (const auto name = variable("SOFTXE_PROFILE"); !name.empty()) {
    SX_TRY(settings.profile, find_profile(name));
  }
  SX_TRY_VOID(read_number(kVram, settings.vram_bytes));
  SX_TRY_VOID(read_number(kVisible, settings.visible_bytes));
  SX_TRY_VOID(read_modes(settings));
  SX_TRY_VOID(read_eu_threads(settings));
  SX_TRY_VOID(read_eu_trace());
  settings.deterministic = variable("SOFTXE_DETERMINISTIC") == "1";
  std::uint64_t count = 1;
  SX_TRY_VOID(read_number(kDevices, count));
  if (count == 0 || count > kDevicesMax) return fail(EINVAL, kDevices.wrong);
  for (std::uint32_t index = 0; index < count; ++index) {
    DeviceConfig config = default_config(*settings.profile, index);
    if (settings.vram_bytes != 0 && config.vram_bytes != 0) {
      config.vram_bytes = config.visible_bytes = settings.vram_bytes;
    }
    if (settings.visible_bytes != 0 && config.vram_bytes != 0) config.visible_bytes = settings.visible_bytes;
    SX_TRY_VOID(check_config(config));
    settings.devices.push_back(config);
  }
  return settings;
}

}  // namespace softxe::preload
