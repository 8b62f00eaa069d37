#include "drv/device.h"

#include "base/log.h"
#include "base/step.h"
#include "base/turns.h"
#include "svm/self_check.h"

namespace softxe {

Device::Device(HostMm& host, MigrateLock& migrate_lock, const DeviceOptions& options)
    : host_(host), migrate_lock_(migrate_lock), options_(options) {
  CounterWords& words = options_.counters != nullptr ? *options_.counters : own_words_;
  counters_ = std::make_unique<CounterSet>(words, nullptr, owner(0));
  faults_ = std::make_unique<FaultService>(
      FaultService::Config{.vms = asids_, .atomic_timeslice_ns = atomic_timeslice_ns_, .counters = *counters_});
}

Result<std::unique_ptr<Device>> Device::create(HostMm& host, MigrateLock& migrate_lock, const DeviceOptions& options) {
  std::unique_ptr<Device> device(new Device(host, migrate_lock, options));
  SX_TRY_VOID(device->tables_.ready());
  SX_TRY_VOID(device->make_tiles());
  Device* raw = device.get();
  device->gc_ = std::make_unique<GcWorker>(options.collector, options.start_thread, [raw] {
    raw->for_each_vm([raw](VmContext& context) { raw->flush_collector(context); });
  });
  return device;
}

Device::~Device() {
  gc_.reset();
  for_each_vm([](VmContext& context) { SX_ASSERT(context.vm.closed()); });
}

Status Device::make_tiles() {
  const DeviceProfile& p = profile();
  bo_memory_.smem_atomics = p.has(DeviceFact::kSmemAtomics);
  bo_memory_.counters = counters_.get();
  bo_memory_.zap_everywhere = [this](const Bo& bo) {
    for_each_vm([&](VmContext& context) {
      if (context.vm.config().modes.fault || !context.vm.maps(bo)) return context.vm.zap_bo(bo);
      // These jobs cannot fault: they are done, or off the engines, before their PTEs go (spec/vm.md 2.8).
      context.evictions.fetch_add(1);
      std::shared_ptr<void> stopped = context.stop_jobs();
      context.vm.zap_bo(bo);
      context.evictions.fetch_sub(1);
      notify_all(context.evictions);
      context.rebind_later(std::move(stopped));
    });
  };
  if (!p.has(DeviceFact::kDiscrete)) return {};
  static_assert(kTilesMax >= 2);
  SX_ASSERT(p.tiles <= kTilesMax);
  for (unsigned tile = 0; tile < p.tiles; ++tile) {
    const std::uint64_t bytes = options_.config.vram_bytes;
    SX_TRY(DeviceWindow window, DeviceWindow::make(host_, bytes));
    Tile made(std::move(window));
    made.vram = std::make_unique<VramManager>(VramBuddy::Config{
        .bytes = bytes, .visible_bytes = options_.config.visible_bytes, .page_bytes = p.vram_page_bytes()});
    SX_TRY_VOID(made.vram->ready());
    if (tile < options_.vram_peak_bytes.size()) made.vram->note_peak_in(options_.vram_peak_bytes[tile]);
    made.map = std::make_unique<VramMap>(made.window.base(), bytes);
    SX_TRY_VOID(made.map->ready());
    made.pagemap = std::make_shared<VramPagemap>(VramPagemapConfig{.host = host_,
                                                                   .vram = *made.vram,
                                                                   .window = made.window.base(),
                                                                   .owner = kOwnerGroup,
                                                                   .tile = tile,
                                                                   .counters = *counters_});
    bo_memory_.tiles[tile] = {made.vram.get(), made.map.get()};
    tiles_.push_back(std::move(made));
  }
  bo_memory_.tile_count = p.tiles;
  return {};
}

PageTableConfig Device::page_table_config() const {
  using C = PageTableConfig;
  C table;
  table.need_64k = profile().has(DeviceFact::kVram64k) ? C::Need64K::kYes : C::Need64K::kNo;
  table.compact_64k = C::Compact64K::kYes;
  table.atomic_bit = C::AtomicBit::kYes;
  return table;
}

Result<std::shared_ptr<VmContext>> Device::create_vm(const VmCreateRequest& request, MirrorOf mirror) {
  SX_TRY(std::uint32_t asid, asids_.reserve());
  Status may = SX_STEP("drv.vm.create");
  if (may) may = SX_STEP("drv.vm.root_tables");
  if (may && request.scratch) may = SX_STEP("drv.vm.scratch");
  if (!may) {
    asids_.erase(asid);
    return fail(may.error());
  }
  VmConfig config;
  config.modes = {.scratch = request.scratch,
                  .lr = request.long_running,
                  .fault = request.fault_mode,
                  .no_overcommit = request.no_overcommit};
  config.va_bits = profile().va_bits;
  config.tile_count = profile().tiles;
  config.asid = asid;
  config.reset = options_.reset;
  config.device = &bo_memory_;
  config.page_table = page_table_config();
  config.discrete = profile().has(DeviceFact::kDiscrete);
  config.smem_atomics = profile().has(DeviceFact::kSmemAtomics);
  CounterWords* words = options_.vm_counters ? options_.vm_counters(asid) : nullptr;
  auto context = std::make_shared<VmContext>(config, tables_, invalidations_, *counters_, owner(asid), words);
  if (request.fault_mode) {
    SvmConfig svm{.host = mirror == MirrorOf::kThisProcess ? host_ : parent_mm_,
                  .invalidations = invalidations_,
                  .migrate_lock = migrate_lock_,
                  .counters = context->counters,
                  .owner = kOwnerGroup,
                  .tile_vram = {},
                  .kick_collector = [this] { gc_->kick(); }};
    for (Tile& tile : tiles_) svm.tile_vram.push_back(tile.pagemap.get());
    context->add_svm(std::move(svm));
  }
  asids_.set(asid, context);
  Guard hold(vms_lock_);
  std::erase_if(vms_, [](const auto& weak) { return weak.expired(); });
  vms_.push_back(context);
  return context;
}

void Device::close_vm(const std::shared_ptr<VmContext>& context) {
  context->vm.close();
  // Faults, binds and the collector look at `closed` under the VM's lock before they touch the mirror.
  context->svm.reset();
  asids_.erase(context->vm.config().asid);
}

void Device::for_each_vm(const std::function<void(VmContext&)>& visit) {
  std::vector<std::shared_ptr<VmContext>> live;
  {
    Guard hold(vms_lock_);
    for (const auto& weak : vms_) {
      if (auto context = weak.lock()) live.push_back(std::move(context));
    }
  }
  for (auto& context : live) visit(*context);
}

void Device::flush_collector(VmContext& context) {
  Guard hold(context.vm.lock);
  if (!context.vm.check_usable() || !context.svm || !context.svm->garbage_pending()) return;
  context.svm->assert_vm_locked();
  if (auto pass = context.svm->collect_garbage(); !pass) {
    SX_DEBUG("collector pass: {}", pass.error().why);
  }
  self_check(context, "collector pass");
}

}  // namespace softxe
