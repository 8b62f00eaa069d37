"""Races planted into the engine, for `softxe explore` to find. Read by tools/races; no code runs here but this list.

One entry: name, file, edits (old text that is in the file once, new text; or file, old, new), scenario file, scenario. An
entry is found when every strategy finds a schedule that fails, and the schedule made small fails again and again with the same bytes.
"""

SVM, HW, DRV, SIM = "src/svm/", "src/hw/", "src/drv/", "src/host/sim/"
DIR = "tests/scenarios/explore/"
RESET, MIGRATE, FORK = DIR + "reset.softxe", DIR + "migrate.softxe", DIR + "fork.softxe"
TWO, PREFETCH, BIND, CLOSE = (DIR + name + ".softxe" for name in ("two_devices", "prefetch", "bind", "close"))

RACES = [
    ("retry once", SVM + "fault_service.cc",
     [("  for (;;) {\n    SX_TRY(bool need, vm.need_vram(*vma, fault.access == AccessType::kAtomic));\n    Pagemap*",
       "  for (int again = 0;; ++again) {\n"
       "    SX_TRY(bool need, vm.need_vram(*vma, fault.access == AccessType::kAtomic));\n    Pagemap*"),
      ("    if (status || status.error().err != EAGAIN) return status;",
       "    if (status || status.error().err != EAGAIN || again == 1) return status;")],
     RESET, "two unmaps beside a fault elsewhere"),
    ("stale VMA after the reset", SVM + "fault_service.cc",
     [("    vma = vm.find(fault.page);\n    if (vma == nullptr) return fail(EINVAL, \"no VMA at the faulting "
       "address after collection\");\n    if (!vma->is_mirror())",
       "    if (vm.find(fault.page) == nullptr) return fail(EINVAL, \"gone\");\n    if (!vma->is_mirror())")],
     RESET, "two unmaps beside a fault elsewhere"),
    ("sequence read too late", SVM + "svm_pages.cc",
     [("    const std::uint64_t sequence = config_.host.read_begin(*range.notifier);\n", ""),
      ("    SX_MARK(\"svm.pages.collected\");\n",
       "    SX_MARK(\"svm.pages.collected\");\n"
       "    const std::uint64_t sequence = config_.host.read_begin(*range.notifier);\n")],
     MIGRATE, "a page is discarded while the GPU stores into it"),
    ("sequence not compared", SVM + "svm_pages.cc",
     [("    if (range.notifier->sequence() != sequence) continue;\n", "    static_cast<void>(sequence);\n")],
     MIGRATE, "a page is discarded while the GPU stores into it"),
    ("pages committed though invalidated", SVM + "svm_pages.cc",
     [("    if (!state.collected()) return fail(EAGAIN, \"pages were invalidated before the PTE commit\");\n",
       "    if (state.dead()) return fail(EAGAIN, \"dead\");\n"
       "    if (!state.collected()) state.set_collected(nullptr);\n")],
     MIGRATE, "a page is discarded while the GPU stores into it"),
    ("range left on the list", SVM + "svm_lookup.cc",
     [("      garbage_.erase(garbage_.iterator_to(range));\n      if (pass_on)", "      if (pass_on)")],
     RESET, "an atomic makes room for itself beside an unmap"),
    ("discard of a dead range", SVM + "svm_lookup.cc",
     [("  const bool pass_on = reset == Reset::kByNextPass && vm_.config().reset != ResetMode::kExact;",
       "  const bool pass_on = false;\n  static_cast<void>(reset);")],
     RESET, "an atomic makes room for itself beside an unmap"),
    ("invalidation before the zap", SVM + "svm_events.cc",
     [("    const Zapped zapped = zap_intersecting(window, range, batch);\n    finish(batch);\n",
       "    config_.invalidations.invalidate_all();\n"
       "    const Zapped zapped = zap_intersecting(window, range, batch);\n    finish(batch);\n"),
      (HW + "invalidation.cc", "  if (!owed_) return {};\n  domain_.invalidate_all();\n", "  if (!owed_) return {};\n")],
     MIGRATE, "a page is discarded while the GPU stores into it"),
    ("notifier after the free", SIM + "sim_host_mm.cc",
     [("  if (mirrored_ && mm_.options_.order == NotifyOrder::kBefore) mm_.notify(range_, kind_);", ""),
      ("  if (mirrored_ && mm_.options_.order == NotifyOrder::kAfter) mm_.notify(range_, kind_);",
       "  if (mirrored_) mm_.notify(range_, kind_);")],
     MIGRATE, "a page is discarded while the GPU stores into it"),
    ("lost wake-up", DRV + "gc_worker.cc",
     [("    pending_.store(0);\n    if (stop_.load()) return;\n", "    if (stop_.load()) return;\n"),
      ("    pass_();\n", "    pass_();\n    pending_.store(0);\n")],
     RESET, "the collector comes by itself"),
    ("a COW page writable", SVM + "svm_pages.cc",
     [("!vma.flags().read_only && home.writable};", "!vma.flags().read_only};"),
      ("CollectRequest::Intent::kRead : CollectRequest::Intent::kWrite,",
       "CollectRequest::Intent::kRead : CollectRequest::Intent::kRead,")],
     FORK, "a GPU store after a fork is not the child's"),
    ("lock order", SVM + "svm_lookup.cc",
     [("    Guard hold(notifier_lock_);\n    window.ranges_.erase(window.ranges_.iterator_to(range));\n"
       "    --range_count_;\n    Guard hold_gc(gc_lock_);\n",
       "    Guard hold_gc(gc_lock_);\n    Guard hold(notifier_lock_);\n"
       "    window.ranges_.erase(window.ranges_.iterator_to(range));\n    --range_count_;\n")],
     RESET, "two unmaps beside a fault elsewhere"),
    ("running sections not waited for", HW + "invalidation.cc",
     [("  for (std::uint32_t i = 0; i < high; ++i) wait_for_section(slots_[i]);",
       "  if (high == ~0u) wait_for_section(slots_[0]);")],
     MIGRATE, "eviction beside GPU and CPU stores"),
    ("generation not raised", HW + "invalidation.cc",
     [("  generation_.fetch_add(1, std::memory_order_seq_cst);", "")],
     MIGRATE, "eviction beside GPU and CPU stores"),
    ("mapping looked at, range made later", SVM + "svm_lookup.cc",
     [("  if (window.sequence() != sequence) return nullptr;\n", "  static_cast<void>(sequence);\n")],
     RESET, "memory is mapped anew, in two pieces, beside a fault on it"),
    ("closed VM not flushed for", SVM + "svm_events.cc",
     [("    if (closed) config_.invalidations.invalidate_all();\n", "")],
     CLOSE, "a VM is closed beside a discard and what the GPU does there"),
    ("entries gone before the flush", SVM + "svm_gc.cc",
     [("  state.set_unbound();\n  finish(batch);\n}", "  state.set_unbound();\n  }\n  finish(batch);\n}"),
      ("  Guard hold(notifier_lock_);\n  SvmRangeState& state = range.state(key());\n  if (state.present() == 0) return;\n"
       "  InvalidationBatch batch(config_.invalidations);\n",
       "  InvalidationBatch batch(config_.invalidations);\n  {\n  Guard hold(notifier_lock_);\n"
       "  SvmRangeState& state = range.state(key());\n  if (state.present() == 0) return;\n")],
     MIGRATE, "a range is dropped by advice beside a discard and a GPU store"),
    ("live ranges stay in a reset", SVM + "svm_gc.cc",
     [("  while (SvmRange* range = find_range(mirror_of(part))) discard(*range);\n", "  static_cast<void>(part);\n")],
     RESET, "an exact reset finds a range made since"),
    ("evicted object stays mapped", DRV + "bo_placement.cc",
     [("  owner_.zap();\n  if (memory_.counters != nullptr) {", "  if (memory_.counters != nullptr) {")],
     BIND, "an object is unbound and bound beside an engine that uses it, and evicted"),
    ("unmapped range not zapped", SVM + "svm_events.cc",
     [("const Zapped zapped = zap_intersecting(window, range, batch);",
       "const Zapped zapped = kind == HostEvent::kClear ? Zapped{} : zap_intersecting(window, range, batch);")],
     MIGRATE, "a page is discarded while the GPU stores into it"),
]
