// A program with a GPU inside: one process, one device, one VM that mirrors the process.
//
//   embed         over a simulated process
//   embed live    over this one
#include <softxe/softxe.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>

using namespace softxe::api;

constexpr std::uint64_t kBytes = 2 << 20;

// Says what failed and why; the caller's errno becomes the exit code.
static int failed(const char* what, const Error& error) {
  std::fprintf(stderr, "%s: %s (errno %d)\n", what, error.reason, error.err);
  return error.err;
}

static const char* name_of(PageState state) {
  switch (state) {
    case PageState::kUnmapped: return "unmapped";
    case PageState::kAbsent: return "absent";
    case PageState::kSystem: return "in system memory";
    case PageState::kVram: return "in VRAM";
  }
  return "?";
}

// Every work-item adds its number to a word of its own. The address of the words is the first argument.
static const char* const kAddNumber = R"(
.simd 16
    mov  r10:d  r1:uw
    shl  r12:d  r10:d  2:w
    mov  r14:q  r12:d
    add  r14:q  r14:q  r2.0<0;1,0>:q
    load.ugm.d32.a64 (16|M0)  r20 r14
    add  r20:d  r20:d  r10:d
    store.ugm.d32.a64 (16|M0) r14 r20
    eot  r0
)";

// Code and arguments are memory like any other: here, a page of the process.
static Status run_kernel(Process& process, Engine& engine, std::uint64_t words) {
  auto page = process.map(4096);
  if (!page) return page.error();
  auto code = assemble(kAddNumber);
  if (!code) return code.error();
  const std::uint64_t arguments[4] = {words, 0, 0, 0};
  if (Status put = process.write(*page, code->data(), code->size()); !put) return put;
  if (Status put = process.write(*page + 2048, arguments, sizeof arguments); !put) return put;
  Kernel kernel;
  kernel.code = *page;
  kernel.arguments = *page + 2048;
  kernel.group_items = 64;
  return engine.run_kernel(kernel);
}

int main(int argc, char** argv) {
  const bool live = argc > 1 && std::strcmp(argv[1], "live") == 0;
  auto process = live ? Process::live() : Process::simulated();
  if (!process) return failed("process", process.error());
  DeviceOptions options;
  options.vram_bytes = 64 << 20;
  auto device = Device::create(*process, options);
  if (!device) return failed("device", device.error());
  auto vm = device->create_vm();
  if (!vm) return failed("VM", vm.error());
  // GPU address = CPU address, for the whole address space; unmapped memory loses its advice.
  Vm::MirrorOptions mirror;
  mirror.autoreset = AutoReset::kOn;
  if (Status bound = vm->bind_mirror({0, vm->bytes()}, mirror); !bound) {
    return failed("mirror", bound.error());
  }
  auto engine = vm->create_engine();
  auto memory = process->map(kBytes);
  if (!memory) return failed("map", memory.error());
  if (Status advised = vm->advise_atomics({*memory, kBytes}, Atomics::kDevice); !advised) {
    return failed("advice", advised.error());
  }

  // The GPU stores to memory that has no page yet: fault, range, migration, page-table entry, store.
  const std::uint32_t seven = 7;
  if (Status stored = engine->write(*memory, &seven, sizeof seven); !stored) {
    return failed("GPU store", stored.error());
  }
  std::printf("after a GPU store the page is %s\n", name_of(process->page_state(*memory)));

  // The CPU reads it: the page comes back, the GPU's entry is gone before it does.
  std::uint32_t value = 0;
  if (Status loaded = process->read(*memory, &value, sizeof value); !loaded) {
    return failed("CPU load", loaded.error());
  }
  std::printf("the CPU reads %" PRIu32 ", now it is %s\n", value, name_of(process->page_state(*memory)));

  // 64 work-items on the execution units: the page goes to VRAM again, and comes back.
  if (Status ran = run_kernel(*process, *engine, *memory); !ran) return failed("kernel", ran.error());
  std::uint32_t last = 0;
  if (Status loaded = process->read(*memory + 63 * sizeof last, &last, sizeof last); !loaded) {
    return failed("CPU load", loaded.error());
  }
  std::printf("work-item 63 left %" PRIu32 "\n", last);

  // munmap: when it returns no GPU access reaches the old page; the collector puts the advice back.
  if (Status unmapped = process->unmap({*memory, kBytes}); !unmapped) {
    return failed("munmap", unmapped.error());
  }
  Status lost = engine->write(*memory, &seven, sizeof seven);
  std::printf("a GPU store after munmap: %s\n", lost ? "went through" : lost.error().reason);
  auto vmas = vm->vmas();
  if (!vmas) return failed("VMAs", vmas.error());
  const auto resets = vm->counter("svm_attribute_reset_count");
  std::printf("%zu VMA, %" PRIu64 " reset\n", vmas->size(), *resets);
  return value == 7 && last == 63 && !lost && vmas->size() == 1 && *resets == 1 ? 0 : 1;
}
