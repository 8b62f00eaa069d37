#include <cstdio>
#include <fstream>

#include "cli/commands.h"
#include "cli/report.h"

namespace softxe::cli {

void add_report(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("report", "Show a report that `softxe run --report` wrote");
  auto file = std::make_shared<std::string>();
  verb->add_option("FILE", *file, "Report")->required()->check(CLI::ExistingFile);
  auto check = std::make_shared<bool>(false);
  verb->add_flag("--check", *check, "Fail when the numbers contradict each other");
  verb->callback([=, &action] {
    action = [=] {
      std::ifstream in(*file);
      const auto report = nlohmann::json::parse(in, nullptr, false);
      if (report.is_discarded() || !report.contains("total")) {
        std::fprintf(stderr, "softxe report: %s is not a report\n", file->c_str());
        return kExitUsage;
      }
      std::printf("%s", summary_text(report).c_str());
      if (!*check) return 0;
      const std::string broken = check_report(report);
      if (!broken.empty()) std::printf("the numbers do not fit: %s\n", broken.c_str());
      return broken.empty() ? 0 : 1;
    };
  });
}

}  // namespace softxe::cli
