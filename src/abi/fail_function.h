// The kernel's fault injection by function (/sys/kernel/debug/fail_function), over the steps of the engine.
//
// A client puts the name of a function of the driver on a list and says which errno it shall return. Here a function
// stands for the steps that do its work (base/step.h): fail_functions() is the table, and a function without a
// counterpart is not injectable. When they
// fail: fault_attributes.h.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "abi/fault_attributes.h"
#include "base/step.h"

namespace softxe {

/// A function of the driver, and the steps that are its work; null: no more.
struct FailFunction {
  const char* name;
  std::array<const char*, 2> steps;
};
inline constexpr std::size_t kFailFunctions = 12;
std::span<const FailFunction, kFailFunctions> fail_functions();
/// "xe_pt_create [xe]\tERRNO" for each.
std::string injectable_text();

inline constexpr std::string_view kFailFunctionFolder = "/sys/kernel/debug/fail_function";

struct FailFile {
  enum class Kind : std::uint8_t { kInject, kRetval, kAttribute };
  Kind kind = Kind::kInject;
  std::uint8_t function = 0;  ///< kRetval: its place in the table
  FaultAttribute attribute = FaultAttribute::kProbability;
};
/// By client path; none: another file.
std::optional<FailFile> find_fail_file(std::string_view path);

/// Thread-safe; on_step() takes no lock. Owned by nobody: one for the process, which is never destroyed, and a fork
/// child goes on with what its parent had said.
class FaultInjection final : public StepHook {
 public:
  /// ENOENT: the return value of a function that is not on the list.
  Result<std::string> read(FailFile file) const;
  /// EINVAL: not a number, not an errno, no function of that name. EBUSY: on the list already. ENOENT: not on it.
  Status write(FailFile file, std::string_view text);
  Status on_step(StepSite& site, bool may_fail) override;

 private:
  struct Function {
    std::atomic<bool> listed{false};
    std::atomic<std::int64_t> result{-EINVAL};  ///< negative errno
  };
  Status inject(std::string_view name);
  static Status set_result(Function& function, std::string_view text);

  std::array<Function, kFailFunctions> functions_{};
  FaultAttributes attributes_;
};
FaultInjection& fault_injection();

}  // namespace softxe
