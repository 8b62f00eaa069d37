// Engine: kernels.
#include <cstring>

#include "embed/impl.h"
#include "hw/eu/eu_asm.h"

namespace softxe::api {

Result<std::vector<std::byte>> assemble(const char* text, TextPlace* wrong) {
  auto code = eu_assemble(text);
  if (code) return std::move(*code);
  if (wrong != nullptr) *wrong = {code.error().line, code.error().column};
  return Error{EINVAL, code.error().why};
}

Status Engine::Impl::run_threads(std::uint64_t instructions_max) {
  if (!kernels.running()) return Error{EINVAL, "no kernel is under way"};
  const softxe::Status done = kernels.run(instructions_max);
  eu_count(kernels.take_counts(), vm->vm().counters());
  return done ? Status{} : faults.refused(done.error());
}

Status Engine::run_kernel(const Kernel& kernel, std::uint64_t instructions_max) {
  const EngineCall call;
  EuLaunch launch{.code = GpuVa(kernel.code),
                  .groups = kernel.groups,
                  .group_items = kernel.group_items,
                  .lanes = kernel.lanes,
                  .slm_bytes = kernel.local_bytes,
                  .argument_base = GpuVa(kernel.arguments)};
  if (kernel.arguments != 0) {
    const softxe::Status read =
        impl_->memory.read_bytes(launch.argument_base, launch.arguments.data(), sizeof launch.arguments);
    impl_->memory.mmu().leave();
    if (!read) return impl_->faults.refused(read.error());
  }
  const softxe::Status begun = impl_->kernels.begin(launch, impl_->vm->vm().config().va_bits);
  if (!begun) return to_api(begun.error());
  return impl_->run_threads(instructions_max);
}

Status Engine::continue_kernel(std::uint64_t instructions_max) {
  const EngineCall call;
  return impl_->run_threads(instructions_max);
}

}  // namespace softxe::api
