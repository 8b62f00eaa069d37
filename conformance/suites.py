"""The programs of programs.py: what is run, and what their output says.

A suite has a name (its expected file), the part of the root whose version the file names, `commands(root, pattern)` ->
[(key, Command)] and `rows(key, status, lines)` -> [(row, outcome, last lines)]. Outcomes are those of expectations.py.
"""
import ast
import gzip
import os
import re
import xml.etree.ElementTree as ElementTree

import inroot
from inroot import Command

PIGLIT = "/usr/lib/x86_64-linux-gnu/piglit"


class Piglit:
    """Each test of piglit's own list is one program."""
    name, part, per_run = "piglit", "piglit", 60
    LIMIT_S = 120
    RESULT = re.compile(r'^PIGLIT: \{"result": "(\w+)" *\}')
    OUTCOME = {"pass": "pass", "fail": "fail", "skip": "skip", "warn": "fail", "crash": "crash"}

    def commands(self, root, pattern):
        with gzip.open(root + PIGLIT + "/tests/cl.xml.gz") as file:
            tests = ElementTree.parse(file).getroot()
        found = []
        for test in tests:
            row = test.get("name").replace(" ", "-")
            words = [ast.literal_eval(option.get("value")) for option in test]
            words = [f"{PIGLIT}/bin/{words[0][0]}", *words[0][1:]] if test.get("type") == "cl" else \
                [f"{PIGLIT}/bin/cl-program-tester", words[0]]
            if pattern.search(f"{self.name}@{row}"):
                found.append((row, Command(words, self.LIMIT_S, PIGLIT, {"PIGLIT_SOURCE_DIR": PIGLIT})))
        return found

    def rows(self, key, status, lines):
        outcome = inroot.ended_badly(status)
        if not outcome:
            said = [match.group(1) for match in map(self.RESULT.match, lines) if match]
            outcome = self.OUTCOME.get(said[-1], "fail") if said else "crash"
        return [(key, outcome, lines)]


class Pyopencl:
    """Each file of pyopencl's tests is one program; a row is a test function with its arguments."""
    name, part, per_run = "pyopencl", "pyopencl", 1
    LIMIT_S = 900
    FOLDER = "/usr/src/pyopencl/test"
    LINE = re.compile(r"^(?:@@@)?(test_\w+\.py::\S.*?) (PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)\b")
    OUTCOME = {"PASSED": "pass", "SKIPPED": "skip", "XFAIL": "skip", "XPASS": "pass"}

    def commands(self, root, pattern):
        files = sorted(name for name in os.listdir(root + self.FOLDER) if re.fullmatch(r"test_\w+\.py", name))
        words = ["python3", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--tb=short", "--color=no"]
        env = {"PYOPENCL_NO_CACHE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return [(name, Command([*words, name], self.LIMIT_S, self.FOLDER, env)) for name in files
                if pattern.search(f"{self.name}@{name}")]

    @staticmethod
    def row(test):
        """Without the context factory, which every test has and which names the device."""
        return re.sub(r"\[\]$", "", re.sub(r"<context factory[^>]*>+'?>?-?|ctx_factory\d+-?", "", test).replace(" ", "")).replace("-]", "]")

    def rows(self, key, status, lines):
        found = [(self.row(match.group(1)), self.OUTCOME.get(match.group(2), "fail"), lines)
                 for match in map(self.LINE.match, lines) if match]
        bad = inroot.ended_badly(status)
        if bad or not found:
            found.append((f"{key}::whole", bad or "crash", lines))
        return found


class Plain:
    """Programs whose status, and one line of whose output, say how they ended."""
    name, part, per_run = "programs", None, 1

    def __init__(self, table):
        self.table = {row: (words, limit_s, wanted) for row, words, limit_s, wanted in table}

    def commands(self, root, pattern):
        return [(row, Command(words, limit_s, "/tmp")) for row, (words, limit_s, _) in self.table.items()
                if pattern.search(f"{self.name}@{row}")]

    def rows(self, key, status, lines):
        wanted = self.table[key][2]
        outcome = inroot.ended_badly(status)
        if not outcome:
            outcome = "pass" if status == 0 and all(any(re.search(regex, line) for line in lines) for regex in wanted) \
                else "fail"
        return [(key, outcome, lines)]


def all_suites():
    return [Piglit(), Pyopencl()]
