#include "cli/version.h"

namespace softxe::cli {

const char* version_text() { return SOFTXE_VERSION; }

}  // namespace softxe::cli
