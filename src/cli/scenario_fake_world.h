// A ScenarioWorld for tests of the parser and the runner: notes every call, answers as scripted.
#pragma once

#include <fmt/format.h>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/step.h"
#include "cli/scenario_world.h"

namespace softxe::scenario {

/// What the fake answers and what it saw; outlives the worlds made from it.
struct FakeScript {
  std::map<std::string, int> errors;  ///< by method name
  std::vector<VmaInfo> vmas;
  std::vector<RangeInfo> ranges;
  PteInfo pte;
  std::string page = "hole";
  std::string vm_state = "open";
  std::map<std::string, std::uint64_t> counters;
  ScenarioWorld::Parallel parallel = ScenarioWorld::Parallel::kInterleave;
  bool invariants_hold = true;

  std::mutex mutex;
  std::vector<std::string> calls;
};

class FakeWorld final : public ScenarioWorld {
 public:
  explicit FakeWorld(FakeScript& script) : script_(script) {}

  std::string backend() const override { return "sim"; }
  Parallel parallel() const override { return script_.parallel; }

  Status device(const DeviceSpec& s) override {
    std::string text = s.name + ' ' + s.profile;
    for (const auto& [key, value] : s.options) text += fmt::format(" {}={}", key, value);
    return note("device", text);
  }
  Status vm_create(const VmSpec& s) override {
    return note("vm", fmt::format("{} {}{}{}{}", s.name, s.lr ? "L" : "", s.fault ? "F" : "", s.scratch ? "S" : "",
                                  s.no_overcommit ? "N" : ""));
  }
  Status vm_destroy(const std::string& vm) override { return note("destroy", vm); }
  Status bo_create(const BoSpec& s) override {
    return note("bo", fmt::format("{} {:#x} {}{}", s.name, s.size, s.vram ? "V" : "", s.system ? "S" : ""));
  }
  Status bind(const BindSpec& s) override {
    static constexpr const char* kWhat[] = {"mirror", "null", "bo", "userptr", "unbind"};
    return note("bind",
                fmt::format("{} {} {} {} {:#x} pat={} {}{}{}{}", s.vm, kWhat[static_cast<int>(s.what)], text(s.span),
                            s.bo, s.offset, s.pat ? static_cast<int>(*s.pat) : -1, s.autoreset ? "A" : "",
                            s.read_only ? "R" : "", s.dumpable ? "D" : "", s.immediate ? "I" : ""));
  }
  Status madvise(const std::string& vm, Span span, const Attrs& a) override {
    return note(
        "madvise",
        fmt::format("{} {} atomic={} preferred={} policy={} pat={}", vm, text(span),
                    a.atomic ? static_cast<int>(*a.atomic) : -1, a.preferred ? static_cast<int>(a.preferred->kind) : -1,
                    a.policy ? static_cast<int>(*a.policy) : -1, a.pat ? static_cast<int>(*a.pat) : -1));
  }
  Status prefetch(const std::string& vm, Span span, const std::optional<Place>& where) override {
    return note("prefetch", fmt::format("{} {} {}", vm, text(span), where ? static_cast<int>(where->kind) : -1));
  }

  Status cpu_mmap(const std::string& p, const CpuMmap& c) override {
    return note("mmap", fmt::format("{} {} {} {} {}", p, text(c.span), static_cast<int>(c.backing),
                                    static_cast<int>(c.prot), c.shared));
  }
  Status cpu_munmap(const std::string& p, Span span) override { return note("munmap", p + ' ' + text(span)); }
  Status cpu_mremap(const std::string& p, const CpuMremap& c) override {
    return note("mremap",
                fmt::format("{} {} {:#x} {:#x} {}", p, text(c.old), c.new_size, c.to.value_or(0), c.dont_unmap));
  }
  Status cpu_mprotect(const std::string& p, Span span, Protection prot) override {
    return note("mprotect", fmt::format("{} {} {}", p, text(span), static_cast<int>(prot)));
  }
  Status cpu_madvise(const std::string& p, const CpuMadvise& c) override {
    return note("cpu_madvise", fmt::format("{} {} {}", p, text(c.span), c.advice));
  }
  Status cpu_mlock(const std::string& p, Span span) override { return note("mlock", p + ' ' + text(span)); }
  Status cpu_munlock(const std::string& p, Span span) override { return note("munlock", p + ' ' + text(span)); }
  Status cpu_fork(const std::string& p, const std::string& child) override { return note("fork", p + ' ' + child); }
  Status cpu_exit(const std::string& p) override { return note("exit", p); }
  Result<std::uint64_t> cpu_read(const std::string& p, const Access& a) override {
    return load("cpu_read", fmt::format("{} {:#x} {}", p, a.address, a.bytes), a.address);
  }
  Status cpu_write(const std::string& p, const Access& a) override {
    return store("cpu_write", fmt::format("{} {:#x} {} {}", p, a.address, a.bytes, a.value), a);
  }
  Status cpu_fill(const std::string& p, Span span, std::uint8_t value) override {
    return note("cpu_fill", fmt::format("{} {} {}", p, text(span), value));
  }
  Status cpu_pin(std::uint64_t address) override { return note("pin", fmt::format("{:#x}", address)); }
  Status cpu_unpin(std::uint64_t address) override { return note("unpin", fmt::format("{:#x}", address)); }

