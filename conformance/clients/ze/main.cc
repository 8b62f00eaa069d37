// Level Zero programs with results that this program computes itself.
//
//   ze_suite [--list] [REGEX]
//
// One line a row: `pass NAME`, or `FAIL NAME: why`; then `N passed, N failed`. Status 0 when none failed.
#include <cstring>
#include <memory>
#include <regex>

#include "rows.h"

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--ban") == 0) return ban(argv[2]);
  const bool list = argc > 1 && std::strcmp(argv[1], "--list") == 0;
  const std::regex pattern(argc > 1 + list ? argv[1 + list] : "");
  int passed = 0;
  int failed = 0;
  try {
    std::unique_ptr<kit::World> world;
    if (!list) world = std::make_unique<kit::World>();
    for (const kit::Row& row : kit::all_rows()) {
      if (!std::regex_search(row.name, pattern)) continue;
      if (list) {
        std::printf("%s\n", row.name.c_str());
        continue;
      }
      try {
        row.run(*world);
        std::printf("pass %s\n", row.name.c_str());
        ++passed;
      } catch (const kit::Failed& failure) {
        std::printf("FAIL %s: %s\n", row.name.c_str(), failure.why.c_str());
        ++failed;
      }
      std::fflush(stdout);
    }
  } catch (const kit::Failed& failure) {
    std::printf("no device: %s\n", failure.why.c_str());
    return 1;
  }
  if (!list) std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
