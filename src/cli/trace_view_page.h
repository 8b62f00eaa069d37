// The fixed parts of the page that `softxe view` writes.
#pragma once

namespace softxe::trace {

extern const char* const kViewPageHead;    ///< up to the data
extern const char* const kViewPageScript;  ///< what draws them, and the end
// trace_view_page.cc holds them as text: the page is one file.

}  // namespace softxe::trace
