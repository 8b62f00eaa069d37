"""The programs of programs.py: what is run, and what their output says.

A suite has a name (its expected file), the part of the root whose version the file names, `commands(root, pattern)` ->
[(key, Command)] and `rows(key, status, lines)` -> [(row, outcome, last lines)]. Outcomes are those of expectations.py.
"""
import ast
import gzip
import os
import re
import subprocess
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
    LIMIT_S = 1800
    FOLDER = "/usr/src/pyopencl/test"
    LINE = re.compile(r"^(?:@@@)?(test_\w+\.py::\S.*?) (PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)\b")
    OUTCOME = {"PASSED": "pass", "SKIPPED": "skip", "XFAIL": "skip", "XPASS": "pass"}
    LEFT_OUT = {"test_algorithm.py": ["-k", "not sort and not list_builder"]}  # many minutes of work each

    def commands(self, root, pattern):
        files = sorted(name for name in os.listdir(root + self.FOLDER) if re.fullmatch(r"test_\w+\.py", name))
        words = ["python3", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--tb=short", "--color=no"]
        env = {"PYOPENCL_NO_CACHE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return [(name, Command([*words, *self.LEFT_OUT.get(name, []), name], self.LIMIT_S, self.FOLDER, env)) for name in files
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


class Table:
    """Programs that end with status 0 and print lines of which each of some patterns matches one."""
    per_run = 1

    def commands(self, root, pattern):
        return [(row, Command(words, limit_s, "/tmp")) for row, (words, limit_s, *_) in self.table(root).items()
                if pattern.search(f"{self.name}@{row}")]

    def rows(self, key, status, lines):
        outcome = inroot.ended_badly(status)
        if not outcome:
            wanted = self.wanted(key)
            outcome = "pass" if status == 0 and all(any(re.search(regex, line) for line in lines) for regex in wanted) \
                else "fail"
        return [(key, outcome, lines)]


class Clblast(Table):
    """CLBlast's own tests against a reference BLAS, its samples (compiled here), and a tuner."""
    name, part, per_run = "clblast", "clblast-tests", 10
    SAMPLES = "/usr/src/clblast/samples"
    BUILT = "/usr/src/clblast/built"
    # What a sample prints when its result is right; CUDA's and netlib's samples need what is not here.
    SAMPLE_SAYS = {"cache.c": [r"with status 0"], "dgemv.c": [r"status 0"], "dtrsm.cpp": [r"^ *-11 +3 +4", r"^ *-4 +1 +2"],
                   "haxpy.c": [r"status 0", r"b\[0\] = 1\.500"], "samax.c": [r"status 0", r"index 49 with value 9"],
                   "sasum.c": [r"status 0", r"= 1500\.0"], "sgemm.c": [r"status 0"], "sgemm.cpp": [r"status 0"],
                   "sgemm_batched.cpp": [r"status 0"]}

    def commands(self, root, pattern):
        found = super().commands(root, pattern)
        for row, _ in found:
            if row.startswith("sample-"):
                self.build(root, row[len("sample-"):])
        return found

    def table(self, root):
        names = sorted(name for name in os.listdir(root + "/usr/bin") if name.startswith("clblast_test_"))
        table = {f"test-{name[len('clblast_test_'):]}": ([name], 600) for name in names}
        table.update({f"sample-{name}": ([f"{self.BUILT}/{name.replace('.', '-')}"], 900) for name in self.SAMPLE_SAYS})
        table["tuner-xaxpy"] = (["clblast_tuner_xaxpy", "-n", "65536", "-runs", "1", "-precision", "32"], 600)
        return table

    def wanted(self, key):
        if key.startswith("sample-"):
            return self.SAMPLE_SAYS[key[len("sample-"):]]
        return [r"\d+ test\(s\) passed"] if key.startswith("test-") else [r"Best performance", r"Printing results to file"]

    def build(self, root, name):
        """With this machine's compiler: its older C library promises that the root's has every symbol."""
        os.makedirs(root + self.BUILT, exist_ok=True)
        versions = [f"-D{which}_OPENCL_VERSION=120" for which in ("CL_TARGET", "CL_HPP_TARGET", "CL_HPP_MINIMUM")]
        subprocess.run(["g++" if name.endswith(".cpp") else "gcc", "-w", "-O1", *versions, "-idirafter", root + "/usr/include",
                        "-I/usr/include/CL", "-o", f"{root}{self.BUILT}/{name.replace('.', '-')}", f"{root}{self.SAMPLES}/{name}",
                        root + "/usr/lib/x86_64-linux-gnu/libclblast.so.1", "-lOpenCL", "-Wl,--allow-shlib-undefined", "-lm"],
                       check=True)


class Hashcat(Table):
    """Each attack begins with hashcat's self-test of the hash."""
    name, part = "hashcat", "hashcat"
    ATTACKS = {"md5": ("0", "8d777f385d3dfec8815d20f7496026dc", "data"),
               "sha256": ("1400", "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7", "data")}

    def table(self, root):
        words = ["hashcat", "-a", "3", "--potfile-disable", "-O", "-w", "1"]
        return {row: ([*words, "-m", mode, digest, "?l?l?l?l"], 900) for row, (mode, digest, _) in self.ATTACKS.items()}

    def wanted(self, key):
        _, digest, secret = self.ATTACKS[key]
        return [f"{digest}:{secret}", r"^Status\.*: Cracked"]


class Darktable(Table):
    """darktable's look at the device: it builds all its kernels."""
    name, part = "darktable", "darktable"

    def table(self, root):
        return {"cltest": (["darktable-cltest"], 1200)}

    def wanted(self, key):
        return [r"opencl PREFERENCE=ON is AVAILABLE and ENABLED", r"^.*\[opencl_init\] OpenCL successfully initialized"]


class Clpeak(Table):
    """Work for a device a thousand times as fast: hours here. Its 20,000 launches are minutes."""
    name, part = "clpeak", "clpeak"

    def table(self, root):
        return {"all": (["clpeak", "-i", "1"], 4 * 3600), "latency": (["clpeak", "--kernel-latency"], 1200)}

    def wanted(self, key):
        return [r"Kernel launch latency : \d"] + ([r"Transfer bandwidth"] if key == "all" else [])


def all_suites():
    return [Piglit(), Pyopencl(), Clblast(), Hashcat(), Darktable(), Clpeak()]
