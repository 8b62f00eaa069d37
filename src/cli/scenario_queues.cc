#include "cli/scenario_queues.h"

#include "drv/exec/submit.h"

namespace softxe::scenario {

namespace {

// spec/gpu-commands.md 3; the semaphore is the five-dword form that multi-queue groups use.
constexpr std::uint32_t kStore = 0x10000002;
constexpr std::uint32_t kWaitEqual = 0x0e00c803;
constexpr std::uint32_t kGoOnWhileDifferent = 0x1b000002 | 1u << 21 | 5u << 12;
constexpr std::uint32_t kJump = 0x18800101;
constexpr std::uint32_t kUndecodable = 0xe0000000;
constexpr std::uint32_t kEnd = 0x05000000;

std::uint32_t low(std::uint64_t address) { return static_cast<std::uint32_t>(address); }
std::uint32_t high(std::uint64_t address) { return static_cast<std::uint32_t>(address >> 32); }

/// Twice the time-out of a job: of simulated time.
constexpr std::uint64_t kPatienceNs = 10'000'000'000;

QueuePriority priority_of(QueueRank rank) { return static_cast<QueuePriority>(rank); }

Result<EngineClass> class_named(const std::string& name) {
  if (name == "copy") return EngineClass::kCopy;
  if (name == "compute") return EngineClass::kCompute;
  if (name == "render") return EngineClass::kRender;
  return fail(EINVAL, "the engine class is copy, compute or render");
}

}  // namespace

std::vector<std::uint64_t> encode_batch(const std::vector<BatchCommand>& commands, std::uint64_t address) {
  std::vector<std::uint32_t> words;
  for (const BatchCommand& c : commands) {
    switch (c.kind) {
      case BatchCommand::Kind::kStore:
        words.insert(words.end(), {kStore, low(c.address), high(c.address), c.value});
        break;
      case BatchCommand::Kind::kWait:
        words.insert(words.end(), {kWaitEqual, c.value, low(c.address), high(c.address), 0});
        break;
      case BatchCommand::Kind::kSpin: {
        const std::uint64_t loop = address + words.size() * sizeof words[0];
        words.insert(words.end(), {kGoOnWhileDifferent, c.value, low(c.address), high(c.address)});
        words.insert(words.end(), {kJump, low(loop), high(loop)});
        break;
      }
      case BatchCommand::Kind::kBad: words.push_back(kUndecodable); break;
    }
  }
  words.push_back(kEnd);
  if (words.size() % 2 != 0) words.push_back(0);
  std::vector<std::uint64_t> quads;
  for (std::size_t i = 0; i < words.size(); i += 2)
    quads.push_back(words[i] | static_cast<std::uint64_t>(words[i + 1]) << 32);
  return quads;
}

Queues::Queues(Device& device, const Clock& clock, ThreadStarter starter)
    : device_(device),
      policy_(starter ? ExecPolicy::kThreads : ExecPolicy::kManual),
      backends_(device),
      exec_({.profile = device.profile(),
             .clock = clock,
             .counters = device.counters(),
             .backends = backends_,
             .policy = policy_,
             .starter = starter ? std::move(starter) : default_thread_starter()}) {}

/// The VMs live on: what stops their jobs does not.
Queues::~Queues() {
  exec_.shut_down();
  for (const auto& [context, vm] : vms_) vm->context().jobs.reset();
}

Result<Queues::Named> Queues::find_named(const std::string& name) const {
  const auto found = queues_.find(name);
  if (found == queues_.end()) return fail(ENOENT, "no queue of that name");
  return found->second;
}

Result<ExecQueuePtr> Queues::find(const std::string& name) const {
  SX_TRY(Named named, find_named(name));
  return std::move(named.queue);
}

/// The checks that an ioctl's decoder makes.
Result<ExecQueueCreateRequest> Queues::request_for(const QueueSpec& spec) const {
  const DeviceProfile& profile = device_.profile();
  SX_TRY(const EngineClass cls, class_named(spec.engine_class));
  EnginePlacement place{.cls = cls, .logical_mask = spec.instances.empty() ? 1u : 0u};
  for (unsigned instance : spec.instances) place.logical_mask |= 1u << (instance & 31u);
  std::uint32_t there = 0;
  for (const EngineFact& engine : profile.engines)
    if (engine.cls == cls && engine.gt == 0) there |= 1u << engine.instance;
  if ((place.logical_mask & ~there) != 0) return fail(EINVAL, "no such engine");
  const bool grouped = spec.makes_group || !spec.joins.empty();
  if (grouped && !profile.has_groups(cls, profile.gts[0].type))
    return fail(ENODEV, "engine class has no multi-queue groups");
  if (spec.has_rank_in_group && !grouped) return fail(EINVAL, "multi-queue priority outside a group");
  ExecQueueCreateRequest request;
  request.width = 1;
  request.placement = place;
  return request;
}

Status Queues::create(const QueueSpec& spec, const std::shared_ptr<VmContext>& vm, VmMode mode) {
  Guard hold(mutex_);
  if (queues_.contains(spec.name)) return fail(EEXIST, "a queue of that name exists");
  SX_TRY(const ExecQueueCreateRequest request, request_for(spec));
  auto& exec_vm = vms_[vm.get()];
  if (exec_vm == nullptr) {
    exec_vm = std::make_shared<ContextVm>(mode, vm);
    if (runs_by_itself()) control_jobs(exec_vm, exec_);
  }
  ExecQueueProperties properties;
  properties.priority = priority_of(spec.priority);
  properties.group_priority = priority_of(spec.in_group);
  properties.group_primary = spec.makes_group;
  ExecQueuePtr primary;
  if (!spec.joins.empty()) {
    SX_TRY(primary, find(spec.joins));
    SX_TRY_VOID(check_join(*primary, request, *exec_vm));
    properties.group_of = QueueId{1};
  }
  SX_TRY(ExecQueuePtr made, exec_.create_queue(request, properties, exec_vm, primary));
  queues_[spec.name] = {std::move(made), spec.vm, std::make_shared<Turn>()};
  return {};
}

Status Queues::destroy(const std::string& name) {
  ExecQueuePtr queue;
  {
    Guard hold(mutex_);
    SX_TRY(queue, find(name));
    queues_.erase(name);
  }
  exec_.destroy_queue(queue);
  return {};
}

Status Queues::set_priority(const std::string& name, QueueRank rank) {
  Guard hold(mutex_);
  SX_TRY(const ExecQueuePtr queue, find(name));
  return exec_.scheduler().set_group_priority(*queue, priority_of(rank));
}

Status Queues::exec(const ExecSpec& spec) {
  Named named;
  {
    Guard hold(mutex_);
    if (jobs_.contains(spec.job)) return fail(EEXIST, "a job of that name exists");
    SX_TRY(named, find_named(spec.queue));
  }
  SX_TRY(FencePtr done, submit(named, spec));
  Guard hold(mutex_);
  jobs_[spec.job] = std::move(done);
  return {};
}

Result<FencePtr> Queues::submit(const Named& to, const ExecSpec& spec) {
  const ExecQueuePtr& queue = to.queue;
  Guard turn(to.turn->mutex);
  SX_TRY_VOID(exec_.check_submit(*queue));
  SX_TRY_VOID(submit_in_place(exec_, queue, {GpuVa(spec.address)}, JobSyncs(no_syncobjs_), exec_.wait_context()));
  return exec_.scheduler().last_fence(*queue);
}

bool Queues::has(const std::string& queue) const {
  Guard hold(mutex_);
  return queues_.contains(queue);
}

Result<std::string> Queues::vm_of(const std::string& queue) const {
  Guard hold(mutex_);
  const auto found = queues_.find(queue);
  if (found == queues_.end()) return fail(ENOENT, "no queue of that name");
  return found->second.vm;
}

bool Queues::has_job(const std::string& job) const {
  Guard hold(mutex_);
  return jobs_.contains(job);
}

Result<int> Queues::wait(const std::string& job) {
  FencePtr fence;
  {
    Guard hold(mutex_);
    const auto found = jobs_.find(job);
    if (found == jobs_.end()) return fail(ENOENT, "no job of that name");
    fence = found->second;
  }
  WaitContext context = exec_.wait_context();
  SX_TRY_VOID(fence->wait(context, Deadline::after(context.clock, kPatienceNs)));
  return fence->error();
}

Status Queues::wait_for_all() {
  std::vector<std::string> names;
  {
    Guard hold(mutex_);
    for (const auto& [name, fence] : jobs_) names.push_back(name);
  }
  for (const std::string& name : names) {
    SX_TRY_VOID(wait(name));
  }
  return {};
}

bool Queues::run_once() {
  Guard hold(mutex_);
  return exec_.run_once();
}

Status Queues::check_close(const VmContext& vm) const {
  Guard hold(mutex_);
  const auto found = vms_.find(&vm);
  if (found == vms_.end() || found->second->mode() != VmMode::kPreemptFence) return {};
  if (found->second->queue_count() != 0) return fail(EBUSY, "the VM has live queues");
  return {};
}

Result<int> Queues::job_error(const std::string& job) const {
  Guard hold(mutex_);
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return fail(ENOENT, "no job of that name");
  return found->second->signalled() ? found->second->error() : -1;
}

Result<std::string> Queues::queue_state(const std::string& name) const {
  Guard hold(mutex_);
  SX_TRY(const ExecQueuePtr queue, find(name));
  return std::string(queue->reset() ? "banned" : "alive");
}

}  // namespace softxe::scenario
