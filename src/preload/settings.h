// What `softxe run` told this process through the environment (docs: softxe run --help). Read once, in the
// constructor; constant from then on.
//
//   SOFTXE_ACTIVE=1     without it the library does nothing at all
//   SOFTXE_RUN_DIR      folder of the run: tree/ (shadow files), slots (counters)
//   SOFTXE_DEVICES, SOFTXE_PROFILE, SOFTXE_VRAM, SOFTXE_VISIBLE, SOFTXE_AUTORESET, SOFTXE_DMA, SOFTXE_LOG
//   SOFTXE_EU_THREADS     host threads that run the groups of one kernel; without it, one per processor
//   SOFTXE_DETERMINISTIC=1  collector passes where the client's own requests and faults run them, never beside them
//   SOFTXE_RUNG=full|user-only|none  the highest rung of live memory to climb to (for tests and for trying what
//                         a program does on a machine that allows less); the report says where it stands
//   SOFTXE_HOOKS=symbols  leave libc's code alone, as on a libc that cannot be patched (for tests)
#pragma once

#include <span>
#include <string>
#include <vector>

#include "abi/vfs.h"
#include "drv/profile.h"
#include "host/live/uffd.h"
#include "vm/vm.h"

namespace softxe::preload {

inline constexpr unsigned kDevicesMax = 8;
/// In ASAN_OPTIONS of every program of a run: the runtime that gcc links programs to with -fsanitize=address insists on
/// being the first library else.
inline constexpr const char* kAsanOption = "verify_asan_link_order=0";

struct Settings {
  std::string run_dir;
  std::vector<DeviceConfig> devices;
  const DeviceProfile* profile = &kProfileBmg;
  std::uint64_t vram_bytes = 0;     ///< 0: the profile's
  std::uint64_t visible_bytes = 0;  ///< 0: all
  ResetMode reset = ResetMode::kFlag;
  bool copy_dma = false;
  std::uint32_t eu_threads = 1;  ///< host threads for the groups of one kernel
  bool deterministic = false;    ///< no collector thread
  live::Rung highest_rung = live::Rung::kFull;
};

/// "512M", "4G", "0x1000": bytes; EINVAL.
Result<std::uint64_t> parse_size(std::string_view text);
/// From the environment. EINVAL with the variable's name.
Result<Settings> read_settings();

}  // namespace softxe::preload
