// The report of a run: made from the counter slots, shown as JSON or as text.
#pragma once

#include <string>

#include "preload/slots.h"

namespace softxe::cli {

struct ReportWish {
  std::string file;      ///< JSON goes there; empty: nowhere
  bool summary = false;  ///< text on the error stream
};

/// Makes the report of the run's slots and brings it where `wish` says. EXXX when the file cannot
/// be written.
int deliver_report(const preload::SlotFile& slots, const ReportWish& wish);

}  // namespace softxe::cli
