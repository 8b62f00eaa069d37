#!/usr/bin/env python3
"""Tests of the conformance runner itself, with a stand-in for the test programs: no root, no GPU."""
import argparse
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import expectations
import igt
import inroot
import machine
import report as report_check
import run
import suites

# Behaves like an IGT program whose subtests do what their names say.
FAKE = r'''
import os, sys, time
dead = os.environ.get("FAKE_SETUP") == "hangs"
names = ["good", "bad", "skipped", "crashing", "hanging", "after", "last"]
if "--list-subtests" in sys.argv:
    print("\n".join(names)); sys.exit(0)
if dead: print("time is up", flush=True); time.sleep(600)
if os.environ.get("FAKE_SETUP") == "dies":
    sys.exit(1)
chosen = sys.argv[sys.argv.index("--run-subtest") + 1].split(",")
for name in names:
    if name not in chosen: continue
    if name == "skipped": print("Subtest skipped: SKIP (0.000s)", flush=True); continue
    print("Starting subtest: " + name, flush=True)
    print("Starting dynamic subtest: inner\nDynamic subtest inner: SUCCESS (0.1s)", flush=True)
    if name == "crashing": os.abort()
    if name == "hanging": print("time is up", flush=True); time.sleep(600)
    print("Subtest %s: %s (0.010s)" % (name, "FAIL" if name == "bad" else "SUCCESS"), flush=True)
'''


ALL = ["good", "bad", "skipped", "crashing", "hanging", "after", "last"]
WANT = {"good": "pass", "bad": "fail", "skipped": "skip", "crashing": "crash", "hanging": "timeout",
        "after": "pass", "last": "pass"}
AGREE = {"good": ("pass", None), "bad": ("known-fail", "x"), "skipped": ("skip", "x"),
         "crashing": ("known-fail", "x"), "hanging": ("known-fail", "x"), "after": ("pass", None),
         "last": ("pass", None)}


class FakeDeadline(igt._LineReader):
    """The deadline passes when the program says so: nothing here depends on the machine's speed."""

    def next_line(self, deadline):
        line = super().next_line(deadline)
        return self.LATE if line == "time is up" else line


class FakeRunner(igt.Runner):
    def __init__(self, program):
        super().__init__("/", None, None, [], False)
        self.program = program
        self.started = []   # (subtests, options of softxe run) of each process

    def isolated(self, command):
        return command

    def under_softxe(self, program_args, settings, report):
        self.started.append((program_args[-1], tuple(settings.options)))
        with open(report, "w", encoding="utf-8") as file:
            json.dump({"total": {"svm_4K_device_copy_kb": 0 if "after" in program_args[-1] else 4}}, file)
        return [sys.executable, self.program, *program_args[1:]]


