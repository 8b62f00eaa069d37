// A trace as a database: one table `events`, by the sqlite3 program.
#pragma once

#include <string>

#include "cli/trace_reader.h"

namespace softxe::trace {

/// Makes the file anew. ENOENT: there is no sqlite3 here; EIO: it failed.
Status write_sqlite(TraceReader& trace, const std::string& path);

}  // namespace softxe::trace