  Result<std::uint64_t> gpu_read(const GpuTarget& g, const Access& a) override {
    return load("gpu_read", fmt::format("{}.{} {:#x} {}", g.vm, g.tile, a.address, a.bytes), a.address);
  }
  Status gpu_write(const GpuTarget& g, const Access& a) override {
    return store("gpu_write", fmt::format("{}.{} {:#x} {} {}", g.vm, g.tile, a.address, a.bytes, a.value), a);
  }
  Result<std::uint64_t> gpu_atomic(const GpuTarget& g, const Access& a) override {
    SX_TRY_VOID(note("gpu_atomic", fmt::format("{}.{} {:#x} {} {}", g.vm, g.tile, a.address, a.bytes, a.value)));
    std::lock_guard lock(script_.mutex);
    std::uint64_t old = memory_[a.address];
    memory_[a.address] += a.value;
    return old;
  }
  Status gpu_copy(const GpuTarget& g, std::uint64_t to, Span from) override {
    return note("gpu_copy", fmt::format("{} {:#x} {}", g.vm, to, text(from)));
  }
  Status gpu_fill(const GpuTarget& g, Span span, std::uint8_t value) override {
    return note("gpu_fill", fmt::format("{} {} {}", g.vm, text(span), value));
  }
  Status gpu_kernel(const KernelSpec& k) override {
    return note("gpu_kernel",
                fmt::format("{}.{} {:#x} code={} groups={},{},{} simd={} items={} slm={} args={:#x},{:#x}", k.gpu.vm,
                            k.gpu.tile, k.address, k.code.size(), k.groups[0], k.groups[1], k.groups[2], k.lanes,
                            k.items, k.slm_bytes, k.arguments[0], k.arguments[1]));
  }

  Status evict(const std::optional<Span>& span) override { return note("evict", span ? text(*span) : "all"); }
  Status gc(const std::string& vm) override { return note("gc", vm); }
  Status sleep_ns(std::uint64_t ns) override { return note("sleep", std::to_string(ns)); }

  Result<std::vector<VmaInfo>> vmas(const std::string&) override { return script_.vmas; }
  Result<std::vector<RangeInfo>> ranges(const std::string&) override { return script_.ranges; }
  Result<PteInfo> pte(const GpuTarget&, std::uint64_t) override { return script_.pte; }
  Result<std::string> page(const std::string&, std::uint64_t) override { return script_.page; }
  Result<std::uint64_t> counter(const std::string& name) override {
    auto it = script_.counters.find(name);
    if (it == script_.counters.end()) return fail(ENOENT, "no such counter");
    return it->second++;  // grows at each look
  }
  Result<std::string> vm_state(const std::string&) override { return script_.vm_state; }
  Result<std::uint64_t> vm_size(const std::string&) override { return 1ull << 48; }
  Status check_invariants() override {
    if (script_.invariants_hold) return {};
    return fail(EINVAL, "the fake says so");
  }

 private:
  static std::string text(Span span) { return fmt::format("{:#x}+{:#x}", span.start, span.size); }
  Status note(const std::string& method, const std::string& arguments) {
    SX_TRY_VOID(SX_STEP("fake.call"));
    SX_MARK("fake.mark");
    std::lock_guard lock(script_.mutex);
    script_.calls.push_back(method + ' ' + arguments);
    auto it = script_.errors.find(method);
    if (it != script_.errors.end()) return fail(it->second, "scripted");
    return {};
  }
  Result<std::uint64_t> load(const std::string& method, const std::string& arguments, std::uint64_t address) {
    SX_TRY_VOID(note(method, arguments));
    std::lock_guard lock(script_.mutex);
    return memory_[address];
  }
  Status store(const std::string& method, const std::string& arguments, const Access& access) {
    SX_TRY_VOID(note(method, arguments));
    std::lock_guard lock(script_.mutex);
    memory_[access.address] = access.value;
    return {};
  }

  FakeScript& script_;
  std::map<std::uint64_t, std::uint64_t> memory_;
};

}  // namespace softxe::scenario
