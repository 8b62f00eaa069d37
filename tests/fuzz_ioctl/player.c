/* player LIST: see player.h. Status 0: all is well; 1: it is not, with the reason; 4: a child; 5: a step never ended.
 */
#define _GNU_SOURCE
#include "player.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  kLinesMax = 4096,
  kChildrenMax = 64,
  kTickMs = 50,
  kPatienceTicks = 20, /* then a step is interrupted as Ctrl-C would, at every tick */
  kGivenUpTicks = 600, /* and then it hangs */
};

static char list[1 << 20];
static char* lines[kLinesMax];
static int line_count;

/* ---- faults and interruptions ---- */

static void on_fault(int signal_number) {
  if (guard_jump != NULL) siglongjmp(*guard_jump, 1);
  signal(signal_number, SIG_DFL);
}

static atomic_int child_ticks;
static void on_tick(int signal_number) {
  (void)signal_number;
  if (atomic_fetch_add(&child_ticks, 1) > kGivenUpTicks) _exit(5);
}

static void install_handlers(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_fault;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  action.sa_handler = on_tick; /* without SA_RESTART: a wait ends with EINTR */
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGUSR1, &action, NULL);
}

/* ---- threads and children ---- */

struct worker {
  int number;
  pthread_t thread;
  atomic_int line; /* the one it is at; -1: done */
};
static struct worker workers[kThreadsMax];
static pid_t children[kChildrenMax];
static atomic_int child_count;
static atomic_int bad_children;

static int thread_of(const char* text) { return *text - '0'; }

static void note_child(pid_t child, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  atomic_fetch_add(&bad_children, 1);
  printf("child %d ended with %s %d\n", (int)child, WIFSIGNALED(status) ? "signal" : "status",
         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void wait_child(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return;
  note_child(child, status);
}

/* The next line of this thread behind the block that begins at `first`. */
static int end_of_block(int first, int number) {
  for (int at = first; at < line_count; ++at)
    if (thread_of(lines[at]) == number && strcmp(lines[at] + 2, "end") == 0) return at;
  return line_count;
}

static void play_block(struct worker* worker, int first, int end);

static void play_child(struct worker* worker, int first, int end) {
  atomic_store(&child_ticks, 0);
  const struct itimerval tick = {{0, kTickMs * 1000}, {kPatienceTicks * kTickMs / 1000, 0}};
  setitimer(ITIMER_REAL, &tick, NULL);
  play_block(worker, first, end);
  _exit(0);
}

/* Returns the line to go on with. */
static int fork_block(struct worker* worker, int at, int beside) {
  const int end = end_of_block(at + 1, worker->number);
  const int slot = atomic_fetch_add(&child_count, 1);
  if (slot >= kChildrenMax) return end;
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) play_child(worker, at + 1, end);
  if (child > 0 && !beside)
    wait_child(child);
  else if (child > 0)
    children[slot] = child;
  return end;
}

static void play_block(struct worker* worker, int first, int end) {
  for (int at = first; at < end; ++at) {
    if (thread_of(lines[at]) != worker->number) continue;
    atomic_store(&worker->line, at);
    const char* step = lines[at] + 2;
    if (strcmp(step, "fork") == 0 || strcmp(step, "fork_beside") == 0) {
      at = fork_block(worker, at, step[4] != '\0');
    } else if (strcmp(step, "end") != 0) {
      char text[1 << 14];
      snprintf(text, sizeof text, "%s", step);
      run_step(text);
    }
  }
}

static void* play_thread(void* argument) {
  struct worker* worker = argument;
  play_block(worker, 0, line_count);
  atomic_store(&worker->line, -1);
  return NULL;
}

/* Until every thread is done. A step that lasts is interrupted, as a user would do. */
static void watch(int threads) {
  int since[kThreadsMax] = {0}, seen[kThreadsMax] = {0};
  for (int left = threads; left > 0;) {
    left = 0;
    poll(NULL, 0, kTickMs);
    for (int t = 0; t < threads; ++t) {
      const int line = atomic_load(&workers[t].line);
      if (line < 0) continue;
      ++left;
      since[t] = line == seen[t] ? since[t] + 1 : 0;
      seen[t] = line;
      if (since[t] > kPatienceTicks) pthread_kill(workers[t].thread, SIGUSR1);
      if (since[t] > kGivenUpTicks) {
        printf("HANGS: thread %d in line %d: %s\n", t, line + 1, lines[line]);
        fflush(stdout);
        _exit(5);
      }
    }
  }
}

static int read_list(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t have = file < 0 ? -1 : read(file, list, sizeof list - 1);
  if (have < 0) {
    perror(path);
    return -1;
  }
  close(file);
  char* rest = NULL;
  int threads = 1;
  for (char* text = strtok_r(list, "\n", &rest); text != NULL && line_count < kLinesMax;
       text = strtok_r(NULL, "\n", &rest)) {
    const int number = thread_of(text);
    if (number < 0 || number >= kThreadsMax || text[1] != ' ') {
      fprintf(stderr, "player: not a line: %s\n", text);
      return -1;
    }
    if (number >= threads) threads = number + 1;
    lines[line_count++] = text;
  }
  return threads;
}

int main(int argc, char** argv) {
  const int threads = argc == 2 ? read_list(argv[1]) : -1;
  if (threads < 0) {
    fprintf(stderr, "usage: player LIST\n");
    return 2;
  }
  const struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  install_handlers();
  proof_start();
  for (int t = 0; t < threads; ++t) {
    workers[t].number = t;
    if (pthread_create(&workers[t].thread, NULL, play_thread, &workers[t]) != 0) return 2;
  }
  watch(threads);
  for (int t = 0; t < threads; ++t) pthread_join(workers[t].thread, NULL);
  for (int c = 0; c < child_count && c < kChildrenMax; ++c)
    if (children[c] > 0) wait_child(children[c]);
  print_request_counts();
  if (bad_children != 0) return 4;
  return proof_end();
}
