// The public interface of libsoftxe, used as a program would: through the header alone.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "softxe/softxe.h"

namespace softxe::api {
namespace {

constexpr std::uint64_t k2M = 2 << 20;

struct Machine {
  explicit Machine(Result<Process> made = Process::simulated(), DeviceOptions options = small())
      : process(*made),
        device(*Device::create(process, options)),
        vm(*device.create_vm()),
        engine(*vm.create_engine()) {
    EXPECT_TRUE(vm.bind_mirror({0, vm.bytes()}));
  }
  static DeviceOptions small() {
    DeviceOptions options;
    options.vram_bytes = 64 << 20;
    return options;
  }
  std::uint64_t map(std::uint64_t bytes) { return *process.map(bytes); }

  Process process;
  Device device;
  Vm vm;
  Engine engine;
};

TEST(Embed, AStoreOfTheGpuIsReadByTheCpuAndBack) {
  Machine m;
  const std::uint64_t at = m.map(k2M);
  std::uint64_t value = 0x1234;
  ASSERT_TRUE(m.engine.write(at, &value, sizeof value));
  EXPECT_EQ(m.process.page_state(at), PageState::kVram);
  EXPECT_EQ(m.vm.translate(at).kind, Translation::Kind::kVram);
  value = 0;
  ASSERT_TRUE(m.process.read(at, &value, sizeof value));
  EXPECT_EQ(value, 0x1234u);
  EXPECT_EQ(m.process.page_state(at), PageState::kSystem);
  EXPECT_EQ(m.vm.translate(at).kind, Translation::Kind::kNone);
  value = 5;
  ASSERT_TRUE(m.process.write(at, &value, sizeof value));
  EXPECT_EQ(*m.engine.fetch_add64(at, 2), 5u);
  EXPECT_EQ(*m.engine.compare_exchange64(at, {7, 9}), 7u);
  EXPECT_EQ(*m.engine.compare_exchange64(at, {7, 1}), 9u);
  EXPECT_EQ(*m.engine.fetch_add32(at, 0), 9u);
}

TEST(Embed, SizesOfVramThatNoDeviceHasAreRefused) {
  const Process process = *Process::simulated();
  DeviceOptions options;
  for (const std::uint64_t bytes :
       {std::uint64_t{1}, std::uint64_t{5000}, k2M + 4096, std::uint64_t{1} << 41, ~std::uint64_t{0}}) {
    options.vram_bytes = bytes;
    const auto device = Device::create(process, options);
    ASSERT_FALSE(device) << bytes;
    EXPECT_EQ(device.error().err, EINVAL);
    EXPECT_NE(std::string(device.error().reason).find("2 MiB"), std::string::npos);
  }
  options.vram_bytes = k2M;
  EXPECT_TRUE(Device::create(process, options));
}

TEST(Embed, MirrorsAndAdviceNeedAVmInFaultMode) {
  Machine m;
  const std::uint64_t at = m.map(k2M);
  for (const auto mode : {VmOptions::Mode::kLongRunning, VmOptions::Mode::kDmaFence}) {
    VmOptions options;
    options.mode = mode;
    auto vm = m.device.create_vm(options);
    ASSERT_TRUE(vm);
    EXPECT_EQ(vm->bind_mirror({at, k2M}).error().err, EINVAL);
    EXPECT_EQ(vm->advise_atomics({at, k2M}, Atomics::kCpu).error().err, EINVAL);
    EXPECT_EQ(vm->advise_location({at, k2M}, Location{}).error().err, EINVAL);
    EXPECT_EQ(vm->collect().error().err, EINVAL);
  }
}

TEST(Embed, CopyFillAndBuffers) {
  Machine m;
  const std::uint64_t at = m.map(k2M);
  auto buffer = m.device.create_buffer(k2M, Device::Placement::kVram);
  ASSERT_TRUE(buffer);
  EXPECT_EQ(buffer->bytes(), k2M);
  constexpr std::uint64_t kBufferAt = 0x10'0000;
  ASSERT_TRUE(m.vm.unbind({0, 1ull << 30}));
  ASSERT_TRUE(m.vm.bind_buffer({kBufferAt, k2M}, *buffer));
  EXPECT_TRUE(buffer->in_vram());
  ASSERT_TRUE(m.engine.fill({kBufferAt, k2M}, 0xab));
  ASSERT_TRUE(m.engine.copy(at, {kBufferAt, k2M}));
  std::uint8_t last = 0;
  ASSERT_TRUE(m.process.read(at + k2M - 1, &last, 1));
  EXPECT_EQ(last, 0xab);
  EXPECT_EQ(static_cast<const std::uint8_t*>(buffer->data())[k2M - 1], 0xab);
  EXPECT_EQ(m.vm.bind_buffer({kBufferAt, 2 * k2M}, *buffer).error().err, EINVAL);
  EXPECT_EQ(m.device.create_buffer(0, Device::Placement::kVram).error().err, EINVAL);
}

TEST(Embed, CommandsRunFromMemory) {
  Machine m;
  const std::uint64_t at = m.map(k2M);
  const auto low = [](std::uint64_t a) { return static_cast<std::uint32_t>(a); };
  const auto high = [](std::uint64_t a) { return static_cast<std::uint32_t>(a >> 32); };
  // MI_STORE_DATA_IMM of one dword, MI_BATCH_BUFFER_END (spec/gpu-commands.md).
  const std::uint32_t batch[] = {0x10000002, low(at + 64), high(at + 64), 77, 0x05000000};
  ASSERT_TRUE(m.process.write(at, batch, sizeof batch));
  ASSERT_TRUE(m.engine.run_batch(at));
  std::uint32_t value = 0;
  ASSERT_TRUE(m.process.read(at + 64, &value, sizeof value));
  EXPECT_EQ(value, 77u);
  EXPECT_EQ(m.engine.continue_batch().error().err, EINVAL);
  const std::uint32_t bad = 0x7fffffff;
  ASSERT_TRUE(m.process.write(at, &bad, sizeof bad));
  EXPECT_EQ(m.engine.run_batch(at).error().err, EBADRQC);
}

/// y[i] += x[i] for 16 lanes a thread; x and y are the first two arguments.
constexpr const char* kAddText = R"(
    .simd 16
        shl   r11.0<1>:d  r0.1<0;1,0>:d  5:w
        add   r10:d   r11:d   r1:uw
        shl   r10:d   r10:d   2:w
        mov   r12:q   r10:d
        add   r14:q   r12:q   r2.0<0;1,0>:q
        add   r16:q   r12:q   r2.1<0;1,0>:q
        load.ugm.d32.a64 (16|M0)  r20 r14
        load.ugm.d32.a64 (16|M0)  r21 r16
        add   r21:d   r21:d   r20:d
        store.ugm.d32.a64 (16|M0) r16 r21
        eot   r0
)";

/// A kernel's code and arguments in a page of their own.
std::uint64_t place_kernel(Machine& m, const char* text, const std::array<std::uint64_t, 4>& arguments) {
  const std::uint64_t at = m.map(4096);
  auto code = assemble(text);
  EXPECT_TRUE(code);
  EXPECT_TRUE(m.process.write(at, code->data(), code->size()));
  EXPECT_TRUE(m.process.write(at + 2048, arguments.data(), sizeof arguments));
  return at;
}

TEST(Embed, KernelsRunOverMemoryAndItsPagesMove) {
  Machine m;
  const std::uint64_t data = m.map(k2M);
  std::vector<std::uint32_t> x(96), y(96);
  for (std::uint32_t i = 0; i < 96; ++i) {
    x[i] = i;
    y[i] = 1000 * i;
  }
  ASSERT_TRUE(m.process.write(data, x.data(), x.size() * 4));
  ASSERT_TRUE(m.process.write(data + 4096, y.data(), y.size() * 4));
  Kernel kernel;
  kernel.code = place_kernel(m, kAddText, {data, data + 4096});
  kernel.arguments = kernel.code + 2048;
  kernel.groups = {3, 1, 1};
  kernel.group_items = 32;
  ASSERT_TRUE(m.engine.run_kernel(kernel));
  EXPECT_EQ(m.process.page_state(data), PageState::kVram);
  ASSERT_TRUE(m.process.read(data + 4096, y.data(), y.size() * 4));
  for (std::uint32_t i = 0; i < 96; ++i) EXPECT_EQ(y[i], 1001 * i);
  EXPECT_EQ(*m.vm.counter("eu_kernel_count"), 1u);
  EXPECT_EQ(*m.vm.counter("eu_thread_count"), 6u);
  EXPECT_GT(*m.vm.counter("eu_fault_count"), 0u);
  EXPECT_EQ(m.engine.continue_kernel().error().err, EINVAL);
}

TEST(Embed, KernelsThatCannotGoOnSayWhy) {
  Machine m;
  Kernel kernel;
  kernel.code = place_kernel(m, kAddText, {0x7000'0000, 0x7000'0000});
  kernel.arguments = kernel.code + 2048;
  const Status lost = m.engine.run_kernel(kernel);
  EXPECT_EQ(lost.error().err, ENOENT);
  EXPECT_EQ(*m.device.counter("gpu_fault_failed_count"), 1u);
  kernel.lanes = 8;
  EXPECT_EQ(m.engine.run_kernel(kernel).error().err, EINVAL);
  TextPlace wrong;
  EXPECT_EQ(assemble("  eot r0\n  jump r1\n", &wrong).error().err, EINVAL);
  EXPECT_EQ(wrong.line, 2u);
}

TEST(Embed, AnEndlessKernelIsStoppedAndGoesOn) {
  Machine m;
  const std::uint64_t flag = m.map(4096);
  Kernel kernel;
  kernel.code = place_kernel(m, R"(
    .simd 16
            mov   r12:q   r2.0<0;1,0>:q
    top:    load.ugm.d32.a64 (16|M0) r20 r12
            cmp (eq)f0.0 null:d  r20:d  0:w
     (f0.0) jmpi  top
            eot   r0
  )",
                             {flag});
  kernel.arguments = kernel.code + 2048;
  EXPECT_EQ(m.engine.run_kernel(kernel, 1000).error().err, ETIME);
  EXPECT_EQ(m.engine.continue_kernel(1000).error().err, ETIME);
  const std::uint32_t one = 1;
  ASSERT_TRUE(m.process.write(flag, &one, sizeof one));
  EXPECT_TRUE(m.engine.continue_kernel(1000));
}

