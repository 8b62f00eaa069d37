// OpenCL kernels with results that this program computes itself, on whatever device the ICD loader finds.
//
//   cl_suite [--memory KIND] [--build OPTIONS] [--list] [REGEX]
//
// KIND: buffer (default), usm-host, usm-device, usm-shared, svm, malloc, mmap, stack, global. One line a row:
// `pass NAME`, or `FAIL NAME: why`; then `N passed, N failed`. Status 0 when none failed.
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "rows.h"

namespace kit {
void with_stack(const std::function<void()>& body);
}

namespace {

struct Kind {
  const char* name;
  kit::Memory memory;
};
constexpr Kind kKinds[] = {
    {"buffer", kit::Memory::kBuffer}, {"usm-host", kit::Memory::kUsmHost},     {"usm-device", kit::Memory::kUsmDevice},
    {"svm", kit::Memory::kSvm},       {"usm-shared", kit::Memory::kUsmShared}, {"malloc", kit::Memory::kMalloc},
    {"mmap", kit::Memory::kMmap},     {"stack", kit::Memory::kStack},          {"global", kit::Memory::kGlobal},
};

/// Rows take up to 8 MiB from a stack frame.
void with_large_stack(char** argv) {
  rlimit limit{};
  getrlimit(RLIMIT_STACK, &limit);
  constexpr rlim_t kWanted = 64 << 20;
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= kWanted) return;
  limit.rlim_cur = kWanted;
  if (setrlimit(RLIMIT_STACK, &limit) == 0) execv("/proc/self/exe", argv);
}

int usage() {
  std::fprintf(stderr, "usage: cl_suite [--memory KIND] [--build OPTIONS] [--list] [REGEX]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--ban") == 0) return ban(argv[2]);
  with_large_stack(argv);
  kit::Options options;
  const char* wanted = "";
  bool list = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--memory") == 0 && i + 1 < argc) {
      const char* name = argv[++i];
      bool known = false;
      for (const Kind& kind : kKinds)
        if (std::strcmp(kind.name, name) == 0) options.memory = kind.memory, known = true;
      if (!known) return usage();
    } else if (std::strcmp(argv[i], "--build") == 0 && i + 1 < argc) {
      options.build = argv[++i];
    } else if (std::strcmp(argv[i], "--list") == 0) {
      list = true;
    } else if (argv[i][0] != '-') {
      wanted = argv[i];
    } else {
      return usage();
    }
  }
  return kit::run_rows(
      kit::all_rows(), {.pattern = wanted, .list = list}, [&] { return std::make_unique<kit::Runtime>(options); },
      [](const kit::Row& row, kit::Runtime& runtime) { kit::with_stack([&] { row.run(runtime); }); });
}
