// The part of EngineWorld that is about queues: which card's, and how long engines run.
#include "cli/scenario_engine_world.h"
#include "cli/scenario_text.h"

namespace softxe::scenario {

namespace {

/// Spinners and semaphores that nobody satisfies never end.
constexpr std::uint64_t kSlicesMax = 20'000;

VmMode mode_of(const VmModes& modes) {
  if (modes.fault) return VmMode::kFault;
  return modes.lr ? VmMode::kPreemptFence : VmMode::kDmaFence;
}

}  // namespace

Result<Queues*> EngineWorld::queues_with(const std::string& queue) {
  for (auto& card : cards_)
    if (card->queues && card->queues->has(queue)) return card->queues.get();
  return fail(ENOENT, "no queue of that name");
}

Result<Queues*> EngineWorld::queues_with_job(const std::string& job) {
  for (auto& card : cards_)
    if (card->queues && card->queues->has_job(job)) return card->queues.get();
  return fail(ENOENT, "no job of that name");
}

Status EngineWorld::queue_create(const QueueSpec& spec) {
  SX_TRY(OpenVm * vm, find_vm(spec.vm));
  Card& card = *vm->card;
  if (!card.queues) card.queues = std::make_unique<Queues>(*card.device, clock(), engines());
  return card.queues->create(spec, vm->context, mode_of(vm->context->vm.config().modes));
}

Status EngineWorld::queue_destroy(const std::string& queue) {
  SX_TRY(Queues * queues, queues_with(queue));
  return queues->destroy(queue);
}

Status EngineWorld::queue_priority(const std::string& queue, QueueRank rank) {
  SX_TRY(Queues * queues, queues_with(queue));
  return queues->set_priority(queue, rank);
}

/// The client stores the batch, as it does kernels. In a VM without faults it stands in a buffer object, whose bytes
/// are reached through the VM: no verb maps it for the client.
Status EngineWorld::exec(const ExecSpec& spec) {
  SX_TRY(Queues * queues, queues_with(spec.queue));
  if (!spec.batch.empty()) {
    SX_TRY(const std::string name, queues->vm_of(spec.queue));
    SX_TRY(OpenVm * vm, find_vm(name));
    const bool mirrors = vm->context->vm.config().modes.fault;
    Access access{spec.address, 8, 0};
    for (std::uint64_t quad : encode_batch(spec.batch, spec.address)) {
      access.value = quad;
      SX_TRY_VOID(mirrors ? cpu_write({}, access) : gpu_write({name, 0}, access));
      access.address += access.bytes;
    }
  }
  return queues->exec(spec);
}

bool EngineWorld::run_slice() {
  for (auto& card : cards_)
    if (card->queues && !card->queues->runs_by_itself() && card->queues->run_once()) return true;
  return false;
}

Status EngineWorld::run(const std::optional<std::uint64_t>& slices) {
  for (auto& card : cards_) {
    if (!card->queues || !card->queues->runs_by_itself()) continue;
    // How many slices there are is theirs to decide.
    if (!slices) SX_TRY_VOID(card->queues->wait_for_all());
  }
  for (std::uint64_t i = 0; i < slices.value_or(kSlicesMax); ++i)
    if (!run_slice()) return {};
  if (slices) return {};
  return fail(ETIME, "there is always something that can run");
}

Status EngineWorld::wait(const std::string& job) {
  SX_TRY(Queues * queues, queues_with_job(job));
  if (queues->runs_by_itself()) {
    SX_TRY(const int error, queues->wait(job));
    if (error != 0) return fail(error, "the job failed");
    return {};
  }
  for (std::uint64_t i = 0; i < kSlicesMax; ++i) {
    SX_TRY(const int error, queues->job_error(job));
    if (error == 0) return {};
    if (error > 0) return fail(error, "the job failed");
    if (!run_slice()) return fail(ETIME, "nothing can run, and the job is not complete");
  }
  return fail(ETIME, "the job does not complete");
}

Result<std::string> EngineWorld::job_state(const std::string& job) {
  SX_TRY(Queues * queues, queues_with_job(job));
  SX_TRY(const int error, queues->job_error(job));
  return error < 0 ? std::string("pending") : errno_name(error);
}

Result<std::string> EngineWorld::queue_state(const std::string& queue) {
  SX_TRY(Queues * queues, queues_with(queue));
  return queues->queue_state(queue);
}

}  // namespace softxe::scenario
