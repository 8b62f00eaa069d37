// Looking at the program before it starts: what the preload library cannot enter is refused with a sentence.
#pragma once

#include <string>
#include <vector>

#include "cli/refusal.h"
#include "cli/root_view.h"

namespace softxe::cli {

/// The file that execvp() would choose: a name with a slash is a path, others are looked up in PATH, where an empty
/// element is the current folder. 127 when there is none, 126 when it may not be executed.
Answer<std::string> find_program(const RootView& files, const std::string& name);

/// Success when a preload library works in what runs in the end: a 64-bit dynamic x86-64 program for glibc without
/// setuid, setgid or capabilities. Scripts are judged by their interpreter, through further scripts and env(1). 126.
Answer<void> check_program(const RootView& files, const std::string& file, const std::vector<std::string>& arguments);

/// Of a run in which no process opened a device: the likely reason, as a sentence.
std::string why_no_device(const RootView& files);

}  // namespace softxe::cli