TEST(Embed, RefusedAccessesSayWhy) {
  Machine m;
  const std::uint64_t at = m.map(k2M);
  std::uint32_t value = 1;
  const Status hole = m.engine.write(at + 4 * k2M, &value, sizeof value);
  ASSERT_FALSE(hole);
  EXPECT_EQ(hole.error().err, ENOENT);
  ASSERT_TRUE(m.vm.unbind({0, 1ull << 30}));
  EXPECT_EQ(m.engine.read(0x1000, &value, sizeof value).error().err, EINVAL);
  Vm::MirrorOptions read_only;
  read_only.access = Access::kReadOnly;
  ASSERT_TRUE(m.vm.bind_mirror({at, k2M}, read_only));
  EXPECT_TRUE(m.engine.read(at, &value, sizeof value));
  EXPECT_EQ(m.engine.write(at, &value, sizeof value).error().err, EPERM);
  EXPECT_EQ(m.vm.bind_null({1, 4096}).error().err, EINVAL);
  EXPECT_EQ(m.vm.create_engine(7).error().err, EINVAL);
  EXPECT_EQ(m.device.counter("no_such_counter").error().err, ENOENT);
  DeviceOptions unknown;
  unknown.profile = "voodoo";
  EXPECT_EQ(Device::create(m.process, unknown).error().err, EINVAL);
}

