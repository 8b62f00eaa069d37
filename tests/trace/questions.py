#!/usr/bin/env python3
"""Asks `softxe explain` about recorded runs and compares every word with a golden file.

  questions.py SOFTXE FOLDER_OF_THIS_FILE SCRATCH [--write]

The scenario story.softxe is recorded twice: the same bytes. Then each line of questions.txt that begins with "$ " is
run; what it prints must be what follows it. With --write the golden file is made anew; read it before you believe it.
"""
import pathlib
import subprocess
import sys


def record(softxe, scenario, trace):
    done = subprocess.run([softxe, "scenario", "--trace", trace, scenario], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"the scenario fails:\n{done.stdout}{done.stderr}")


def answer(softxe, trace, line):
    words = [trace if word == "TRACE" else word for word in line.split()]
    done = subprocess.run([softxe, *words], capture_output=True, text=True)
    status = "" if done.returncode == 0 else f"(status {done.returncode})\n"
    return done.stdout + done.stderr.replace(str(trace), "TRACE") + status


def main():
    softxe, here, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    golden = here / "questions.txt"
    scratch.mkdir(parents=True, exist_ok=True)
    first, second = scratch / "first.sxt", scratch / "second.sxt"
    for trace in (first, second):
        record(softxe, here / "story.softxe", trace)
    if first.read_bytes() != second.read_bytes():
        sys.exit("the same scenario gave other bytes the second time")
    expected = golden.read_text()
    questions = [line[2:] for line in expected.splitlines() if line.startswith("$ ")]
    got = "".join(f"$ {question}\n{answer(softxe, first, question)}\n" for question in questions)
    if sys.argv[4:] == ["--write"]:
        golden.write_text(got)
    elif got != expected:
        (scratch / "questions.txt").write_text(got)
        subprocess.run(["diff", "-u", golden, scratch / "questions.txt"], check=False)
        sys.exit("the answers differ")
    print(f"{len(questions)} questions answered as expected")


main()