class Running(unittest.TestCase):
    def setUp(self):
        self.addCleanup(setattr, igt, "_LineReader", igt._LineReader)
        igt._LineReader = FakeDeadline
        self.folder = tempfile.TemporaryDirectory()
        self.program = os.path.join(self.folder.name, "fake.py")
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(FAKE)
        self.runner = FakeRunner(self.program)

    def tearDown(self):
        self.folder.cleanup()

    def outcomes(self, batch, env=None, names=None):
        settings = igt.Settings(limit_s=300.0)
        settings.env = env or {}
        seen = []
        igt.run_subtests(self.runner, "fake", names or ALL, settings, batch,
                         lambda name, outcome, *_: seen.append((name, outcome)))
        self.assertEqual(len(seen), len(set(name for name, _ in seen)), "told twice")
        return dict(seen)

    def test_every_outcome_survives_every_batch_size(self):
        for batch in (1, 2, 3, 100):
            with self.subTest(batch=batch):
                self.assertEqual(self.outcomes(batch), WANT)

    def test_a_program_that_dies_in_its_setup_is_dead_for_all_and_ends(self):
        got = self.outcomes(3, env={"FAKE_SETUP": "dies"})
        self.assertEqual(set(got.values()), {"dead"})
        self.assertEqual(set(got), set(ALL))

    def test_a_dead_device_is_given_up(self):
        got = self.outcomes(3, env={"FAKE_SETUP": "hangs"})
        self.assertEqual([got[name] for name in ALL], ["timeout"] * 5 + ["not-run"] * 2)

    def compare(self, verdicts, version="1", assertions=(), names=ALL, prove=False, header=""):
        """One BinaryRun against these verdicts; returns the results."""
        options = type("Options", (), dict(devices=None, limit=300.0, batch=100, assert_report=[],
                                           update_expected=False, list=False, prove=prove,
                                           keep_reports=os.path.join(self.folder.name, "reports")))()
        results = run.Results()
        one = run.BinaryRun(options, self.runner, "bmg", "no_such_file", version, assertions, results)
        for line in header.splitlines():
            expectations._directive(one.expected, line[1:].split(None, 1))
        one.expected.verdicts = verdicts
        one.expected.version = "1"
        one.same_version = version == "1"
        one.runner.list_subtests = lambda _: list(names)
        stdout, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")
        try:
            one.run(run.Selection(None, None))
        finally:
            sys.stdout.close()
            sys.stdout = stdout
        return results

    def test_only_what_the_file_is_about_runs(self):
        results = self.compare({"good": ("pass", None)}, header="# only good|never")
        self.assertEqual((results.passed, results.different), (1, []))

    def test_agreement(self):
        results = self.compare(AGREE)
        self.assertEqual((results.different, results.passed, results.skipped, results.known),
                         ([], 3, 1, 3))

    def test_each_kind_of_difference(self):
        cases = (("good", "known-fail"), ("good", "skip"), ("bad", "pass"), ("bad", "skip"),
                 ("skipped", "pass"), ("skipped", "known-fail"), ("crashing", "pass"),
                 ("hanging", "pass"))
        for name, verdict in cases:
            with self.subTest(name=name, verdict=verdict):
                only = {name: (verdict, "why")}
                self.assertEqual(self.compare(only, names=[name]).different, [f"no_such_file@{name}"])

    def test_names_of_another_version_are_reported_and_the_same_version_must_match(self):
        known = {name: AGREE[name] for name in ALL if name != "last"}
        known["lost"] = ("pass", None)
        other = self.compare(known, version="2")
        self.assertEqual((other.different, other.new, other.gone),
                         ([], ["no_such_file@last: pass"], ["no_such_file@lost"]))
        self.assertEqual(sorted(self.compare(known).different),
                         ["no_such_file@last", "no_such_file@lost"])

    def test_a_pass_without_the_asserted_counter_fails(self):
        path = os.path.join(self.folder.name, "assertions")
        with open(path, "w", encoding="utf-8") as file:
            file.write("no_such_file@(good|after)  total.svm_*_device_copy_kb > 0  # why\n")
        results = self.compare(AGREE, assertions=run.load_assertions(path))
        self.assertEqual(results.different, ["no_such_file@after"])
        kept = os.listdir(os.path.join(self.folder.name, "reports"))
        self.assertLessEqual({"no_such_file@after.json", "no_such_file@good.json"}, set(kept))

    def test_an_assertion_brings_its_options_and_a_process_of_its_own(self):
        path = os.path.join(self.folder.name, "assertions")
        with open(path, "w", encoding="utf-8") as file:
            file.write("no_such_file@good  --autoreset=always --vram=64M  total.svm_*_device_copy_kb > 0\n")
        verdicts = {name: ("pass", None) for name in ("good", "last")}
        results = self.compare(verdicts, assertions=run.load_assertions(path), names=["good", "last"])
        self.assertEqual((results.different, results.passed), ([], 2))
        self.assertEqual(self.runner.started, [("last", ()), ("good", ("--autoreset=always", "--vram=64M"))])

    def test_vacuous_is_a_pass_that_does_not_count(self):
        results = self.compare({"good": ("vacuous", "why")}, names=["good"])
        self.assertEqual((results.different, results.passed, results.vacuous), ([], 0, 1))
        for name in ("bad", "skipped", "crashing", "hanging"):
            with self.subTest(name=name):
                self.assertEqual(self.compare({name: ("vacuous", "why")}, names=[name]).different,
                                 [f"no_such_file@{name}"])

    def test_proof_tells_vacuous_from_pass(self):
        # The report of `after` shows nothing, that of all others does.
        for name, verdict, agrees in (("good", "pass", True), ("good", "vacuous", False),
                                      ("after", "pass", False), ("after", "vacuous", True)):
            with self.subTest(name=name, verdict=verdict):
                results = self.compare({name: (verdict, "why")}, names=[name], prove=True,
                                       header="# proof total.svm_4K_device_copy_kb > 0")
                self.assertEqual(results.different, [] if agrees else [f"no_such_file@{name}"])

    def test_subtests_named_alone_share_no_process(self):
        verdicts = {name: ("pass", None) for name in ("good", "after", "last")}
        self.compare(verdicts, names=["good", "after", "last"], header="# alone a.*")
        self.assertEqual([names for names, _ in self.runner.started], ["good,last", "after"])

    def test_no_verdict_fits_a_program_that_never_began(self):
        for verdict in expectations.VERDICTS:
            self.assertNotIn("dead", expectations.FITS[verdict])


