#include "abi/fail_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "abi/attribute_text.h"

namespace softxe {
namespace {

constexpr std::array<FailFunction, kFailFunctions> kTable{{
    {"vm_bind_ioctl_ops_create", {"vm.bind.plan"}},
    {"vm_bind_ioctl_ops_execute", {"drv.bind.execute"}},
    {"xe_exec_queue_create", {"drv.exec.create_queue"}},
    {"xe_exec_queue_create_bind", {"drv.exec.create_bind_queue"}},
    {"xe_hw_engine_group_add_exec_queue", {"drv.exec.join_engines"}},
    {"xe_pt_create", {"hw.pt.alloc", "drv.vm.root_tables"}},
    {"xe_pt_update_ops_prepare", {"vm.bind.prepare_ptes"}},
    {"xe_pt_update_ops_run", {"drv.bind.run"}},
    {"xe_sync_entry_parse", {"abi.sync.parse"}},
    {"xe_vm_add_compute_exec_queue", {"drv.exec.join_vm"}},
    {"xe_vm_create_scratch", {"drv.vm.scratch"}},
    {"xe_vma_ops_alloc", {"vm.bind.reserve"}},
}};

constexpr std::int64_t kErrnoMax = 4095;

std::size_t place_of(std::string_view name) {
  const auto* found = std::find_if(kTable.begin(), kTable.end(), [&](const auto& row) { return name == row.name; });
  return static_cast<std::size_t>(found - kTable.begin());
}

bool stands_for(const FailFunction& function, const StepSite& site) {
  return std::any_of(function.steps.begin(), function.steps.end(),
                     [&](const char* step) { return step != nullptr && std::strcmp(step, site.name) == 0; });
}

}  // namespace

std::span<const FailFunction, kFailFunctions> fail_functions() { return kTable; }

std::string injectable_text() {
  std::string text;
  for (const FailFunction& function : kTable) text += fmt::format("{} [xe]\tERRNO\n", function.name);
  return text;
}

std::optional<FailFile> find_fail_file(std::string_view path) {
  if (!path.starts_with(kFailFunctionFolder)) return std::nullopt;
  path.remove_prefix(kFailFunctionFolder.size());
  if (!path.starts_with('/')) return std::nullopt;
  path.remove_prefix(1);
  if (path == "inject") return FailFile{.kind = FailFile::Kind::kInject};
  if (const auto attribute = find_fault_attribute(path))
    return FailFile{.kind = FailFile::Kind::kAttribute, .attribute = *attribute};
  constexpr std::string_view kRetval = "/retval";
  if (!path.ends_with(kRetval)) return std::nullopt;
  path.remove_suffix(kRetval.size());
  const std::size_t place = place_of(path);
  if (place == kTable.size()) return std::nullopt;
  return FailFile{.kind = FailFile::Kind::kRetval, .function = static_cast<std::uint8_t>(place)};
}

FaultInjection& fault_injection() {
  // Never destroyed: other threads run steps until the process has ended.
  static auto* injection = new FaultInjection;
  return *injection;
}

Result<std::string> FaultInjection::read(FailFile file) const {
  if (file.kind == FailFile::Kind::kAttribute) return attributes_.read(file.attribute);
  if (file.kind == FailFile::Kind::kRetval) {
    const Function& function = functions_.at(file.function);
    if (!function.listed.load()) return fail(ENOENT, "the function is not on the list");
    return fmt::format("{:x}\n", static_cast<std::uint64_t>(function.result.load()));
  }
  std::string text;
  for (std::size_t i = 0; i < kTable.size(); ++i)
    if (functions_.at(i).listed.load()) text += fmt::format("{}\n", kTable.at(i).name);
  return text;
}

Status FaultInjection::write(FailFile file, std::string_view text) {
  if (file.kind == FailFile::Kind::kInject) return inject(text);
  if (file.kind == FailFile::Kind::kRetval) return set_result(functions_.at(file.function), text);
  return attributes_.write(file.attribute, text);
}

// "name" puts it on the list, "!name" takes it off, nothing empties the list.
Status FaultInjection::inject(std::string_view name) {
  while (!name.empty() && (name.back() == '\n' || name.back() == ' ' || name.back() == '\0')) name.remove_suffix(1);
  if (name.empty()) {
    for (Function& function : functions_) function.listed.store(false);
    set_step_hook(nullptr);
    return {};
  }
  const bool removes = name.front() == '!';
  if (removes) name.remove_prefix(1);
  const std::size_t place = place_of(name);
  if (place == kTable.size()) return fail(EINVAL, "no injectable function of this name");
  Function& function = functions_.at(place);
  if (removes) {
    if (!function.listed.exchange(false)) return fail(ENOENT, "the function is not on the list");
    return {};
  }
  if (function.listed.load()) return fail(EBUSY, "the function is on the list already");
  function.result.store(-EINVAL);
  function.listed.store(true);
  set_step_hook(this);
  return {};
}

Status FaultInjection::set_result(Function& function, std::string_view text) {
  if (!function.listed.load()) return fail(ENOENT, "the function is not on the list");
  const auto result = parse_signed(text);
  if (!result || *result >= 0 || *result < -kErrnoMax) return fail(EINVAL, "not a negative errno");
  function.result.store(*result);
  return {};
}

Status FaultInjection::on_step(StepSite& site, bool may_fail) {
  if (!may_fail) return {};
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    Function& function = functions_.at(i);
    if (!function.listed.load(std::memory_order_relaxed) || !stands_for(kTable.at(i), site)) continue;
    if (attributes_.should_fail()) return fail(static_cast<int>(-function.result.load()), "injected by fail_function");
  }
  return {};
}

}  // namespace softxe
