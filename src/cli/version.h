// Which softxe this is, for --version. A file of its own: its text changes with every commit (cmake/version.cmake).
#pragma once

namespace softxe::cli {

/// "0.1.0 (commit 1a2b3c4d5e6f)", or without the commit where it is not known.
const char* version_text();

}  // namespace softxe::cli
