#!/usr/bin/env python3
"""OpenCL programs nobody here wrote, over Intel's compiler and runtime under softxe: piglit's OpenCL part, pyopencl's
own tests, CLBlast's, hashcat, darktable, ffmpeg's filters, OpenCV, clpeak.

They are those of a Debian root (`make_root.sh --with-programs`). Programs that expected/programs/*.txt have lines of are
run; any difference to a line fails, in either direction. --all runs the others as well.

    programs.py --root DIR [--make-root] --softxe CMD [--tests REGEX] [--counts FILE] [-v]
    programs.py ... --device pocl --save FILE      the same programs on PoCL: what passes there goes to FILE
    programs.py ... --compare FILE                 then says what passed there and not here
    programs.py ... --update-expected              writes what was seen, to be reviewed

With --counts the numbers are added to those in FILE, for the last line of run.py.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import expectations
import inroot
import suites

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "expected", "programs")


class Refused(Exception):
    """The programs cannot be run here."""


def part_version(root, part):
    with open(os.path.join(root, "softxe-versions"), encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words[:1] in (["part"], ["package"]) and words[1] == part:
                return words[2]
    raise Refused(f"{root} has no {part}: run make_root.sh --with-programs {root}")


class Comparison:
    """What is expected of a suite's rows, and what they did."""

    def __init__(self, suite, options):
        self.suite, self.options = suite, options
        self.path = os.path.join(FOLDER, suite.name + ".txt")
        self.version = part_version(options.root, suite.part)
        self.expected = expectations.Expected()
        if os.path.exists(self.path):
            self.expected = expectations.load(self.path, suite.part)
        self.seen = {}

    def keys(self):
        """Programs that have lines; `PROGRAM::TEST` is a row of one with several."""
        return {name.split("::")[0] for name in self.expected.verdicts}

    def row(self, name, outcome, lines):
        self.seen[name] = outcome
        if self.options.device == "pocl" or self.options.update_expected:
            return
        verdict = self.expected.verdicts.get(name, (None, None))[0]
        if verdict is None and self.expected.version != self.version:
            print(f"new {self.suite.name}@{name}: {outcome} ({self.suite.part} {self.version})")
        elif verdict is None or outcome not in expectations.FITS[verdict]:
            self.different(name, f"{outcome}, expected {verdict or 'nothing: it has no line'}", lines)
        else:
            self.options.counts["passed" if verdict == "pass" else "skipped" if verdict == "skip" else "known"] += 1

    def different(self, name, text, lines=()):
        self.options.counts["failed"] += 1
        print(f"DIFFERENT {self.suite.name}@{name}: {text}")
        for line in lines[-15:]:
            print(f"    | {line[:300]}")
        sys.stdout.flush()

    def missing(self, keys):
        """Rows of the programs that ran which the file has and the run had not."""
        if self.options.device == "pocl" or self.options.update_expected:
            return
        for name in self.expected.verdicts:
            if name not in self.seen and name.split("::")[0] in keys:
                self.different(name, "expected, but there was no such row")

    def update(self):
        header = [f"# {self.suite.part} {self.version}"] + \
                 [line for line in self.expected.header if not line.startswith(f"# {self.suite.part} ")]
        rows = dict(self.expected.verdicts)
        for name, outcome in self.seen.items():
            if name not in rows or outcome not in expectations.FITS[rows[name][0]]:
                verdict = {"pass": "pass", "skip": "skip"}.get(outcome, "known-fail")
                rows[name] = (verdict, None if verdict == "pass" else f"REVIEW {outcome}")
        expectations.write(self.path, header, [(name, *rows[name]) for name in sorted(rows)])
        print(f"{self.suite.name}: wrote {os.path.relpath(self.path)}")


def run_suite(root, suite, options, pattern):
    """{row: outcome}; compares each row on the way."""
    comparison = Comparison(suite, options)
    commands = [(key, command) for key, command in suite.commands(options.root, pattern)
                if options.all or key in comparison.keys()]
    if not commands:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(commands), suite.per_run):
            chunk = commands[start:start + suite.per_run]
            results = inroot.run(root, [command for _, command in chunk], os.path.join(folder, "report.json"))
            for (key, _), (status, lines) in zip(chunk, results):
                if options.verbose:
                    print(f"== {suite.name}@{key}: status {status}", *lines[-8:], sep="\n    | ")
                for name, outcome, last in suite.rows(key, status, lines):
                    comparison.row(name, outcome, last)
            print(f"   {suite.name}: {min(start + suite.per_run, len(commands))} of {len(commands)} programs", flush=True)
    comparison.missing({key for key, _ in commands})
    if options.update_expected:
        comparison.update()
    return comparison.seen


def run_all(options):
    pattern = re.compile(options.tests or "")
    wanted = [suite for suite in suites.all_suites() if not options.tests or f"{suite.name}@" in options.tests]
    if not wanted:
        return {}
    if options.make_root:
        subprocess.run([os.path.join(HERE, "make_root.sh"), "--with-programs", options.root], check=True)
    if not os.path.exists(os.path.join(options.root, "usr/bin/clpeak")):
        raise Refused(f"{options.root} has no programs: run make_root.sh --with-programs {options.root}")
    root = inroot.Root(options.root, options.softxe, options.device)
    seen = {}
    for suite in wanted:
        seen.update({f"{suite.name}@{name}": outcome for name, outcome in run_suite(root, suite, options, pattern).items()})
    return seen


def compare(seen, path):
    """Prints what passed on the other device and not here."""
    with open(path, encoding="utf-8") as file:
        other = json.load(file)
    for name in sorted(name for name, outcome in other.items() if outcome == "pass" and seen.get(name, "pass") != "pass"):
        print(f"passes on PoCL, not here: {name} ({seen[name]})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--make-root", action="store_true", help="makes the root when a program is selected")
    parser.add_argument("--softxe", default="build/dev/src/cli/softxe")
    parser.add_argument("--tests", metavar="REGEX", help="over `SUITE@ROW`; without `SUITE@` in it none run")
    parser.add_argument("--device", choices=("intel", "pocl"), default="intel")
    parser.add_argument("--save", metavar="FILE", help="writes every row's outcome as JSON")
    parser.add_argument("--compare", metavar="FILE", help="outcomes that --save wrote, of PoCL")
    parser.add_argument("--all", action="store_true", help="also programs that have no line of what is expected")
    parser.add_argument("--update-expected", action="store_true")
    parser.add_argument("--counts", metavar="FILE")
    parser.add_argument("--verbose", "-v", action="store_true")
    options = parser.parse_args()
    options.root = os.path.abspath(options.root)
    options.counts_file, options.counts = options.counts, {"passed": 0, "failed": 0, "skipped": 0, "known": 0}
    try:
        seen = run_all(options)
    except (Refused, OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"programs: {error}")
    if options.save:
        with open(options.save, "w", encoding="utf-8") as file:
            json.dump(seen, file, indent=0, sort_keys=True)
    if options.compare:
        compare(seen, options.compare)
    counts = options.counts
    print(f"   programs: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped, "
          f"{counts['known']} known to fail")
    if not options.counts_file:
        return 1 if counts["failed"] else 0
    if os.path.exists(options.counts_file):
        with open(options.counts_file, encoding="utf-8") as file:
            before = json.load(file)
        with open(options.counts_file, "w", encoding="utf-8") as file:
            json.dump({name: counts[name] + before[name] for name in before}, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
