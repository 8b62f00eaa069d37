#!/usr/bin/env python3
"""A program that opens no device pays less than 1 ms for the library.

Runs /bin/true 100 times with and without it, in turn, and compares the tenth percentiles: what it takes when
nothing else disturbs, so that a busy machine does not decide. Also: with the library
the program has no thread more, and no descriptor more. usage: inert.py SOFTXE LIBRARY
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 100
LIMIT_S = 0.001

LOOK = ("import os, json; print(json.dumps([sorted(os.listdir('/proc/self/fd')), "
        "len(os.listdir('/proc/self/task'))]))")


def timed(environment: dict[str, str]) -> float:
    start = time.perf_counter()
    pid = os.posix_spawn("/bin/true", ["/bin/true"], environment)
    os.waitpid(pid, 0)
    return time.perf_counter() - start


def main() -> int:
    softxe, library = sys.argv[1:3]
    plain = dict(os.environ)
    with tempfile.TemporaryDirectory() as run_dir:
        os.mkdir(os.path.join(run_dir, "tree"))
        loaded = plain | {"LD_PRELOAD": library, "SOFTXE_ACTIVE": "1", "SOFTXE_RUN_DIR": run_dir}
        times: dict[str, list[float]] = {"plain": [], "loaded": []}
        for _ in range(RUNS):
            times["plain"].append(timed(plain))
            times["loaded"].append(timed(loaded))
    undisturbed = {name: statistics.quantiles(values, n=10)[0] for name, values in times.items()}
    cost = undisturbed["loaded"] - undisturbed["plain"]
    print(f"/bin/true: {cost * 1e6:.0f} us more with the library (tenth percentile of {RUNS})")

    looks = []
    for prefix in ([], [softxe, "run", "--"]):
        out = subprocess.run(prefix + [sys.executable, "-c", LOOK], check=True, text=True,
                             capture_output=True).stdout
        looks.append(json.loads(out))
    if looks[0] != looks[1]:
        print(f"FAIL: descriptors and threads {looks[0]} became {looks[1]}")
        return 1
    if cost >= LIMIT_S:
        print(f"FAIL: the limit is {LIMIT_S * 1e6:.0f} us")
        return 1
    return 0


sys.exit(main())
