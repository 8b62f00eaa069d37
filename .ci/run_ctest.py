#!/usr/bin/env python3
"""Runs ctest and counts what really ran.

ctest knows one test per program; a program holds many cases. The counts of the last line are cases
where a program tells them (GoogleTest's XML; a last line "N passed, N failed[, N skipped]" of a
scenario or replay run), else one per ctest test. Skipped cases are listed by name: a skip is no pass.
"""
import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self


def gtest_tally(test, xml_path):
    """The cases of one GoogleTest program, from the XML file it wrote."""
    tally = Tally()
    for case in ET.parse(xml_path).getroot().iter("testcase"):
        name = f"{test}: {case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None:
            tally.failed.append(name)
        elif case.get("result") == "skipped" or case.find("skipped") is not None:
            why = (case.find("skipped").get("message") or "") if case.find("skipped") is not None else ""
            tally.skipped.append(" ".join([name, *why.split("\n")[-1:]]).strip())
        elif case.get("status") == "run":
            tally.passed += 1
    return tally


def counted_tally(test, output):
    """A program that closes with its own counts, or None."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    match = COUNTS.match(lines[-1]) if lines else None
    if not match:
        return None
    passed, failed, skipped = (int(n or 0) for n in match.groups())
    tally = Tally()
    tally.passed = passed
    tally.failed = [f"{test} (case {i + 1} of {failed} failed)" for i in range(failed)]
    named = [line for line in lines if re.search(r"\bskip(ped)?\b", line, re.I)][:-1] if skipped else []
    tally.skipped = [f"{test}: {line}" for line in named[:skipped]]
    tally.skipped += [f"{test} (a case it does not name)"] * (skipped - len(tally.skipped))
    return tally


def tally_of(case, xml_dir):
    name = case.get("name")
    state = case.get("status")
    ok = state == "run" and case.find("failure") is None
    xml_path = os.path.join(xml_dir, name + ".xml")
    tally = None
    if os.path.exists(xml_path):
        try:
            tally = gtest_tally(name, xml_path)
        except ET.ParseError:
            tally = None
    if tally is None and state != "notrun" and state != "disabled":
        tally = counted_tally(name, case.findtext("system-out") or "")
    if case.find("skipped") is not None or state in ("notrun", "disabled"):
        message = case.find("skipped").get("message") if case.find("skipped") is not None else state
        tally = Tally()
        # A test whose program was not built is "not run" too: that is a failure, not a skip.
        if message and re.search(r"unable to find|not_run|could not|required files", message, re.I):
            tally.failed.append(f"{name}: {message}")
        else:
            tally.skipped.append(f"{name}: {message}")
        return tally
    if tally is None:
        tally = Tally()
        if ok:
            tally.passed = 1
    if not ok and not tally.failed:
        failure = case.find("failure")
        tally.failed.append(f"{name}: {failure.get('message') or state if failure is not None else state}")
    return tally


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--jobs", default="2")
    parser.add_argument("ctest_args", nargs="*", help="passed on, after --")
    args = parser.parse_args()

    xml_dir = os.path.abspath(os.path.join(args.build, "check-results"))
    shutil.rmtree(xml_dir, ignore_errors=True)
    os.makedirs(xml_dir)
    junit = os.path.join(xml_dir, "ctest-junit")
    shown = subprocess.run(["ctest", "--test-dir", args.build, "--show-only=json-v1"],
                           capture_output=True, text=True, check=True).stdout
    programs = {}
    for test in json.loads(shown)["tests"]:
        programs[test["name"]] = os.path.basename(test.get("command", ["?"])[0])

    # One directory for all: GoogleTest names the file after the program.
    env = dict(os.environ, GTEST_OUTPUT=f"xml:{xml_dir}{os.sep}gtest{os.sep}")
    status = subprocess.run(
        ["ctest", "--test-dir", args.build, "--output-on-failure", "-j", args.jobs,
         "--output-junit", junit, "--test-output-size-passed", "1000000",
         "--test-output-size-failed", "1000000", "--test-output-truncation", "head",
         "--timeout", "600", *args.ctest_args], env=env, check=False).returncode

    users = collections.Counter(programs.values())
    for name, program in programs.items():
        source = os.path.join(xml_dir, "gtest", program + ".xml")
        # A program behind several ctest tests writes files that cannot be told apart: count tests.
        if users[program] == 1 and os.path.exists(source):
            os.rename(source, os.path.join(xml_dir, name + ".xml"))

    total = Tally()
    if os.path.exists(junit):
        for case in ET.parse(junit).getroot().iter("testcase"):
            total += tally_of(case, xml_dir)
    if total.passed + len(total.failed) == 0:
        total.failed.append("ctest ran no test at all")
    if status != 0 and not total.failed:
        total.failed.append(f"ctest itself ended with {status}")

    for label, names in (("skipped", total.skipped), ("FAILED", total.failed)):
        for name in names:
            print(f"{label}: {name}")
    skipped = f", {len(total.skipped)} skipped" if total.skipped else ""
    print(f"{total.passed} passed, {len(total.failed)} failed{skipped}", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
