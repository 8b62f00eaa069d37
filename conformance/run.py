#!/usr/bin/env python3
"""Runs Intel's unmodified IGT programs under softxe and compares every subtest with what is expected.

Fails on any difference to conformance/expected/*.txt, in either direction: a known failure that
passes is a difference too. What else is expected of another profile than bmg stands in a folder of
its name there. Subtests that another package version adds are run and reported, not
failed. conformance/assertions.txt asks the run's own report for proof that memory moved.

    run.py                                   everything that has an expectation file
    run.py --set conformance/fast.txt        the quick set
    run.py --tests 'xe_vm@.*userptr'         a regular expression over binary or binary@subtest
    run.py --profile cri                     what is expected of that profile only
    run.py --shard 2/5                       the second of five parts, for several machines
    run.py --update-expected --tests xe_vm   write what was seen, to be reviewed
"""
import argparse
import json
import os
import re
import shutil
import signal
import sys
import time
import zlib
from xml.sax import saxutils

sys.dont_write_bytecode = True
import expectations
import igt
import machine
import report as report_check

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH = 100


EXPECTED = os.path.join(HERE, "expected")
DEFAULT_PROFILE = "bmg"
OTHER_PROGRAMS = "programs"  # programs.py has its expectations there


def profiles():
    """Those with expectations, the default first."""
    return [DEFAULT_PROFILE] + sorted(name for name in os.listdir(EXPECTED)
                                      if os.path.isdir(os.path.join(EXPECTED, name)) and name != OTHER_PROGRAMS)


def expected_in(profile):
    return EXPECTED if profile == DEFAULT_PROFILE else os.path.join(EXPECTED, profile)


def shard(text):
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    if not match or not 1 <= int(match.group(1)) <= int(match.group(2)):
        raise argparse.ArgumentTypeError(f"'{text}' is no part: 2/5 is the second of five")
    return int(match.group(1)), int(match.group(2))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=os.environ.get("SOFTXE_CONFORMANCE_ROOT",
                                                         "build/conformance-root"))
    parser.add_argument("--softxe", default="build/dev/src/cli/softxe")
    parser.add_argument("--launcher", help="runs instead of `softxe run --root ROOT ... --`; {root}, "
                                           "{devices} and {report} are replaced")
    parser.add_argument("--softxe-option", action="append", default=[], metavar="OPTION",
                        help="passed to `softxe run`, e.g. --softxe-option=--vram=1G")
    parser.add_argument("--profile", action="append", choices=profiles(), default=[],
                        help="a profile of `softxe run`; without it all that have expectations")
    parser.add_argument("--tests", default=os.environ.get("TESTS") or None, metavar="REGEX")
    parser.add_argument("--set", metavar="FILE", help="a file of regular expressions, one a line")
    parser.add_argument("--shard", type=shard, metavar="I/N", help="one of N parts that are about as large; the same "
                        "subtests whatever else is chosen")
    parser.add_argument("--junit", metavar="FILE", help="writes the results as JUnit XML")
    parser.add_argument("--devices", type=int, help="overrides the expectation files")
    parser.add_argument("--limit", type=float, help="seconds for one subtest; overrides the files")
    parser.add_argument("--batch", type=int, default=BATCH, help="subtests in one process")
    parser.add_argument("--prove", action="store_true",
                        help="one process for each subtest; checks the `# proof` of the files")
    parser.add_argument("--keep-reports", metavar="DIR",
                        help="keeps the report of each subtest that had a process of its own")
    parser.add_argument("--assert-report", action="append", default=[], metavar="EXPRESSION",
                        help="must hold in the report of every subtest that passes (see report.py)")
    parser.add_argument("--update-expected", action="store_true")
    parser.add_argument("--json", metavar="FILE", help="writes all results")
    parser.add_argument("--add-counts", metavar="FILE",
                        help="numbers of runtimes.py that join the last line; the file is used up")
    parser.add_argument("--list", action="store_true", help="prints what would run")
    parser.add_argument("--verbose", "-v", action="store_true", help="shows the programs' output")
    return parser.parse_args()


