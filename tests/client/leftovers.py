#!/usr/bin/env python3
"""Nothing is left of a run, however the program ended: no file, no message queue, no process.

leftovers.py --softxe CMD PROGRAM        (PROGRAM: endings.c)

Looks at TMPDIR, /dev/shm, the System V and POSIX queues and the processes of the run. Where the machine
allows it this happens in namespaces of its own, so that other programs do not count.
"""
import argparse
import os
import subprocess
import sys
import tempfile

# How the program ends, and the status of the run (128 + signal).
ENDINGS = [
    ("return", 0), ("_exit", 0), ("exec", 0), ("killed", 137), ("terminated", 143), ("abort", 134),
    ("crashed", 139), ("child-killed", 0), ("child-crashed", 0),
]
SYSV = ("msg", "sem", "shm")
PRIVATE = "SOFTXE_LEFTOVERS_PRIVATE"
LIMIT_S = 60


def enter_namespaces():
    """Restarts this script with its own /dev/shm, queues and process numbers, if that is possible."""
    if PRIVATE in os.environ:
        return
    setup = 'mount -t tmpfs tmpfs /dev/shm && exec "$0" "$@"'
    unshare = ["unshare", "--ipc", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", setup]
    try:
        possible = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        possible = False
    os.environ[PRIVATE] = "yes" if possible else "no"
    if possible:
        os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])


def listing(folder):
    return {f"{folder}/{name}" for name in os.listdir(folder)} if os.path.isdir(folder) else set()


def things(folder):
    """What a run could leave; another program's only where there are no namespaces."""
    found = listing(folder) | listing("/dev/shm") | listing("/dev/mqueue")
    for kind in SYSV:
        with open(f"/proc/sysvipc/{kind}") as table:
            found |= {f"System V {kind} {line.split()[1]}" for line in table.readlines()[1:]}
    if os.environ[PRIVATE] == "yes":
        found |= {f"process {name}" for name in os.listdir("/proc") if name.isdigit()}
    return found


def run(command, folder):
    environment = {**os.environ, "TMPDIR": folder}
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--softxe", required=True)
    parser.add_argument("program")
    args = parser.parse_args()
    enter_namespaces()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for ending, wanted in ENDINGS:
            before = things(folder)
            status = run([args.softxe, "run", "--", args.program, ending], folder)
            left = things(folder) - before
            if status != wanted or left:
                bad += 1
                print(f"FAIL {ending}: the run ended with {status}, not {wanted}" if status != wanted
                      else f"FAIL {ending}: left {', '.join(sorted(left))}")
    print(f"{len(ENDINGS) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
