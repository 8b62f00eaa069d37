#include "cli/trace_sqlite.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "cli/trace_text.h"

namespace softxe::trace {

namespace {

std::string quoted(const std::string& text) {
  std::string safe = "'";
  for (char c : text) safe += c == '\'' ? "''" : std::string(1, c);
  return safe + '\'';
}

void write_rows(TraceReader& trace, std::FILE* to) {
  fmt::print(
      to,
      "BEGIN;\nCREATE TABLE events(process INTEGER, seq INTEGER, parent INTEGER, time_ns INTEGER, thread INTEGER, "
      "device INTEGER, asid INTEGER, kind TEXT, cause TEXT, address INTEGER, size INTEGER, \"from\" INTEGER, "
      "\"to\" INTEGER, err INTEGER, word INTEGER, text TEXT, PRIMARY KEY(process, seq));\n");
  trace.for_each([&](const NumberedEvent& e) {
    const Event& v = e.event;
    fmt::print(to, "INSERT INTO events VALUES({},{},{},{},{},{},{},'{}','{}',{},{},{},{},{},{},{});\n", e.process,
               v.seq, v.parent, v.time_ns, v.thread, v.device, v.asid, name_of(v.kind), name_of(v.cause),
               static_cast<std::int64_t>(v.address), v.size, static_cast<unsigned>(v.from), static_cast<unsigned>(v.to),
               v.err, static_cast<std::int64_t>(v.word), quoted(sentence_of(v)));
    return true;
  });
  fmt::print(to, "COMMIT;\n");
}

}  // namespace

Status write_sqlite(TraceReader& trace, const std::string& path) {
  unlink(path.c_str());
  int ends[2];
  if (pipe(ends) != 0) return fail(errno, "no pipe to sqlite3");
  const pid_t child = fork();
  if (child < 0) return fail(errno, "sqlite3 cannot be started");
  if (child == 0) {
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    close(ends[1]);
    execlp("sqlite3", "sqlite3", "-batch", "-bail", path.c_str(), nullptr);
    _exit(127);
  }
  close(ends[0]);
  const auto before = std::signal(SIGPIPE, SIG_IGN);  // its status says why it went
  std::FILE* to = fdopen(ends[1], "w");
  write_rows(trace, to);
  std::fclose(to);
  std::signal(SIGPIPE, before);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return fail(ENOENT, "there is no sqlite3 on this machine");
  return status == 0 ? Status{} : fail(EIO, "sqlite3 could not make the database");
}

}  // namespace softxe::trace