class Selection:
    """Which subtests were asked for. A pattern matches `binary` or `binary@subtest`, in full or from
    the start of either, as a regular expression."""

    def __init__(self, tests, set_file, part=None):
        self.patterns = []
        self.part = part       # (I, N)
        if tests:
            self.patterns.append(re.compile(tests))
        if set_file:
            with open(set_file, encoding="utf-8") as file:
                self.patterns += [re.compile(f"^(?:{line.strip()})$") for line in file
                                  if line.strip() and not line.startswith("#")]

    def has(self, binary, subtest):
        full = f"{binary}@{subtest}"
        if self.part and zlib.crc32(full.encode()) % self.part[1] != self.part[0] - 1:
            return False
        if not self.patterns:
            return True
        return any(pattern.search(full) or pattern.fullmatch(binary) for pattern in self.patterns)


class Assertion:
    """What must hold in the report of the subtests that `pattern` matches, and how they are run."""

    def __init__(self, pattern, options, expression):
        self.pattern, self.options, self.expression = pattern, options, expression


def load_assertions(path):
    """Lines `regex  [--option ...]  expression`: every subtest that matches runs alone, and the report
    must agree."""
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            text = line.split(" #")[0].strip()
            if not text or text.startswith("#"):
                continue
            words = text.split()
            options = [word for word in words[1:] if word.startswith("--")]
            expression = " ".join(words[1 + len(options):])
            if words[1:1 + len(options)] != options or not report_check.EXPRESSION.match(expression):
                sys.exit(f"{path}:{number}: want `regex  [--option ...]  expression`")
            rows.append(Assertion(re.compile(f"^(?:{words[0]})$"), options, expression))
    return rows