TEST(Embed, AdviceIsSeenAndPutBackWhereMemoryIsUnmapped) {
  DeviceOptions options = Machine::small();
  options.reset = AttributeReset::kAlways;
  Machine m(Process::simulated(), options);
  const std::uint64_t at = m.map(k2M);
  ASSERT_TRUE(m.vm.advise_atomics({at, k2M}, Atomics::kGlobal));
  ASSERT_TRUE(m.vm.advise_location({at, k2M}, {Location::Kind::kSystem, 0}));
  auto vmas = m.vm.vmas();
  ASSERT_EQ(vmas->size(), 3u);
  EXPECT_EQ((*vmas)[1].atomics, Atomics::kGlobal);
  EXPECT_EQ((*vmas)[1].preferred.kind, Location::Kind::kSystem);
  std::uint32_t value = 1;
  ASSERT_TRUE(m.engine.write(at, &value, sizeof value));
  EXPECT_EQ(m.process.page_state(at), PageState::kSystem);
  ASSERT_EQ(m.vm.ranges().size(), 1u);
  ASSERT_TRUE(m.process.unmap({at, k2M}));
  EXPECT_EQ(m.vm.ranges().size(), 0u);
  ASSERT_TRUE(m.vm.collect());
  vmas = m.vm.vmas();
  ASSERT_EQ(vmas->size(), 1u);
  EXPECT_TRUE((*vmas)[0].default_attributes);
  EXPECT_EQ(*m.vm.counter("svm_attribute_reset_count"), 1u);
}

TEST(Embed, PrefetchMovesAndPressureBringsHome) {
  Machine m;
  const std::uint64_t at = m.map(k2M);
  std::uint32_t value = 3;
  ASSERT_TRUE(m.process.write(at, &value, sizeof value));
  ASSERT_TRUE(m.vm.prefetch({at, k2M}, {Location::Kind::kVram, 0}));
  EXPECT_EQ(m.process.page_state(at), PageState::kVram);
  EXPECT_EQ(*m.device.counter("gpu_fault_count"), 0u);
  ASSERT_TRUE(m.device.evict_all());
  EXPECT_EQ(m.process.page_state(at), PageState::kSystem);
  ASSERT_TRUE(m.process.read(at, &value, sizeof value));
  EXPECT_EQ(value, 3u);
}

