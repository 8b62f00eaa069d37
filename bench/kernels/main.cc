// The kernel workload: 14 OpenCL programs, each against the same in plain C++ (docs/BENCH.md).
//
//   kernels [-k NAME,...] [-s SHIFT] [-n REPETITIONS] [--plain]
//
// One line a program: `NAME WALL CPU`, in nanoseconds: the least time from the first enqueue to the end of clFinish,
// and the least processor time of all threads in one repetition. --plain measures plain C++ on this thread and needs no
// device. Status 1 when a result is wrong. -s halves the work SHIFT times. The first repetition is not counted: there
// compilers finish and memory moves.
#include <ctime>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "program.h"

namespace kernels {
namespace {

struct Options {
  std::string names;  ///< ",a,b,"; empty: all
  Scale scale;
  unsigned repetitions = 3;
  bool plain = false;

  bool wants(const char* name) const {
    return names.empty() || names.find("," + std::string(name) + ",") != std::string::npos;
  }
};

std::uint64_t now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

/// The least of several repetitions.
struct Measured {
  std::uint64_t wall_ns = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t cpu_ns = std::numeric_limits<std::uint64_t>::max();

  template <typename Body>
  void add(const Body& body) {
    const std::uint64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    const std::uint64_t wall = now_ns(CLOCK_MONOTONIC);
    body();
    wall_ns = std::min(wall_ns, now_ns(CLOCK_MONOTONIC) - wall);
    cpu_ns = std::min(cpu_ns, now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  }
};

Measured measure(Program& program, const Options& options, Device* device) {
  Measured measured;
  Measured of_plain;
  of_plain.add([&] { program.plain(); });  // pages of its results are touched for the first time
  if (device == nullptr) {
    for (unsigned i = 0; i < options.repetitions; ++i) measured.add([&] { program.plain(); });
    return measured;
  }
  device->load(program.source());
  program.prepare(*device);
  const auto once = [&] {
    program.enqueue(*device);
    device->finish();
  };
  program.reset(*device);
  once();
  for (unsigned i = 0; i < options.repetitions; ++i) {
    program.reset(*device);
    measured.add(once);
  }
  program.check(*device);
  return measured;
}

int run(const Options& options) {
  std::vector<ProgramRow> rows;
  add_stream_programs(rows);
  add_product_programs(rows);
  add_group_programs(rows);
  add_item_programs(rows);
  add_gather_programs(rows);
  int status = 0;
  try {
    const std::unique_ptr<Device> device = options.plain ? nullptr : std::make_unique<Device>();
    if (device) std::fprintf(stderr, "device: %s\n", device->name().c_str());
    for (const ProgramRow& row : rows) {
      if (!options.wants(row.name)) continue;
      try {
        const std::unique_ptr<Program> program = row.make(options.scale);
        const Measured measured = measure(*program, options, device.get());
        std::printf("%s %llu %llu\n", row.name, static_cast<unsigned long long>(measured.wall_ns),
                    static_cast<unsigned long long>(measured.cpu_ns));
      } catch (const Failed& failed) {
        std::fprintf(stderr, "%s: %s\n", row.name, failed.why.c_str());
        status = 1;
      }
      std::fflush(stdout);
    }
  } catch (const Failed& failed) {
    std::fprintf(stderr, "no device: %s\n", failed.why.c_str());
    return 2;
  }
  return status;
}

}  // namespace
}  // namespace kernels

int main(int argc, char** argv) {
  kernels::Options options;
  for (int i = 1; i < argc; ++i) {
    const bool more = i + 1 < argc;
    if (std::strcmp(argv[i], "-k") == 0 && more) {
      options.names = "," + std::string(argv[++i]) + ",";
    } else if (std::strcmp(argv[i], "-s") == 0 && more) {
      options.scale.halvings = static_cast<unsigned>(std::atoi(argv[++i]));
    } else if (std::strcmp(argv[i], "-n") == 0 && more) {
      options.repetitions = static_cast<unsigned>(std::atoi(argv[++i]));
    } else if (std::strcmp(argv[i], "--plain") == 0) {
      options.plain = true;
    } else {
      std::fprintf(stderr, "usage: kernels [-k NAME,...] [-s SHIFT] [-n REPETITIONS] [--plain]\n");
      return 2;
    }
  }
  return kernels::run(options);
}
