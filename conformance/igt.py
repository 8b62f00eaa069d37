"""Running Intel's IGT programs inside the Debian root, and reading what they say.

Knows nothing of expectations: run.py compares. A batch is one process of one test program; each gets
its own mount, IPC and PID namespaces, so nothing it leaves (files, message queues, processes) reaches
the next one or the machine.
"""
import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import time

TEST_DIR = "/usr/libexec/igt-gpu-tools"

# IGT's own words; "Dynamic subtest" lines are details of the subtest around them.
STARTING = re.compile(r"^Starting subtest: (\S+)")
RESULT = re.compile(r"^(?:\x1b\[[0-9;]*m)?Subtest (\S+): (SUCCESS|FAIL|SKIP)\b(?: \(([\d.]+)s\))?")
TIMEOUTS_IN_A_ROW = 5
OUTCOME = {"SUCCESS": "pass", "FAIL": "fail", "SKIP": "skip"}

# What a client program needs around it. Device nodes come from the machine by bind mounts (making
# new ones is refused in a user namespace); /sys and /dev/dri are softxe's business.
SETUP = r"""
set -e
root=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 softxe-dev "$root/dev"
for node in null zero full random urandom tty userfaultfd; do
  if [ -e "/dev/$node" ]; then : > "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; fi
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir -m 1777 "$root/dev/shm"
mount -t tmpfs -o mode=1777 softxe-shm "$root/dev/shm"
mount -t tmpfs -o mode=1777 softxe-tmp "$root/tmp"
mount -t proc softxe-proc "$root/proc"
# Inside a PID namespace this shell is process 1: it must stay, or signals lose their defaults.
"$@" & child=$!
trap 'kill -TERM $child 2>/dev/null' TERM INT
wait $child
"""


class Runner:
    """How to start a program in the root: under softxe, or by a launcher given on the command line."""

    def __init__(self, root, softxe, launcher, options, verbose):
        self.root = os.path.abspath(root)
        self.softxe = os.path.abspath(softxe) if softxe else None
        self.launcher = launcher
        self.options = options
        self.verbose = verbose

    def plain(self, program_args):
        return ["chroot", self.root, *program_args]

    def under_softxe(self, program_args, settings, report):
        if self.launcher:
            words = [word.format(root=self.root, devices=settings.devices, report=report)
                     for word in shlex.split(self.launcher)]
            return words + program_args
        return [self.softxe, "run", "--root", self.root, "--devices", str(settings.devices),
                "--report", report, *self.options, *settings.options, "--", *program_args]

    def isolated(self, command):
        unshare = ["unshare", "--mount", "--ipc", "--pid", "--fork", "--kill-child=KILL"]
        if os.geteuid() != 0:
            unshare += ["--map-root-user", "--map-auto"]
        return [*unshare, "sh", "-c", SETUP, "softxe-conformance", self.root, *command]

    def environment(self, extra):
        # The client must not see the settings of the one who runs the tests.
        env = {key: value for key, value in os.environ.items()
               if key in ("PATH", "LANG", "TERM") or key.startswith("SOFTXE_")}
        env.update({"HOME": "/tmp", "TMPDIR": "/tmp", "IGT_NO_COLOR": "1"})
        env.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        env.update(extra)
        return env

    def list_subtests(self, binary):
        """The names in the program's own order; needs no device."""
        done = subprocess.run(self.isolated(self.plain([f"{TEST_DIR}/{binary}", "--list-subtests"])),
                              env=self.environment({}), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)
        names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        if done.returncode != 0 or not names:
            raise RuntimeError(f"{binary} --list-subtests ended with {done.returncode}: "
                               f"{done.stderr.strip()[-300:]}")
        return names


class BatchResult:
    def __init__(self):
        self.outcomes = {}     # subtest -> (outcome, seconds, last lines of output)
        self.exit = None       # exit status as the shell gives it, None when it was killed
        self.hung = None       # the subtest that ran out of time
        self.current = None    # the subtest that had started and not ended when the process did
        self.tail = []


