#!/usr/bin/env python3
"""The same events on real memory and on a simulated process.

    live_and_sim.py --softxe SOFTXE FILE...

Runs every scenario file on both and compares the sequences of events, kind and words. Left out: times, numbers, threads, and `call`
events, which only the simulated process has (on real memory a scenario's own calls are not hooked). Exit status 77: this machine
has no userfaultfd with MOVE.
"""
import argparse
import difflib
import pathlib
import re
import subprocess
import sys
import tempfile

LINE = re.compile(r"\s*\d+\.\d+\s+(?:\d+/\d+\s+)?\d+\s+(?:\d+|-)\s+(\S+)\s+(.*)")
LEFT_OUT = {"call"}
NO_LIVE_MEMORY = 126


def events(softxe, file, live, folder):
    trace = folder / "events.trace"
    done = subprocess.run([softxe, "scenario", *(["--live"] if live else []), "--trace", str(trace), file],
                          capture_output=True, text=True, check=False)
    if live and done.returncode == NO_LIVE_MEMORY:
        sys.exit(77)
    if done.returncode != 0 or "skipped" in done.stdout:
        return [f"{'live' if live else 'simulated'}: {done.stdout}{done.stderr}"]
    shown = subprocess.run([softxe, "trace", str(trace)], capture_output=True, text=True, check=True).stdout
    found = [match.groups() for match in map(LINE.fullmatch, shown.splitlines()) if match]
    return [f"{kind} {words}" for kind, words in found if kind not in LEFT_OUT]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--softxe", required=True)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in args.files:
            simulated, live = (events(args.softxe, file, mode, pathlib.Path(folder)) for mode in (False, True))
            equal = simulated == live and len(simulated) > 20
            failed += not equal
            print(f"{file}: {len(simulated)} events, {'equal' if equal else 'DIFFERENT'}")
            if not equal:
                print("\n".join(list(difflib.unified_diff(simulated, live, "simulated", "live", lineterm=""))[:20]))
    print(f"{len(args.files) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
