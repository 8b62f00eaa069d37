"""Running a list of programs inside the Debian root, in one `softxe run`, each with a time limit of its own.

Everything they leave in /tmp goes with the run (igt.py's namespaces). Knows nothing of expectations.
"""
import os
import re
import shlex
import signal
import subprocess

import igt

# On PoCL the machine's processors are the device; it looks for them in /sys, which softxe has its own of.
WITH_SYS = 'mount --rbind /sys "$0/sys" && exec chroot "$0" "$@"'
MARK = re.compile(r"^@@@ (begin|end) (\d+)(?: (\d+))?$")


class Command:
    """One program: words, seconds it may take, folder it runs in, and environment of its own."""

    def __init__(self, words, limit_s, folder="/", env=None):
        self.words, self.limit_s, self.folder, self.env = words, limit_s, folder, env or {}


class Root:
    """How programs start in the root: over Intel's runtime and softxe, or over PoCL and nothing else."""

    def __init__(self, root, softxe, device):
        self.runner = igt.Runner(root, softxe, None, [], False)
        self.device = device

    def command(self, text, report):
        shell = ["/bin/sh", "-c", text]
        if self.device == "pocl":
            inside = ["sh", "-c", WITH_SYS, self.runner.root, *shell]
        else:
            inside = self.runner.under_softxe(shell, igt.Settings(), report)
        return self.runner.isolated(inside)

    def environment(self):
        # One device is what programs choose from; caches of compiled kernels go with /tmp.
        return self.runner.environment({"OCL_ICD_VENDORS": f"/etc/OpenCL/vendors/{self.device}.icd"})


def script(commands):
    lines = []
    for number, command in enumerate(commands):
        words = [f"{name}={value}" for name, value in command.env.items()] + list(command.words)
        lines += [f"echo '@@@ begin {number}'",
                  f"(cd {shlex.quote(command.folder)} && exec timeout -k 5 {command.limit_s} env "
                  f"{shlex.join(words)}) < /dev/null 2>&1",
                  f"ended=$?; echo; echo '@@@ end {number}' $ended"]
    return "\n".join(lines) + "\n"


def run(root, commands, report):
    """[(status, output lines)] in the order of the commands; status None when it never ended.

    A status is the shell's: 124 for a program that ran out of time, 128 + the signal that ended it.
    """
    results = [(None, []) for _ in commands]
    deadline = sum(command.limit_s + 10 for command in commands) + 60
    process = subprocess.Popen(root.command(script(commands), report), env=root.environment(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    current, lines = None, []
    for line in output.decode("utf-8", "replace").splitlines():
        mark = MARK.match(line)
        if not mark:
            lines.append(line)
        elif mark.group(1) == "begin":
            current, lines = int(mark.group(2)), []
        elif current is not None and current == int(mark.group(2)):
            results[current] = (int(mark.group(3)), lines)
            current, lines = None, []
    if current is not None:
        results[current] = (None, lines)
    return results


def ended_badly(status):
    """`timeout` or `crash` for a program that did not end by itself, or None."""
    if status is None or status in (124, 137):
        return "timeout"
    return "crash" if status > 128 else None
