// debugfs of one device (spec/clients.md section 2, spec/svm.md 9).
#include <fmt/format.h>

#include "abi/vfs.h"

namespace softxe {
namespace {

const char* yes_no(bool value) { return value ? "yes" : "no"; }

/// " vcs vecs".
std::string class_list(std::uint32_t classes) {
  std::string text;
  for (unsigned c = 0; c < kEngineClasses; ++c)
    if (classes >> c & 1u) text.append(" ").append(engine_class_name(static_cast<EngineClass>(c)));
  return text;
}

std::string info_text(const DeviceProfile& p) {
  std::string text = fmt::format(
      "graphics_verx100 {}\ndevid 0x{:04x}\nrevid {}\nis_dgfx {}\ntile_count {}\nvm_max_level {}\n"
      "force_execlist no\nhas_flat_ccs {}\nhas_usm {}\nskip_guc_pc no\n"
      "multi_lrc_engine_classes:{}\n",
      p.graphics_version * 100 + p.gts[0].ip.minor, p.pci_device, p.pci_revision, yes_no(p.has(DeviceFact::kDiscrete)),
      p.tiles, p.page_table_levels - 1, yes_no(p.has(DeviceFact::kFlatCcs)), yes_no(p.has(DeviceFact::kUsm)),
      class_list(p.multi_lrc_classes));
  // Where there are no groups the empty list stays: without the line IGT assumes copy and compute.
  for (const GtFact& gt : p.gts)
    text += fmt::format("gt{} force wake 0\ngt{} multi_queue_engine_classes:{}\n", gt.id, gt.id,
                        class_list(gt.type == GtType::kMain ? p.multi_queue_classes : 0));
  return text;
}

std::string topology_text(const GtFact& gt) {
  return fmt::format(
      "dss mask (geometry): {:016x}\ndss mask (compute):  {:016x}\n"
      "EU mask per DSS:     {:08x}\nL3 bank mask:        {:016x}\n",
      gt.dss_geometry, gt.dss_compute, gt.eus_per_dss, gt.l3_banks);
}

std::string engines_text(const DeviceProfile& p, const GtFact& gt) {
  std::string text;
  for (const EngineFact& engine : p.engines)
    if (engine.gt == gt.id)
      text += fmt::format("{}{} (physical), logical instance={}\n", engine_class_name(engine.cls), engine.instance,
                          engine.instance);
  return text;
}

void add_gt(TreeBuilder& tree, const std::string& device_dir, const DeviceProfile& p, const GtFact& gt) {
  const std::string dir = fmt::format("{}/gt{}", device_dir, gt.id);
  tree.dynamic(dir + "/stats", 0644);
  tree.dynamic(dir + "/force_reset", 0644);
  tree.dynamic(dir + "/force_reset_sync", 0644);
  tree.file(dir + "/pat_sw_config", pat_text(p, gt));
  tree.file(dir + "/pat", pat_text(p, gt));
  tree.file(dir + "/topology", topology_text(gt));
  tree.file(dir + "/hw_engines", engines_text(p, gt));
  for (const char* name : {"register-save-restore", "register-save-restore-check", "workarounds", "tunings", "mocs",
                           "ggtt", "steering", "powergate_info", "sa_info"})
    tree.file(dir + "/" + name, "");
  for (const char* cls : {"rcs", "ccs", "bcs", "vcs", "vecs"}) tree.file(dir + "/default_lrc_" + cls, "");
  for (const char* name : {"guc_info", "huc_info", "guc_log", "guc_ctb", "guc_pc"}) tree.file(dir + "/uc/" + name, "");
}

/// "[ 0, 0, 0, 3, 3, 0 ]" of a register in one of the two newer layouts.
std::string pat_fields(PatLayout layout, std::uint32_t value) {
  const std::string compressed = layout == PatLayout::kXe2 ? fmt::format(" {},", value >> 9 & 1) : std::string();
  return fmt::format("[ {},{} {}, {}, {}, {} ]", value >> 10 & 1, compressed, value >> 6 & 3, value >> 4 & 3,
                     value >> 2 & 3, value & 3);
}

}  // namespace

std::string pat_text(const DeviceProfile& p, const GtFact& gt) {
  std::string text = "PAT table: (* = reserved entry)\n";
  // As many as the ABI accepts: clients take the last one for the highest valid index.
  for (std::size_t i = 0; i < p.pat_entries; ++i) {
    const PatEntry& e = p.pat[i];
    const char* reserved = e.state == PatState::kReserved ? " *" : "";
    if (p.pat_layout == PatLayout::kTypes)
      text += fmt::format("PAT[{:2}] = [ {}, {} ]  ({:>#8x}){}\n", i, e.value & 3, e.value >> 2, e.value, reserved);
    else
      text += fmt::format("PAT[{:2}] = {}  ({:>#8x}){}\n", i, pat_fields(p.pat_layout, e.value), e.value, reserved);
  }
  if (p.pat_layout != PatLayout::kTypes) {
    constexpr std::uint32_t kAts = 0xf;
    text += fmt::format("Page Table Access:\nPTA_MODE= {}  ({:>#8x})\n", pat_fields(p.pat_layout, gt.pat_of_tables),
                        gt.pat_of_tables);
    text += fmt::format("PCIe ATS entry:\nPAT_ATS = {}  ({:>#8x})\n", pat_fields(p.pat_layout, kAts), kAts);
  }
  text += fmt::format("IDX[XE_CACHE_NONE] = {}\nIDX[XE_CACHE_WT] = {}\nIDX[XE_CACHE_WB] = {}\n", p.picks.uncached,
                      p.picks.write_through, p.picks.write_back);
  if (p.picks.uncached_compressed != 0xff)
    text += fmt::format("IDX[XE_CACHE_NONE_COMPRESSION] = {}\n", p.picks.uncached_compressed);
  if (p.picks.write_back_compressed != 0xff)
    text += fmt::format("IDX[XE_CACHE_WB_COMPRESSION] = {}\n", p.picks.write_back_compressed);
  return text;
}

void add_debugfs(TreeBuilder& tree, const DeviceConfig& device) {
  const DeviceProfile& p = *device.profile;
  const std::string slot = pci_slot(device.index);
  const std::string dir = fmt::format("/sys/kernel/debug/dri/{}", device.index);
  tree.file(dir + "/name", fmt::format("xe dev={} unique={}\n", slot, slot));
  tree.file(dir + "/info", info_text(p));
  tree.dynamic(dir + "/clients");
  tree.dynamic(dir + "/wedged_mode", 0644);
  for (const std::string_view name : kFaultAttributeNames)
    tree.dynamic(fmt::format("{}/fail_gt_reset/{}", dir, name), 0600);
  tree.dynamic(dir + "/atomic_svm_timeslice_ms", 0644);
  tree.dynamic(dir + "/forcewake_all", 0400);
  for (const char* name : {"gem_names", "gtt_mm", "workarounds", "sriov_info"}) tree.file(dir + "/" + name, "");
  tree.file(dir + "/page_reclaim_hw_assist", p.has(DeviceFact::kPageReclaim) ? "1\n" : "0\n", 0644);
  if (p.has(DeviceFact::kDiscrete)) {
    tree.file(dir + "/dgfx_pkg_residencies",
              "PACKAGE_G2: 0\nPACKAGE_G6: 0\nPACKAGE_G8: 0\n"
              "PACKAGE_G10: 0\nMODS: 0\n");
    tree.file(dir + "/dgfx_pcie_link_residencies",
              "PCIE LINK L0 RESIDENCY: 0\nPCIE LINK L1 RESIDENCY: 0\nPCIE LINK L1.2 RESIDENCY: 0\n");
  }
  for (unsigned t = 0; t < p.tiles; ++t) {
    tree.file(fmt::format("{}/tile{}/ggtt", dir, t), "");
    tree.file(fmt::format("{}/tile{}/sa_info", dir, t), "");
    if (!p.has(DeviceFact::kDiscrete)) continue;
    tree.dynamic(fmt::format("{}/vram{}_mm", dir, t));
    tree.dynamic(fmt::format("{}/tile{}/vram_mm", dir, t));
  }
  for (const GtFact& gt : p.gts) add_gt(tree, dir, p, gt);
  tree.link("/sys/kernel/debug/dri/" + slot, dir);
  tree.link(fmt::format("/sys/kernel/debug/dri/{}", device.index + 128), dir);
}

}  // namespace softxe
