#include "cli/report_check.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/run_summary.h"

namespace softxe::cli {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "softxe-report-2";

json good_report() {
  return json::parse(R"({"schema": "softxe-report-1",
    "run": {"device_count": 1, "vram_bytes": 67108864, "milliseconds": 1234},
    "processes": [{"pid": 7, "exe": "/bin/x", "profile": "bmg", "rung": "none",
      "kernel_failures": [{"kernel": "0x1", "instruction": "0x2", "text": "mov", "reason": "illegal"}],
      "devices": [{"index": 0, "counters": {"exec_count": 3},
                   "vms": [{"asid": 1, "counters": {"exec_count": 3}}]}]}],
    "total": {"exec_count": 3}})");
}

TEST(ReportForm, EveryMemberThatIsReadMustBeThereAndOfItsType) {
  EXPECT_EQ(wrong_form(good_report(), kSchema), "");
  struct Row {
    const char* place;  ///< JSON pointer
    json value;
  };
  const Row rows[] = {{"/schema", 1},
                      {"/schema", "softxe-report-3"},
                      {"/schema", "softxe-report-"},
                      {"/schema", "softxe-report-1x"},
                      {"/processes", nullptr},
                      {"/processes", json::object()},
                      {"/processes/0", 1},
                      {"/processes/0/pid", -1},
                      {"/processes/0/exe", 1},
                      {"/processes/0/profile", nullptr},
                      {"/processes/0/rung", json::array()},
                      {"/processes/0/kernel_failures", 1},
                      {"/processes/0/kernel_failures/0/reason", 1},
                      {"/processes/0/devices", 1},
                      {"/processes/0/devices/0/index", "0"},
                      {"/processes/0/devices/0/counters", 1},
                      {"/processes/0/devices/0/counters/exec_count", 1.5},
                      {"/processes/0/devices/0/vms", 1},
                      {"/processes/0/devices/0/vms/0/asid", nullptr},
                      {"/processes/0/devices/0/vms/0/counters/exec_count", "3"},
                      {"/total", json::array()},
                      {"/total/exec_count", -3},
                      {"/run", 1},
                      {"/run/milliseconds", "1"}};
  for (const Row& row : rows) {
    json report = good_report();
    report[json::json_pointer(row.place)] = row.value;
    EXPECT_NE(wrong_form(report, kSchema), "") << row.place << " = " << row.value;
  }
}

TEST(ReportForm, TheMessageNamesThePlace) {
  json report = good_report();
  report["processes"][0]["devices"][0]["vms"][0]["asid"] = "x";
  EXPECT_EQ(wrong_form(report, kSchema), "report.processes[0].devices[0].vms[0].asid: not a number");
  report["processes"][0].erase("devices");
  EXPECT_EQ(wrong_form(report, kSchema), "report.processes[0]: no \"devices\"");
}

TEST(RunSummary, NothingThatDidNotHappenHasALine) {
  EXPECT_EQ(summary_text(good_report()),
            "softxe: bmg, 1 device, VRAM 64 MiB, migration level none, 1.23 s\n"
            "  nothing migrates: the GPU uses the program's pages where they are; `softxe doctor` names the cure\n"
            "  EXEC ioctls                             3\n"
            "  process 7: kernel at 0x1 failed at 0x2: mov: illegal\n");
}

TEST(RunSummary, MemoryThatMovedMostIsNamed) {
  json report = good_report();
  report["moved_most"] = {{{"pid", 7},
                           {"start", 0x7f0000000000},
                           {"size", 2 << 20},
                           {"name", "[heap]"},
                           {"to_vram_bytes", 3 << 20},
                           {"to_system_bytes", 4096}}};
  EXPECT_NE(summary_text(report).find("  moved most\n    0x7f0000000000, 2 MiB, [heap]: 3 MiB to VRAM, 4 KiB back\n"),
            std::string::npos)
      << summary_text(report);
}

TEST(RunSummary, TheTimeIsReadFromWhereItStands) {
  json report = good_report();
  report["run"].erase("milliseconds");
  report["duration_ns"] = 2'340'000'000;
  EXPECT_NE(summary_text(report).find(", 2.34 s\n"), std::string::npos);
}

TEST(RunSummary, ALineIsShownForAPartOfItAlone) {
  json report = good_report();
  report["total"] = {{"svm_migrate_to_vram_failed_count", 5}};
  EXPECT_NE(summary_text(report).find("moved to VRAM                           0   refused 5\n"), std::string::npos);
}

}  // namespace
}  // namespace softxe::cli
