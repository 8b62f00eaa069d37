#!/usr/bin/env python3
"""A descendant that outlives the command keeps its devices; what it needed goes with a later run.

usage: outlives.py SOFTXE CLIENT

The program of the run leaves a daemon behind and ends. When the run is over the daemon opens a device, starts a
program that opens one, and one with an empty environment; then another run removes the folder of the first.
"""
import os
import subprocess
import sys
import tempfile

DAEMON = """
import os, subprocess, sys
wake, results, client = sys.argv[1:]
if os.fork():
    os._exit(0)
os.setsid()
null = os.open(os.devnull, os.O_RDWR)
for fd in range(3):
    os.dup2(null, fd)
open(wake).read()
with open(results, "w") as out:
    try:
        os.close(os.open("/dev/dri/renderD128", os.O_RDWR))
        out.write("daemon\\n")
    except OSError as error:
        out.write(f"daemon: {error}\\n")
    for environment in (None, {}):
        out.write(f"child {subprocess.run([client], env=environment).returncode}\\n")
"""


def main():
    softxe, client = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        runs = os.path.join(folder, "runs")
        os.mkdir(runs)
        environment = {**os.environ, "TMPDIR": runs}
        wake, results = os.path.join(folder, "wake"), os.path.join(folder, "results")
        os.mkfifo(wake)
        os.mkfifo(results)
        ended = subprocess.run([softxe, "run", "--", sys.executable, "-c", DAEMON, wake, results, client],
                               env=environment)
        bad = []
        if ended.returncode != 0:
            bad.append(f"the run ended with {ended.returncode}")
        subprocess.run([softxe, "run", "--", "/bin/true"], env=environment, check=True)
        if len(os.listdir(runs)) != 1:
            bad.append(f"beside the daemon there is {os.listdir(runs)}")
        open(wake, "w").close()
        with open(results) as answers:  # ends when the daemon does
            seen = answers.read()
        if seen != "daemon\nchild 0\nchild 0\n":
            bad.append(f"the daemon says: {seen}")
        while daemons(runs):
            pass
        subprocess.run([softxe, "run", "--", "/bin/true"], env=environment, check=True)
        if os.listdir(runs):
            bad.append(f"left behind: {os.listdir(runs)}")
    for line in bad:
        print(line)
    return 1 if bad else 0


def daemons(runs):
    """Processes that were started with a folder of these runs."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if f"SOFTXE_RUN_DIR={runs}".encode() in environ.read():
                    found.append(pid)
        except OSError:
            pass
    return found


if __name__ == "__main__":
    sys.exit(main())
