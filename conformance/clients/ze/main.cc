// Level Zero programs with results that this program computes itself.
//
//   ze_suite [--list] [REGEX]
//
// One line a row: `pass NAME`, or `FAIL NAME: why`; then `N passed, N failed`. Status 0 when none failed.
#include <cstring>
#include <memory>

#include "rows.h"

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--ban") == 0) return ban(argv[2]);
  const bool list = argc > 1 && std::strcmp(argv[1], "--list") == 0;
  return kit::run_rows(
      kit::all_rows(), {.pattern = argc > 1 + list ? argv[1 + list] : "", .list = list},
      [] { return std::make_unique<kit::World>(); }, [](const kit::Row& row, kit::World& world) { row.run(world); });
}
