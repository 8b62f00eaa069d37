#!/usr/bin/env python3
"""What examples/saxpy.c claims, checked from outside.

    check_saxpy.py words --softxe PATH                  the words of its kernel are the text beside them
    check_saxpy.py report --softxe PATH --saxpy PATH    the report of a run counts what the kernel did
    check_saxpy.py trace --softxe PATH --saxpy PATH     SOFTXE_EU_TRACE prints the thread it chooses, and no other

Exit status 0: it holds. Python 3, standard library.
"""
import argparse
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parent / "saxpy.c"
ROW = re.compile(r"^ *\{((?:0x[0-9a-f]{8}(?:, )?){4})\}, /\* (.*) \*/$", re.M)


def number(name):
    """An enumerator or macro of the program."""
    return int(re.search(rf"\b{name} = (\d+)", SOURCE.read_text(encoding="utf-8")).group(1))


def check_words(args):
    rows = ROW.findall(SOURCE.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder, "saxpy.s")
        text.write_text(f".simd {number('LANES')}\n" + "".join(f"{line}\n" for _, line in rows), encoding="utf-8")
        run = subprocess.run([args.softxe, "asm", "--hex", str(text)], capture_output=True, text=True, check=True)
    lines = run.stdout.split()
    words = [struct.pack("<4I", *(int(word, 16) for word in row.split(", "))).hex() for row, _ in rows]
    yield len(rows) >= 12, f"the kernel has {len(rows)} rows"
    yield len(lines) == len(words), f"{len(lines)} instructions of {len(words)} texts"
    for is_, must, (_, line) in zip(words, lines, rows):
        yield is_ == must, f"{line}: the words are {is_}, the text gives {must}"


def check_report(args):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        run = subprocess.run([args.softxe, "run", "--report", str(report), "--", args.saxpy], check=False, timeout=100)
        yield run.returncode == 0, f"saxpy ended with {run.returncode}"
        data = json.loads(report.read_text(encoding="utf-8"))
    count, rung = data["total"], data["processes"][0]["rung"]
    lanes, rounds, items = number("LANES"), number("ROUNDS"), number("ITEMS")
    group = lanes * number("THREADS")
    groups = rounds * ((items + group - 1) // group)
    # Two loads, a store and the end; a thread whose lanes are all beyond the last item only ends.
    threads, busy = groups * group // lanes, rounds * ((items + lanes - 1) // lanes)
    exact = {"eu_kernel_count": rounds, "eu_kernel_failed_count": 0, "eu_group_count": groups,
             "eu_thread_count": threads, "eu_lane_count": groups * group,
             "eu_send_count": busy * 4 + (threads - busy)}
    for name, must in exact.items():
        yield count[name] == must, f"{name} is {count[name]}, must be {must}"
    yield count["eu_fault_count"] > 0, "the kernel met no page fault"
    yield count["svm_pagefault_count"] >= count["eu_fault_count"], "faults of the kernel are not among the GPU's"
    if rung != "full":
        print(f"rung {rung}: pages that nobody named do not move here")
        return
    # Both vectors in the first round, x again in the others; back when the CPU reads or writes them.
    vectors = 2 * items * 4
    for name in ("svm_migrate_to_vram_bytes", "svm_migrate_to_system_bytes"):
        yield count[name] >= vectors, f"{name} is {count[name]}, less than both vectors ({vectors})"


def check_trace(args):
    """Kernel 2, group 5, thread 3, and nothing else."""
    instructions = len(ROW.findall(SOURCE.read_text(encoding="utf-8")))
    run = subprocess.run([args.softxe, "run", "--", args.saxpy], check=False, timeout=100, text=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         env=dict(os.environ, SOFTXE_EU_TRACE="2:5:3"))
    yield run.returncode == 0, f"saxpy ended with {run.returncode}: {run.stderr[-300:]}"
    starts = re.findall(r"^softxe trace: kernel (\d+) at 0x[0-9a-f]+, group (\S+), thread (\d+) ", run.stderr, re.M)
    yield starts == [("2", "5,0,0", "3")], f"traced threads: {starts}"
    lines = re.findall(r"^  3 0x[0-9a-f]+ ", run.stderr, re.M)
    yield len(lines) == instructions, f"{len(lines)} instructions of {instructions}"
    first = 5 * number("LANES") * number("THREADS") + 3 * number("LANES")
    yield f" {first:08x} {first + 1:08x} " in run.stderr, f"work-item {first} is not in the trace"


CHECKS = {"words": check_words, "report": check_report, "trace": check_trace}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=CHECKS)
    parser.add_argument("--softxe", required=True)
    parser.add_argument("--saxpy", help="the program")
    args = parser.parse_args()
    wrong = [why for holds, why in CHECKS[args.what](args) if not holds]
    for why in wrong:
        print(f"wrong: {why}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
