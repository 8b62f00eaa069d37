#!/usr/bin/env python3
"""A program that opens no device pays little for the library.

Runs /bin/true with and without it and compares the page faults, which are most of what a start costs and do not depend on
how busy the machine is; the time is printed (bench/ holds it against its goal). Also: with the library the program has no
thread more, and no descriptor more. usage: inert.py SOFTXE LIBRARY
"""
import json
import os
import subprocess
import sys
import tempfile
import time

RUNS = 20
# 77 KiB of data, the pages of code that the loader and the constructor go through, their tables: 86 as this was written.
FAULTS_MAX = 150

LOOK = ("import os, json; print(json.dumps([sorted(os.listdir('/proc/self/fd')), "
        "len(os.listdir('/proc/self/task'))]))")


def run(environment: dict[str, str]) -> tuple[float, int]:
    """Seconds and page faults."""
    start = time.perf_counter()
    pid = os.posix_spawn("/bin/true", ["/bin/true"], environment)
    usage = os.wait4(pid, 0)[2]
    return time.perf_counter() - start, usage.ru_minflt + usage.ru_majflt


def main() -> int:
    softxe, library = sys.argv[1:3]
    plain = dict(os.environ)
    with tempfile.TemporaryDirectory() as run_dir:
        os.mkdir(os.path.join(run_dir, "tree"))
        loaded = plain | {"LD_PRELOAD": library, "SOFTXE_ACTIVE": "1", "SOFTXE_RUN_DIR": run_dir}
        without, with_it = zip(*((run(plain), run(loaded)) for _ in range(RUNS)))
    seconds = min(time for time, _ in with_it) - min(time for time, _ in without)
    faults = min(count for _, count in with_it) - min(count for _, count in without)
    print(f"/bin/true: {faults} page faults and {seconds * 1e6:.0f} us more with the library (least of {RUNS})")

    looks = []
    for prefix in ([], [softxe, "run", "--"]):
        out = subprocess.run(prefix + [sys.executable, "-c", LOOK], check=True, text=True,
                             capture_output=True).stdout
        looks.append(json.loads(out))
    if looks[0] != looks[1]:
        print(f"FAIL: descriptors and threads {looks[0]} became {looks[1]}")
        return 1
    if faults > FAULTS_MAX:
        print(f"FAIL: the limit is {FAULTS_MAX} page faults")
        return 1
    return 0


sys.exit(main())