def run_batch(runner, binary, subtests, settings, report):
    """One process for several subtests. Returns what was learnt, however it ended."""
    result = BatchResult()
    command = runner.isolated(runner.under_softxe(
        [f"{TEST_DIR}/{binary}", "--run-subtest", ",".join(subtests), *settings.args],
        settings, report))
    if runner.verbose:
        shown = command[command.index("softxe-conformance") + 2:]
        print("+ " + " ".join(map(shlex.quote, shown)), flush=True)
    process = subprocess.Popen(command, env=runner.environment(settings.env),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    reader = _LineReader(process.stdout.fileno())
    own_output = []
    # Nothing has started yet: the program's set-up has the same limit as a subtest.
    deadline = time.monotonic() + settings.limit_s
    try:
        while True:
            line = reader.next_line(deadline)
            if line is reader.END:
                break
            if line is reader.LATE:
                result.hung = result.current or ""
                break
            if runner.verbose:
                print("  " + line, flush=True)
            own_output = (own_output + [line])[-40:]
            started, ended = STARTING.match(line), RESULT.match(line)
            if started:
                result.current, own_output = started.group(1), []
                deadline = time.monotonic() + settings.limit_s
            elif ended:
                name = ended.group(1)
                result.outcomes[name] = (OUTCOME[ended.group(2)], float(ended.group(3) or 0),
                                         own_output[:-1])
                result.current, own_output = None, []
                deadline = time.monotonic() + settings.limit_s
        if result.hung is None:
            try:
                process.wait(timeout=settings.limit_s)
            except subprocess.TimeoutExpired:
                result.hung = result.current or ""
    finally:
        # The whole PID namespace goes with its first process: no straggler survives a batch.
        if process.poll() is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        status = process.wait()
        process.stdout.close()
    result.tail = own_output
    result.exit = None if result.hung is not None else (status if status >= 0 else 128 - status)
    return result


class _LineReader:
    """Lines of a pipe with a deadline; the pipe may outlive the process that matters."""
    END = object()
    LATE = object()

    def __init__(self, fd):
        self.fd, self.buffer, self.closed = fd, b"", False

    def next_line(self, deadline):
        while True:
            newline = self.buffer.find(b"\n")
            if newline >= 0:
                line, self.buffer = self.buffer[:newline], self.buffer[newline + 1:]
                return line.decode("utf-8", "replace").rstrip("\r")
            if self.closed:
                if self.buffer:
                    line, self.buffer = self.buffer, b""
                    return line.decode("utf-8", "replace")
                return self.END
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return self.LATE
            data = os.read(self.fd, 65536)
            if data:
                self.buffer += data
            else:
                self.closed = True


class Settings:
    """How one program is run; its expectation file may say more."""

    def __init__(self, devices=1, limit_s=60.0):
        self.devices, self.limit_s = devices, limit_s
        self.args, self.env = [], {}
        self.options = []      # of `softxe run`, for these subtests only

    def with_options(self, options):
        other = Settings(self.devices, self.limit_s)
        other.args, other.env, other.options = self.args, self.env, list(options)
        return other


def run_subtests(runner, binary, subtests, settings, batch_size, on_outcome):
    """Runs all, in batches; what a crash or a hang left undone runs again in a fresh process.

    Calls on_outcome(subtest, outcome, seconds, output, report path or None, batch length).
    """
    waiting = list(subtests)
    timeouts = 0   # in a row
    with tempfile.TemporaryDirectory(prefix="softxe-conformance-") as folder:
        number = 0
        while waiting:
            batch, number = waiting[:batch_size], number + 1
            report = os.path.join(folder, f"report-{number}.json")
            got = run_batch(runner, binary, batch, settings, report)
            done = set()

            def give(name, outcome, seconds, output):
                done.add(name)
                on_outcome(name, outcome, seconds, output, report, len(batch))

            for name, (outcome, seconds, output) in got.outcomes.items():
                if name in batch and name not in done:
                    give(name, outcome, seconds, output)
            left = [name for name in batch if name not in done]
            timeouts = 0 if got.outcomes else timeouts
            if got.hung is not None and left:
                timeouts += 1
                give(got.hung if got.hung in left else left[0], "timeout", settings.limit_s,
                     got.tail + [f"no result within {settings.limit_s:g} s"])
            elif got.current in left:
                give(got.current, "crash", 0.0, got.tail + [f"the program ended with {got.exit}"])
            elif left and not done:
                # It died before any subtest: so it will for all of them. No known failure looks like this.
                for name in left:
                    give(name, "dead", 0.0,
                         got.tail + [f"the program ended with {got.exit} before any subtest"])
            elif left and got.exit is not None and got.exit in (0, 77, 98):
                for name in left:
                    give(name, "crash", 0.0, [f"the program ended with {got.exit} and no result"])
            waiting = [name for name in waiting if name not in done]
            if timeouts >= TIMEOUTS_IN_A_ROW:
                # A dead device would cost the limit for each of hundreds.
                for name in waiting:
                    on_outcome(name, "not-run", 0.0,
                               [f"given up after {timeouts} timeouts in a row"], report, 1)
                return