TEST(Embed, HandlesMayGoInAnyOrder) {
  auto process = std::make_unique<Process>(*Process::simulated());
  auto device = std::make_unique<Device>(*Device::create(*process, Machine::small()));
  auto vm = std::make_unique<Vm>(*device->create_vm());
  Engine engine = *vm->create_engine();
  const Process kept = *process;
  ASSERT_TRUE(vm->bind_mirror({0, vm->bytes()}));
  const std::uint64_t at = *process->map(k2M);
  process.reset();
  device.reset();
  vm.reset();
  const std::uint32_t nine = 9;
  ASSERT_TRUE(engine.write(at, &nine, sizeof nine));
  { const Engine last = std::move(engine); }
  Process left = kept;
  std::uint32_t value = 0;
  ASSERT_TRUE(left.read(at, &value, sizeof value));  // the device took its VRAM along, not the data
  EXPECT_EQ(value, 9u);
}

TEST(Embed, EveryCounterHasAName) {
  Machine m;
  std::size_t names = 0;
  for (; const char* name = Device::counter_name(names); ++names) EXPECT_TRUE(m.device.counter(name));
  EXPECT_GT(names, 80u);
}

/// Runs `body` in a process of its own: libc stays patched, and the patcher wants one thread.
template <typename Body>
void in_own_process(Body body) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

/// On pages that really move.
bool live_memory_moves() {
  bool moves = false;
  const pid_t child = fork();
  if (child == 0) {
    auto process = Process::live();
    _exit(process && process->can_migrate() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  moves = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return moves;
}

TEST(EmbedLive, TheLibcOfThisProcessIsSeen) {
  if (!live_memory_moves()) GTEST_SKIP() << "no userfaultfd with MOVE here";
  in_own_process([] {
    LiveOptions hooked;
    hooked.hooks = LiveOptions::Hooks::kPatchLibc;
    Machine m(Process::live(hooked));
    ASSERT_TRUE(m.process.can_migrate());
    void* memory = mmap(nullptr, k2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const auto at = reinterpret_cast<std::uint64_t>(memory);
    const std::uint32_t six = 6;
    ASSERT_TRUE(m.engine.write(at, &six, sizeof six));
    EXPECT_EQ(m.process.page_state(at), PageState::kVram);
    EXPECT_EQ(*static_cast<volatile std::uint32_t*>(memory), 6u);
    ASSERT_TRUE(m.engine.write(at + 4096, &six, sizeof six));
    // A child has the data; the parent goes on.
    const pid_t child = fork();
    if (child == 0) _exit(static_cast<volatile std::uint32_t*>(memory)[1024] == 6 ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    ASSERT_TRUE(m.engine.write(at, &six, sizeof six));
    munmap(memory, k2M);  // plain libc
    EXPECT_EQ(m.vm.translate(at).kind, Translation::Kind::kNone);
    EXPECT_GE(*m.device.counter("svm_unmap_event_count"), 1u);
    EXPECT_FALSE(m.engine.write(at, &six, sizeof six));
    EXPECT_FALSE(Process::live(hooked));  // one at a time
  });
}

TEST(EmbedLive, TheCallersOwnCallsWithoutHooks) {
  if (!live_memory_moves()) GTEST_SKIP() << "no userfaultfd with MOVE here";
  in_own_process([] {
    Machine m(Process::live());
    const std::uint64_t at = m.map(2 * k2M);
    const std::uint32_t six = 6;
    ASSERT_TRUE(m.engine.write(at, &six, sizeof six));
    ASSERT_TRUE(m.process.protect({at, k2M}, Protection::kRead));
    std::uint32_t value = 0;
    EXPECT_EQ(m.process.write(at, &six, sizeof six).error().err, EFAULT);
    ASSERT_TRUE(m.process.read(at, &value, sizeof value));
    EXPECT_EQ(value, 6u);
    ASSERT_TRUE(m.process.discard({at, k2M}));
    ASSERT_TRUE(m.process.read(at, &value, sizeof value));
    EXPECT_EQ(value, 0u);
    ASSERT_TRUE(m.engine.write(at + k2M, &six, sizeof six));
    auto moved = m.process.remap({at + k2M, k2M}, 4 * k2M);
    ASSERT_TRUE(moved);
    ASSERT_TRUE(m.process.read(*moved, &value, sizeof value));
    EXPECT_EQ(value, 6u);
    ASSERT_TRUE(m.process.unmap({at, k2M}));
    EXPECT_EQ(m.process.page_state(at), PageState::kUnmapped);
  });
}

}  // namespace
}  // namespace softxe::api
