#!/usr/bin/env python3
"""Runs one client program under `softxe run` and checks what it did.

run_client.py --softxe CMD [--launcher CMD] [--under TOOL] [--live] [--opt OPTION]... [--expect EXPR]... -- PROGRAM ARGS...

The program must end with status 0; the numbers of its report must fit together, and its events to each other and to
them. EXPR is NAME OP NUMBER over the report, e.g.
total.svm_unmap_event_count>0, device1.svm_migrate_to_vram_count>=2 (summed over processes) or
processes>=2; or rung==NAME, the rung of live memory of every process. With --live the test is about memory that moves: where
this machine does not allow that (`softxe doctor`) it ends with status 77, which ctest lists as skipped; so it
does where the launcher, which starts softxe, ends so, or the tool, which softxe starts the program with, is missing.
"""
import argparse
import json
import operator
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
OPERATORS = {"==": operator.eq, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def value_of(report, name):
    if name == "processes":
        return len(report["processes"])
    where, _, counter = name.partition(".")
    if where == "total":
        return report["total"][counter]
    index = int(where.removeprefix("device"))
    return sum(device["counters"][counter] for process in report["processes"]
               for device in process["devices"] if device["index"] == index)


def broken_expectations(report, expressions):
    broken = []
    for expression in expressions:
        if expression.startswith("rung=="):
            rungs = {process["rung"] for process in report["processes"]}
            if rungs != {expression.removeprefix("rung==")}:
                broken.append(f"expected {expression} in every process, it is {sorted(rungs)}")
            continue
        name, comparison, number = re.fullmatch(r"([\w.]+)\s*(==|>=|<=|>|<)\s*(\d+)", expression).groups()
        value = value_of(report, name)
        if not OPERATORS[comparison](value, int(number)):
            broken.append(f"expected {expression}, it is {value}")
    return broken


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--softxe", required=True)
    parser.add_argument("--launcher", action="append", default=[])
    parser.add_argument("--under", type=shlex.split, default=[])
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--opt", action="append", default=[])
    parser.add_argument("--expect", action="append", default=[])
    parser.add_argument("program", nargs="+")
    args = parser.parse_args()

    if args.under and shutil.which(args.under[0]) is None:
        print(f"skipped: there is no {args.under[0]}")
        return SKIPPED
    if args.live:
        doctor = subprocess.run([*args.launcher, args.softxe, "doctor"], capture_output=True, text=True)
        if doctor.returncode != 0:
            print("skipped: memory cannot move on this machine\n" + doctor.stdout)
            return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # the launcher may make softxe another user's
        path = os.path.join(folder, "report.json")
        trace = os.path.join(folder, "trace.sxt")
        command = [*args.launcher, args.softxe, "run", "--report", path, "--trace", trace, *args.opt, "--", *args.under,
                   *args.program]
        ended = subprocess.run(command)
        if ended.returncode != 0:
            print(f"the program ended with status {ended.returncode}: {' '.join(command)}")
            return 1
        for check in (["report", "--check", path], ["trace", "--check", trace]):
            checked = subprocess.run([args.softxe, *check], capture_output=True, text=True)
            if checked.returncode != 0:
                print(checked.stdout + checked.stderr)
                return 1
        with open(path) as file:
            report = json.load(file)
    broken = broken_expectations(report, args.expect)
    for line in broken:
        print(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