class Pieces(unittest.TestCase):
    def test_counts_of_the_runtimes_join_the_last_line(self):
        for counts, line in (({"passed": 2, "failed": 0}, "3 passed, 0 failed, 0 skipped"),
                             ({"passed": 2, "failed": 1}, "3 passed, 1 failed, 0 skipped")):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "counts")
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(counts, file)
                options = type("Options", (), dict(json=None, list=False, update_expected=False,
                                                   junit=None, add_counts=path))()
                results = run.Results()
                results.passed, results.rows = 1, [{}]
                with contextlib.redirect_stdout(io.StringIO()) as said:
                    self.assertEqual(run.finish(options, "1", results), counts["failed"])
                self.assertEqual(said.getvalue().splitlines()[-1], line)
                self.assertFalse(os.path.exists(path), "numbers of an earlier run must not count again")

    def test_report_expressions(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"total": {"a": 2, "b_x": 3, "b_y": 4, "flag": True}, "list": [{"n": 1}, {"n": 2}]}, file)
            file.flush()
            for expression, holds in (
                    ("total.a > 1", True), ("total.a > 2", False), ("total.b_* == 7", True),
                    ("total.a + total.b_x >= 5", True), ("list.*.n == 3", True), ("total.c > 0", False),
                    ("total.c == 0", False), ("total.flag == 1", False), ("total.a !! 1", False)):
                self.assertEqual(report_check.check(file.name, expression) is None, holds, expression)
        self.assertIsNotNone(report_check.check("/nonexistent", "total.a > 1"))

    def test_a_change_of_the_machine_is_seen(self):
        state = {"/proc/sys/vm/nr_hugepages": "0", "/proc/sysvipc/msg": "key msqid perms\n 0 1 600 9 9"}
        with tempfile.TemporaryDirectory() as root:
            file = os.path.join(root, "etc")
            with open(file, "w", encoding="utf-8") as out:
                out.write("a")
            before = machine.snapshot(root, state.get)
            self.assertEqual(machine.compare(before, machine.snapshot(root, state.get)), [])
            busy = dict(state, **{"/proc/sysvipc/msg": "key msqid perms\n 0 1 600 77 77"})
            self.assertEqual(machine.compare(before, machine.snapshot(root, busy.get)), [],
                             "how full a queue of others is does not matter")
            for changed in ({"/proc/sys/vm/nr_hugepages": "128"},
                            {"/proc/sysvipc/msg": "key msqid perms\n 0 1 600 9 9\n 5 2 600 0 0"}):
                after = machine.snapshot(root, dict(state, **changed).get)
                self.assertEqual(len(machine.compare(before, after)), 1, changed)
            with open(os.path.join(root, "left"), "w", encoding="utf-8"):
                pass
            self.assertRegex(machine.compare(before, machine.snapshot(root, state.get))[0], r"\+ left 0 ")

    def test_expectation_files(self):
        header = "# igt-gpu-tools-tests 2.5-1\n"
        for text, error in (
                (header + "a  pass\nb  skip  # why\n", None), ("a  pass\n", "no line"),
                (header + "a  skip\n", "needs a reason"), (header + "a  vacuous\n", "needs a reason"), (header + "a  fine\n", "want"),
                (header + "a pass\na pass\n", "twice"), (header + "a pass extra\n", "want")):
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
                file.write(text)
                file.flush()
                if error:
                    with self.assertRaisesRegex(ValueError, error):
                        expectations.load(file.name)
                else:
                    self.assertEqual(expectations.load(file.name).verdicts,
                                     {"a": ("pass", None), "b": ("skip", "why")})

    def test_the_shipped_files_are_well_formed(self):
        for profile in run.profiles():
            folder = run.expected_in(profile)
            for name in os.listdir(folder):
                if not run.is_igt(name):
                    continue  # cl_suite.txt: kernels.py; folders: profiles
                self.assertTrue(expectations.load(os.path.join(folder, name)).verdicts, name)
        parts = {suite.name: suite.part for suite in suites.all_suites()}
        folder = os.path.join(run.HERE, "expected", "programs")
        for name in os.listdir(folder):
            self.assertTrue(expectations.load(os.path.join(folder, name), parts[name[:-4]]).verdicts, name)
        self.assertTrue(run.load_assertions(os.path.join(run.HERE, "assertions.txt")))

    def test_what_programs_say(self):
        piglit, pyopencl, clblast = suites.Piglit(), suites.Pyopencl(), suites.Clblast()
        passed = 'PIGLIT: {"result": "pass" }'
        for status, lines, want in ((0, [passed], "pass"), (139, [passed], "crash"), (124, [passed], "timeout"),
                                    (0, [], "crash"), (1, ['PIGLIT: {"result": "fail" }'], "fail")):
            self.assertEqual(piglit.rows("a", status, lines), [("a", want, lines)])
        self.assertEqual(clblast.rows("sample-sasum.c", 0, ["status 0"])[0][1], "fail")
        self.assertEqual(clblast.rows("sample-sasum.c", 0, ["with status 0: 1000 * |-1.5| = 1500.0"])[0][1], "pass")
        device = "<context factory for <pyopencl.Device 'X' on 'Y'>>"
        lines = [f"test_a.py::test_b[{device}-int32] PASSED [ 10%]", f"test_a.py::test_c[{device}] SKIPPED (why) [ 20%]",
                 f"test_a.py::test_d[{device}] "]
        rows = [("test_a.py::test_b[int32]", "pass"), ("test_a.py::test_c", "skip")]
        self.assertEqual([row[:2] for row in pyopencl.rows("test_a.py", 0, lines)], rows)
        self.assertEqual([row[:2] for row in pyopencl.rows("test_a.py", 124, lines)], rows + [("test_a.py::whole", "timeout")])

    def test_programs_end_as_the_shell_says(self):
        script = inroot.script([inroot.Command(["sh", "-c", "exit 3"], 9), inroot.Command(["sleep", "9"], 0.1),
                                inroot.Command(["sh", "-c", "kill -SEGV $$"], 9)])
        output = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
        self.assertEqual(re.findall(r"^@@@ end (\d) (\d+)$", output, re.MULTILINE), [("0", "3"), ("1", "124"), ("2", "139")])

    def test_selection(self):
        for pattern, binary, subtest, want in (
                ("xe_vm", "xe_vm", "a", True), ("xe_vm@.*b", "xe_vm", "ab", True),
                ("xe_vm@^b", "xe_vm", "ab", False), ("userptr", "xe_vm", "x-userptr-y", True)):
            self.assertEqual(run.Selection(pattern, None).has(binary, subtest), want, pattern)

    def test_parts_are_disjoint_whole_and_about_as_large(self):
        names = [f"subtest-{i}" for i in range(1000)]
        parts = [[name for name in names if run.Selection("xe_vm", None, (part, 5)).has("xe_vm", name)]
                 for part in range(1, 6)]
        self.assertEqual(sorted(sum(parts, [])), sorted(names))
        self.assertTrue(all(150 < len(part) < 250 for part in parts), [len(part) for part in parts])
        self.assertEqual(run.shard("2/5"), (2, 5))
        for text in ("0/5", "6/5", "5", "a/b", "1/5x", ""):
            self.assertRaises(argparse.ArgumentTypeError, run.shard, text)

    def test_junit_has_every_result(self):
        results = run.Results()
        results.rows = [dict(binary="xe_a", subtest=name, outcome=outcome, expected=expected, seconds=1, reason=reason)
                        for name, outcome, expected, reason in
                        (("p", "pass", "pass", None), ("s", "skip", "skip", "no <3D> & \x1b"), ("f", "fail", "pass", None))]
        results.different = ["xe_a@f", "machine"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "r.xml")
            run.write_junit(path, results)
            suite = ElementTree.parse(path).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("4", "2"))
        said = {case.get("name"): [child.tag for child in case] for case in suite}
        self.assertEqual(said, {"p": [], "s": ["skipped"], "f": ["failure"], "machine": ["failure"]})
        self.assertEqual(suite[1][0].get("message"), "no <3D> & ?")


if __name__ == "__main__":
    unittest.main()
