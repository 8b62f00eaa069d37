#include "cli/run_program.h"

#include <elf.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <sstream>

#include "cli/commands.h"

namespace softxe::cli {

namespace {

/// The kernel gives up at the fifth script in a row; env(1) in between makes longer chains possible.
constexpr unsigned kScriptsMax = 8;

tl::unexpected<Refusal> cannot(std::string_view what, std::string_view why) {
  return refuse(kExitCannotRun, fmt::format("{}: {}", what, why));
}

/// An interpreter: what it is called and what it gets before the script's own arguments.
struct Interpreter {
  std::string file;
  std::vector<std::string> arguments;
};

/// The first line of a script, as the kernel splits it: interpreter, and the rest as one argument.
Interpreter read_first_line(const std::vector<char>& start) {
  std::string line(start.begin() + 2, start.end());
  line = line.substr(0, line.find_first_of(std::string_view("\n\0", 2)));
  const auto begin = line.find_first_not_of(" \t");
  if (begin == std::string::npos) return {};
  const auto end = line.find_first_of(" \t", begin);
  Interpreter found{.file = line.substr(begin, end == std::string::npos ? end : end - begin), .arguments = {}};
  if (end == std::string::npos) return found;
  const auto rest = line.find_first_not_of(" \t", end);
  if (rest != std::string::npos) found.arguments.push_back(line.substr(rest, line.find_last_not_of(" \t") - rest + 1));
  return found;
}

std::vector<std::string> split(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

/// What env(1) starts: the first word that is neither an option nor a variable. Empty: nothing, or it cannot be told.
std::vector<std::string> started_by_env(std::vector<std::string> words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string& word = words[i];
    if (word.starts_with("-S") || word.starts_with("--split-string=")) {
      const auto more = split(word.substr(word[1] == 'S' ? 2 : word.find('=') + 1));
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
      words.insert(words.begin() + static_cast<std::ptrdiff_t>(i), more.begin(), more.end());
      --i;
    } else if (word == "-u" || word == "-C") {
      ++i;
    } else if (word != "--" && !word.starts_with("-") && word.find('=') == std::string::npos) {
      return {words.begin() + static_cast<std::ptrdiff_t>(i), words.end()};
    }
  }
  return {};
}

bool is_env(const std::string& file) { return file.substr(file.rfind('/') + 1) == "env"; }

/// Of a dynamic program: is its loader one that knows LD_PRELOAD of glibc libraries?
Answer<void> check_loader(const RootView& files, const std::string& file, const Elf64_Phdr& segment) {
  const auto name = files.read(file, segment.p_filesz, static_cast<off_t>(segment.p_offset));
  if (!name) return cannot(file, std::strerror(name.error().err));
  const std::string loader(name->data(), strnlen(name->data(), name->size()));
  if (loader.find("musl") != std::string::npos) {
    return cannot(file, "a program for musl: softxe enters programs for glibc only; use one that is built for glibc");
  }
  if (files.look(loader)) return {};
  return cannot(file, fmt::format("its loader {} does not exist here; install the libc that it was built for", loader));
}

Answer<void> check_elf(const RootView& files, const std::string& file, const std::vector<char>& start) {
  if (start.size() < sizeof(Elf64_Ehdr) && start.size() < EI_NIDENT) return cannot(file, "not an ELF program");
  if (start[EI_CLASS] != ELFCLASS64) return cannot(file, "not a 64-bit x86-64 program; use a 64-bit build of it");
  if (start.size() < sizeof(Elf64_Ehdr)) return cannot(file, "not an ELF program: it is cut off");
  Elf64_Ehdr header;
  std::memcpy(&header, start.data(), sizeof header);
  if (header.e_machine != EM_X86_64) return cannot(file, "not a 64-bit x86-64 program; use a build for x86-64");
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
    return cannot(file, "an object file, not a program; link it");
  const auto table = files.read(file, sizeof(Elf64_Phdr) * header.e_phnum, static_cast<off_t>(header.e_phoff));
  if (!table) return cannot(file, std::strerror(table.error().err));
  for (std::size_t at = 0; at + sizeof(Elf64_Phdr) <= table->size(); at += sizeof(Elf64_Phdr)) {
    Elf64_Phdr segment;
    std::memcpy(&segment, table->data() + at, sizeof segment);
    if (segment.p_type == PT_INTERP) return check_loader(files, file, segment);
  }
  return cannot(file, "statically linked: the loader that softxe needs is not in it; link it dynamically");
}

Answer<void> check_file(const RootView& files, const std::string& file) {
  const auto info = files.look(file);
  if (!info) return cannot(file, std::strerror(info.error().err));
  if (S_ISDIR(info->st_mode)) return cannot(file, "a folder, not a program");
  if (!S_ISREG(info->st_mode)) return cannot(file, "not a program");
  if (const auto allowed = files.may_execute(file); !allowed) {
    return cannot(file, fmt::format("{}; chmod +x makes a file executable", std::strerror(allowed.error().err)));
  }
  if ((info->st_mode & (S_ISUID | S_ISGID)) != 0) {
    return cannot(file, "setuid or setgid: the loader ignores preload libraries there; run a copy without that bit");
  }
  if (files.has_capabilities(file)) {
    return cannot(file, "file capabilities: the loader ignores preload libraries there; run a copy without them");
  }
  return {};
}

}  // namespace

Answer<std::string> find_program(const RootView& files, const std::string& name) {
  if (name.empty()) return refuse(kExitNotFound, "the name of the program is empty");
  if (name.find('/') != std::string::npos) {
    if (const auto found = files.look(name); !found) {
      const int error = found.error().err;
      const bool absent = error == ENOENT || error == ENOTDIR;
      return refuse(absent ? kExitNotFound : kExitCannotRun, fmt::format("{}: {}", name, std::strerror(error)));
    }
    return name;
  }
  const char* variable = getenv("PATH");
  std::string_view path = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  bool forbidden = false;
  for (bool more = true; more;) {
    const auto end = path.find(':');
    more = end != std::string_view::npos;
    std::string folder(path.substr(0, end));
    path.remove_prefix(more ? end + 1 : path.size());
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    const auto info = files.look(candidate);
    if (!info || !S_ISREG(info->st_mode)) continue;
    if (files.may_execute(candidate)) return candidate;
    forbidden = true;
  }
  if (forbidden) return cannot(name, "in PATH there is a file of this name, but it may not be executed");
  return refuse(kExitNotFound, fmt::format("{}: no such program in PATH", name));
}

Answer<void> check_program(const RootView& files, const std::string& file, const std::vector<std::string>& arguments) {
  std::string now = file;
  std::vector<std::string> rest = arguments;
  std::string via;
  for (unsigned depth = 0; depth < kScriptsMax; ++depth) {
    const auto in_chain = [&](const Refusal& refusal) {
      return refuse(refusal.status, via.empty() ? refusal.why : fmt::format("{} ({})", refusal.why, via));
    };
    if (const auto fit = check_file(files, now); !fit) return in_chain(fit.error());
    const auto start = files.read(now, 4096, 0);
    if (!start) return in_chain({kExitCannotRun, fmt::format("{}: {}", now, std::strerror(start.error().err))});
    const std::string_view head(start->data(), start->size());
    if (head.starts_with(ELFMAG)) {
      if (const auto fit = check_elf(files, now, *start); !fit) return in_chain(fit.error());
      if (!is_env(now)) return {};
      const auto words = started_by_env(rest);
      if (words.empty()) return {};
      const auto next = find_program(files, words.front());
      if (!next) return {};  // env says so itself, and how it ends is how the run ends
      via = fmt::format("started by {}", now);
      now = *next;
      rest.assign(words.begin() + 1, words.end());
    } else if (head.starts_with("#!")) {
      Interpreter interpreter = read_first_line(*start);
      if (interpreter.file.empty()) return cannot(now, "its first line names no interpreter");
      if (!interpreter.file.empty() && interpreter.file.back() == '\r') {
        return cannot(now, "its first line ends as on Windows (CR LF); convert the file");
      }
      via = fmt::format("interpreter of {}", now);
      rest.insert(rest.begin(), now);
      rest.insert(rest.begin(), interpreter.arguments.begin(), interpreter.arguments.end());
      now = interpreter.file;
    } else {
      return in_chain(
          {kExitCannotRun, fmt::format("{}: not an ELF program, and no script with a #! line; a shell script "
                                       "without that line runs as: softxe run sh {}",
                                       now, now)});
    }
  }
  return cannot(file, "more scripts that interpret scripts than the kernel starts");
}

std::string why_no_device(const RootView& files) {
  for (const char* folder : {"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"}) {
    if (!files.look(std::string(folder) + "/libdrm.so.2")) continue;
    return "the program may use no GPU, or it leaves that to a program that softxe cannot enter (static, setuid)";
  }
  return "there is no libdrm.so.2, by which most programs find a GPU: sudo apt install libdrm2";
}

}  // namespace softxe::cli
