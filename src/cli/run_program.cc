#include "cli/run_program.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <vector>

namespace softxe::cli {

namespace {

std::string in_root(const std::string& root, const std::string& path) { return root + path; }

Result<std::vector<char>> read_start(const std::string& file, std::size_t bytes, off_t offset) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(errno, "cannot read the program");
  std::vector<char> data(bytes);
  const ssize_t got = pread(fd, data.data(), bytes, offset);
  close(fd);
  if (got < 0) return fail(errno, "cannot read the program");
  data.resize(static_cast<std::size_t>(got));
  return data;
}

Status check_elf(const std::string& file) {
  SX_TRY(std::vector<char> start, read_start(file, 4096, 0));
  if (start.size() < sizeof(Elf64_Ehdr)) return fail(ENOEXEC, "not an ELF program");
  Elf64_Ehdr header;
  std::memcpy(&header, start.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return fail(ENOEXEC, "not an ELF program");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64) {
    return fail(ENOEXEC, "not a 64-bit x86-64 program");
  }
  SX_TRY(std::vector<char> table,
         read_start(file, sizeof(Elf64_Phdr) * header.e_phnum, static_cast<off_t>(header.e_phoff)));
  for (std::size_t at = 0; at + sizeof(Elf64_Phdr) <= table.size(); at += sizeof(Elf64_Phdr)) {
    Elf64_Phdr segment;
    std::memcpy(&segment, table.data() + at, sizeof segment);
    if (segment.p_type != PT_INTERP) continue;
    SX_TRY(std::vector<char> loader, read_start(file, segment.p_filesz, static_cast<off_t>(segment.p_offset)));
    const std::string name(loader.data(), strnlen(loader.data(), loader.size()));
    if (name.find("musl") != std::string::npos) {
      return fail(ENOEXEC, "program for musl: the preload library is for glibc");
    }
    return {};
  }
  return fail(ENOEXEC, "statically linked: a preload library cannot enter it");
}

}  // namespace

Result<std::string> find_program(const std::string& root, const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (access(in_root(name[0] == '/' ? root : std::string(), name).c_str(), X_OK) != 0) {
      return fail(errno, "cannot execute the program");
    }
    return name;
  }
  const char* path = getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  std::string folder;
  while (std::getline(folders, folder, ':')) {
    std::string candidate = folder;
    candidate.append("/").append(name);
    if (access(in_root(root, candidate).c_str(), X_OK) == 0) return candidate;
  }
  return fail(ENOENT, "no such program in PATH");
}

Status check_program(const std::string& root, const std::string& path) {
  std::string file = in_root(path[0] == '/' ? root : std::string(), path);
  struct stat info {};
  if (stat(file.c_str(), &info) != 0) return fail(errno, "cannot look at the program");
  if (!S_ISREG(info.st_mode)) return fail(EACCES, "not a program");
  if ((info.st_mode & (S_ISUID | S_ISGID)) != 0) {
    return fail(EPERM, "setuid or setgid: the loader ignores preload libraries there");
  }
  SX_TRY(std::vector<char> start, read_start(file, 256, 0));
  if (start.size() > 2 && start[0] == '#' && start[1] == '!') {
    std::istringstream line(std::string(start.begin() + 2, start.end()));
    std::string interpreter;
    line >> interpreter;
    return check_elf(in_root(root, interpreter));
  }
  return check_elf(file);
}

}  // namespace softxe::cli