def root_version(root):
    try:
        with open(os.path.join(root, "softxe-versions"), encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if words[:2] == ["package", "igt-gpu-tools-tests"]:
                    return words[2]
    except OSError as error:
        sys.exit(f"no conformance root in {root} ({error}): run `conformance/make_root.sh {root}`")
    sys.exit(f"{root} has no igt-gpu-tools-tests")


class Results:
    def __init__(self):
        self.rows = []          # dicts, for --json
        self.passed = self.skipped = self.known = self.vacuous = 0
        self.different = []
        self.new = []
        self.gone = []

    def agree(self, verdict):
        if verdict == "pass":
            self.passed += 1
        elif verdict == "skip":
            self.skipped += 1
        elif verdict == "vacuous":
            self.vacuous += 1
        else:
            self.known += 1

    def difference(self, test, text, output=()):
        self.different.append(test)
        print(f"DIFFERENT {test}: {text}")
        for line in list(output)[-12:]:
            print(f"    | {line}")
        sys.stdout.flush()


class BinaryRun:
    """One test program: what is expected of it, what it did."""

    def __init__(self, options, runner, profile, binary, version, assertions, results):
        self.options, self.runner, self.binary = options, runner, binary
        self.label = binary if profile == DEFAULT_PROFILE else f"{profile}:{binary}"
        self.assertions, self.results = assertions, results
        self.path = os.path.join(expected_in(profile), binary + ".txt")
        if os.path.exists(self.path):
            self.expected = expectations.load(self.path)
        else:
            self.expected = expectations.Expected()
            self.expected.version = version
            self.expected.header = [f"# igt-gpu-tools-tests {version}"]
        self.same_version = self.expected.version == version
        self.settings = igt.Settings(options.devices or self.expected.devices,
                                     options.limit or self.expected.limit_s or 60.0)
        self.settings.args, self.settings.env = self.expected.args, self.expected.env
        self.seen = {}

    def asserted(self, subtest):
        name = f"{self.binary}@{subtest}"
        return [row for row in self.assertions if row.pattern.match(name)]

    def expressions(self, subtest):
        return self.options.assert_report + [row.expression for row in self.asserted(subtest)]

    def softxe_options(self, subtest):
        return tuple(dict.fromkeys(option for row in self.asserted(subtest) for option in row.options))

    def runs_alone(self, subtest):
        return (self.options.prove or self.expressions(subtest) or
                any(pattern.match(subtest) for pattern in self.expected.alone))

    def run(self, selection):
        listed = self.runner.list_subtests(self.binary)
        only = self.expected.only
        chosen = [name for name in listed
                  if selection.has(self.binary, name) and (only is None or only.fullmatch(name))]
        for name in self.expected.verdicts:
            if name not in listed and selection.has(self.binary, name):
                self.missing(name)
        if self.options.list:
            for name in chosen:
                print(f"{self.label}@{name}")
            return
        if not chosen:
            return
        start = time.monotonic()
        alone = [name for name in chosen if self.runs_alone(name)]
        together = [name for name in chosen if name not in set(alone)]
        igt.run_subtests(self.runner, self.binary, together, self.settings, self.options.batch,
                         self.outcome)
        for options in dict.fromkeys(map(self.softxe_options, alone)):
            igt.run_subtests(self.runner, self.binary,
                             [name for name in alone if self.softxe_options(name) == options],
                             self.settings.with_options(options), 1, self.outcome)
        counts = {}
        for outcome, _ in self.seen.values():
            counts[outcome] = counts.get(outcome, 0) + 1
        print(f"{self.label}: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())) +
              f" ({time.monotonic() - start:.0f} s)", flush=True)
        if self.options.update_expected:
            self.update(listed)

    def missing(self, name):
        test = f"{self.label}@{name}"
        if self.same_version:
            self.results.difference(test, "expected, but this program does not have it")
        else:
            self.results.gone.append(test)

    def unproved(self, name, verdict, report, batch_length):
        """Why an end with success is none: an assertion or the file's proof does not hold."""
        why = [said for said in (report_check.check(report, expression)
                                 for expression in self.expressions(name)) if said]
        if self.expected.proof and batch_length == 1 and verdict in ("pass", "vacuous"):
            said = report_check.check(report, self.expected.proof)
            if verdict == "pass" and said:
                why.append(said)
            elif verdict == "vacuous" and not said:
                why.append(f"it is said to be vacuous, and `{self.expected.proof}` holds")
        return why

    def outcome(self, name, outcome, seconds, output, report, batch_length):
        test = f"{self.label}@{name}"
        output = list(output)
        verdict, reason = self.expected.verdicts.get(name, (None, None))
        if batch_length == 1:
            self.keep(name, report)
        if outcome == "pass":
            why = self.unproved(name, verdict, report, batch_length)
            if why:
                outcome = "fail"
                output += [f"passed, but {line}" for line in why]
        self.seen[name] = (outcome, output)
        row = {"binary": self.label, "subtest": name, "outcome": outcome, "expected": verdict,
               "seconds": seconds, "reason": reason}
        if outcome != "pass":
            row["output"] = output[-20:]
        self.results.rows.append(row)
        if self.options.update_expected:
            return
        if verdict is None:
            self.results.new.append(f"{test}: {outcome}")
            if self.same_version:
                self.results.difference(test, f"{outcome}, but the expectations do not name it", output)
        elif outcome not in expectations.FITS[verdict]:
            self.results.difference(test, f"{outcome}, expected {verdict}", output)
        else:
            self.results.agree(verdict)

    def keep(self, name, report):
        if self.options.keep_reports and os.path.exists(report):
            os.makedirs(self.options.keep_reports, exist_ok=True)
            shutil.copyfile(report, os.path.join(self.options.keep_reports,
                                                 f"{self.label}@{name}.json"))

    def update(self, listed):
        rows = []
        for name in listed:
            old = self.expected.verdicts.get(name)
            if name not in self.seen:
                if old:
                    rows.append((name, *old))
                continue
            outcome, output = self.seen[name]
            if old and outcome in expectations.FITS[old[0]]:
                rows.append((name, *old))
            elif outcome == "pass":
                rows.append((name, "pass", None))
            else:
                said = next((line for line in reversed(output) if line.strip()), outcome).strip()
                rows.append((name, "skip" if outcome == "skip" else "known-fail",
                             f"REVIEW {outcome}: {said[:120]}"))
        version = root_version(self.options.root)
        header = [f"# igt-gpu-tools-tests {version}"] + \
                 [line for line in self.expected.header if not line.startswith("# igt-gpu-tools-tests")]
        expectations.write(self.path, header, rows)
        print(f"{self.label}: wrote {os.path.relpath(self.path)}")


def is_igt(name):
    """An expected file of IGT, not of the suites of kernels.py."""
    return name.endswith(".txt") and not name.endswith("_suite.txt")


def binaries(options, profile):
    """Programs with expectations; with --update-expected --tests also others that match."""
    names = sorted(name[:-4] for name in os.listdir(expected_in(profile))
                   if is_igt(name))
    if options.update_expected and options.tests:
        folder = os.path.join(options.root, igt.TEST_DIR.lstrip("/"))
        names = sorted(set(names) | {name for name in os.listdir(folder)
                                     if re.fullmatch(options.tests, name)})
    return names


def main():
    # A time limit around this run must still end the programs in their namespaces.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    selection = Selection(options.tests, options.set, options.shard)
    version = root_version(options.root)
    if not options.list and not options.launcher and not os.access(options.softxe, os.X_OK):
        sys.exit(f"{options.softxe} is not there: build first, or give --softxe")
    assertions = load_assertions(os.path.join(HERE, "assertions.txt"))
    results = Results()
    root = os.path.abspath(options.root)
    before = machine.snapshot(root)
    for profile in options.profile or profiles():
        chosen = [] if profile == DEFAULT_PROFILE else [f"--profile={profile}"]
        runner = igt.Runner(options.root, options.softxe, options.launcher, options.softxe_option + chosen,
                            options.verbose)
        for binary in binaries(options, profile):
            try:
                BinaryRun(options, runner, profile, binary, version, assertions, results).run(selection)
            except (RuntimeError, ValueError) as error:
                results.difference(f"{profile}:{binary}", str(error))
    after = machine.snapshot(root)
    for change in machine.compare(before, after):
        results.difference("machine", "this run changed " + change)
    machine.put_back(before, after)
    return finish(options, version, results)


def write_junit(path, results):
    """One suite; a known failure is skipped, a difference of any kind fails."""
    def attribute(text):
        # Characters that XML has no place for are in no name, but may be in what a program says.
        return saxutils.quoteattr(re.sub(r"[^\x20-\uD7FF\uE000-\uFFFD]", "?", str(text)))

    rows = {f"{row['binary']}@{row['subtest']}": row for row in results.rows}
    with open(path, "w", encoding="utf-8") as file:
        names = list(rows) + [test for test in dict.fromkeys(results.different) if test not in rows]
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n'
                   f'<testsuite name="softxe conformance" tests="{len(names)}" '
                   f'failures="{len(set(results.different))}">\n')
        for test in names:
            row = rows.get(test, {})
            binary, _, subtest = test.partition("@")
            file.write(f'  <testcase classname={attribute(binary)} name={attribute(subtest or binary)} '
                       f'time="{row.get("seconds") or 0:.3f}"')
            if test in results.different:
                said = f"{row.get('outcome')}, expected {row.get('expected')}" if row else "see the log"
                file.write(f'>\n    <failure message={attribute(said)}/>\n  </testcase>\n')
            elif row["outcome"] != "pass":
                file.write(f'>\n    <skipped message={attribute(row["reason"] or "")}/>\n  </testcase>\n')
            else:
                file.write("/>\n")
        file.write("</testsuite>\n")


def finish(options, version, results):
    if options.junit:
        write_junit(options.junit, results)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"igt_version": version, "results": results.rows,
                       "different": results.different, "new": results.new, "gone": results.gone},
                      file, indent=1)
    if options.list or options.update_expected:
        return 1 if results.different else 0
    for test in results.new:
        print(f"new       {test}")
    for test in results.gone:
        print(f"gone      {test} (not in {version})")
    others = {"passed": 0, "failed": 0}
    if options.add_counts:
        with open(options.add_counts, encoding="utf-8") as file:
            others = json.load(file)
        os.remove(options.add_counts)
    if not results.rows and not results.different and not any(others.values()):
        results.difference("selection", "no subtest matches")
    if results.known or results.vacuous:
        print(f"{results.known} known failures and {results.vacuous} vacuous passes, counted in none of "
              "the next line's numbers")
    failed = len(results.different) + others["failed"]
    print(f"{results.passed + others['passed']} passed, {failed} failed, {results.skipped} skipped",
          flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
