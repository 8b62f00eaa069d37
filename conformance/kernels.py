#!/usr/bin/env python3
"""OpenCL and Level Zero programs over Intel's own compiler and runtimes, under softxe, each against a result computed
on the CPU.

The suites are ours (clients/cl, clients/ze); compiler, runtimes and loaders are those of a Debian root
(`make_root.sh --with-drivers`). They run once for each configuration below; a row is a test in a configuration.

    kernels.py --root DIR --softxe CMD [--tests REGEX] [--counts FILE] [-v]

Expected results: expected/SUITE_suite.txt, lines `NAME known-fail # reason` or `CONFIGURATION@NAME known-fail #
reason`; all other rows must pass. With --counts the numbers are added to those in FILE, for the last line of run.py.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import report as report_check

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 900
KEYS = {"NEOReadDebugKeys": "1"}

# Images are the runtime's own memory, whatever kind the other arguments are of (image-free-... are integers). So are the
# buffers of rows about the host's side.
NO_IMAGES = r"image-(?!free)|host-"
# Without the hardware's local ids this runtime writes more of them than it has room for when a kernel has images and no
# buffer: ids then lie over the words of its own heap, and the process ends. These rows have such kernels.
IMAGES_ALONE = r"image-(?!free|read|write|sample)"
# Rows whose kernel is meant to fail have a configuration of their own, and so have those that want too little VRAM.
PRESSURE = r"image-beside-(arguments|shared)"
BAN, NOT_BAN, NOT_PRESSURE = rf"ban-|{PRESSURE}", r"(?!ban-)", rf"(?!{PRESSURE})"
# name, options of `softxe run`, arguments of the suite, environment, what the report says, tests left out
OPENCL = [
    ("default", [], [], {}, ["total.gpu_fault_failed_count == 0", "total.exec_banned_count == 0"], BAN),
    ("ban", [], [], {}, ["total.exec_banned_count >= 8", "total.gpu_fault_failed_count >= 8"], NOT_BAN),
    ("opt-disable", [], ["--build", "-cl-opt-disable"], {}, [], BAN),
    ("fast-math", [], ["--build", "-cl-fast-relaxed-math"], {}, [], NO_IMAGES, BAN),
    ("large-registers", [], ["--build", "-cl-intel-256-GRF-per-thread"], {}, [], BAN),
    ("one-worker", ["--eu-threads", "1"], [], {}, [], BAN),
    ("usm-host", [], ["--memory", "usm-host"], {}, [], NO_IMAGES, BAN),
    ("usm-device", [], ["--memory", "usm-device"], {}, [], NO_IMAGES, BAN),
    ("usm-shared", [], ["--memory", "usm-shared"], {}, [], NO_IMAGES, BAN),
    ("svm", [], ["--memory", "svm"], {}, [], NO_IMAGES, BAN),
    ("malloc", [], ["--memory", "malloc"], {},
     ["total.gpu_fault_count > 0", "total.svm_migrate_to_vram_bytes > 0", "total.svm_migrate_to_system_bytes > 0"],
     NO_IMAGES, BAN),
    ("mmap", [], ["--memory", "mmap"], {}, ["total.svm_migrate_to_vram_bytes > 0", "total.svm_unmap_event_count > 0"],
     NO_IMAGES, BAN),
    # Atomics want their page in VRAM, and what a thread in the runtime stands on stays where it is (DEVIATIONS).
    ("stack", [], ["--memory", "stack"], {}, ["total.gpu_fault_count > 0"], r"atomic-", NO_IMAGES, BAN),
    ("global", [], ["--memory", "global"], {}, ["total.gpu_fault_count > 0"], NO_IMAGES, BAN),
    ("malloc-little-vram", ["--vram", "512M"], ["--memory", "malloc"], {}, [], BAN),
    ("images-little-vram", ["--vram", "384M"], ["--memory", "malloc"], {},
     ["total.svm_eviction_bytes >= 100000000", "total.bo_eviction_count > 0"], NOT_PRESSURE),
    ("no-direct-submission", [], [], {**KEYS, "EnableDirectSubmission": "0"}, [], BAN),
    ("runtime-local-ids", [], [], {**KEYS, "EnableHwGenerationLocalIds": "0"}, [], IMAGES_ALONE, BAN),
]
# An indirect launch has a jump over commands that it changes. The runtime copies short immediate lists into its ring,
# the jump then leads back into the list, which ends in a jump to itself: such a launch never ends on this runtime's
# direct submission (it does with DirectSubmissionFlatRingBuffer=0).
LEVEL_ZERO = [
    ("default", [], [], {},
     ["total.gpu_fault_count > 0", "total.svm_migrate_to_vram_bytes > 0", "total.svm_migrate_to_system_bytes > 0",
      "total.gpu_fault_failed_count == 0", "total.exec_banned_count == 0"], r"indirect-immediate", BAN),
    ("ban", [], [], {}, ["total.exec_banned_count >= 4", "total.gpu_fault_failed_count >= 4"], NOT_BAN),
    ("one-worker", ["--eu-threads", "1"], [], {}, [], r"indirect-immediate", BAN),
    ("little-vram", ["--vram", "512M"], [], {}, [], r"indirect-immediate", BAN),
    ("images-little-vram", ["--vram", "384M"], [], {},
     ["total.svm_eviction_bytes >= 100000000", "total.bo_eviction_count > 0"], NOT_PRESSURE),
    ("no-direct-submission", [], [], {**KEYS, "EnableDirectSubmission": "0"}, [], BAN),
]
# name (of clients/NAME and expected/NAME_suite.txt), libraries, configurations
SUITES = [("cl", ["-lOpenCL"], OPENCL), ("ze", ["-lze_loader", "-lOpenCL"], LEVEL_ZERO)]


class Refused(Exception):
    """The rows cannot be run here."""


def build_suite(folder, name, libraries):
    """The suite for the root, with the C++ library inside: the root may have another one."""
    source = os.path.join(HERE, "clients", name)
    to = os.path.join(folder, f"{name}_suite")
    files = sorted(os.path.join(source, name) for name in os.listdir(source) if name.endswith(".cc"))
    command = ["g++", "-std=c++20", "-O1", "-pthread", "-static-libstdc++", "-static-libgcc", "-o", to, *files, *libraries]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise Refused(f"the {name} suite does not build (tools/deps.sh conformance):\n{built.stderr[-3000:]}")


def expected_failures(suite):
    """{'NAME' or 'CONFIGURATION@NAME': reason}"""
    path = os.path.join(HERE, "expected", f"{suite}_suite.txt")
    reasons = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = re.match(r"^(\S+)\s+known-fail\s+#\s*(\S.*)$", line)
            if not match:
                raise Refused(f"{path}:{number}: want `NAME known-fail # reason`")
            reasons[match.group(1)] = match.group(2)
    return reasons


def run_configuration(options, program, suite, configuration, pattern, listed):
    """({test: (passed, text)}, problems of the run as a whole)"""
    name, flags, arguments, environment, expressions, *without = configuration
    listed = [test for test in listed if not any(re.match(regex, test) for regex in without)]
    wanted = [test for test in listed if pattern.search(f"{suite}@{name}@{test}")]
    if not wanted:
        return {}, []
    regex = "^(" + "|".join(re.escape(test) for test in wanted) + ")$"
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        command = [options.softxe, "run", *flags, "--root", options.root, "--report", report, "--",
                   program, *arguments, regex]
        problems = []
        try:
            ended = subprocess.run(command, env={**os.environ, **environment}, timeout=LIMIT_S, check=False,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            output, status = ended.stdout, ended.returncode
        except subprocess.TimeoutExpired as late:
            output, status = late.stdout or b"", "timeout"
            problems.append(f"not done after {LIMIT_S} s")
        lines = output.decode(errors="replace").splitlines()
        results = {}
        for line in lines:
            found = re.match(r"^(pass|FAIL) ([^\s:]+)(.*)$", line)
            if found:
                results[found.group(2)] = (found.group(1) == "pass", found.group(3).lstrip(": "))
        for test in wanted:
            results.setdefault(test, (False, f"no result; the run ended with status {status}"))
        if len(wanted) == len(listed) and not problems:
            problems += [problem for expression in expressions if (problem := report_check.check(report, expression))]
    if options.verbose:
        print(f"== {suite}@{name}: status {status}")
        for line in lines[-5:]:
            print(f"    | {line}")
    return results, problems


def run_suite(options, folder, suite, pattern, counts):
    name, libraries, configurations = suite
    failures = expected_failures(name)
    build_suite(folder, name, libraries)
    listed = subprocess.run([os.path.join(folder, f"{name}_suite"), "--list"], capture_output=True, text=True,
                            check=True).stdout.split()
    for configuration in configurations:
        program = f"/tmp/{os.path.basename(folder)}/{name}_suite"
        results, problems = run_configuration(options, program, name, configuration, pattern, listed)
        for test, (passed, text) in results.items():
            row = f"{configuration[0]}@{test}"
            reason = failures.get(row, failures.get(test))
            if passed == (reason is None):
                counts["passed"] += passed
                continue
            counts["failed"] += 1
            print(f"DIFFERENT {name}@{row}: " + (text if not passed else f"passes, but is expected to fail: {reason}"))
        for problem in problems:
            counts["failed"] += 1
            print(f"DIFFERENT {name}@{configuration[0]}: {problem}")
        sys.stdout.flush()


def run_all(options):
    counts = {"passed": 0, "failed": 0}
    suites = [suite for suite in SUITES if not options.tests or f"{suite[0]}@" in options.tests]
    if not suites:
        return counts  # other programs' tests
    if not os.path.exists(os.path.join(options.root, "usr/bin/clinfo")):
        raise Refused(f"{options.root} has no drivers: run make_root.sh --with-drivers {options.root}")
    folder = tempfile.mkdtemp(prefix="softxe-kernels-", dir=os.path.join(options.root, "tmp"))
    try:
        os.chmod(folder, 0o755)
        for suite in suites:
            run_suite(options, folder, suite, re.compile(options.tests or ""), counts)
    finally:
        shutil.rmtree(folder)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--softxe", default="build/dev/src/cli/softxe")
    parser.add_argument("--tests", metavar="REGEX", help="over `SUITE@CONFIGURATION@TEST`; without `SUITE@` none run")
    parser.add_argument("--counts", metavar="FILE")
    parser.add_argument("--verbose", "-v", action="store_true")
    options = parser.parse_args()
    options.root = os.path.abspath(options.root)
    try:
        counts = run_all(options)
    except (Refused, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"kernels: {error}")
    print(f"   kernels: {counts['passed']} as expected, {counts['failed']} different")
    if options.counts:
        if os.path.exists(options.counts):  # those of runtimes.py
            with open(options.counts, encoding="utf-8") as file:
                counts = {name: counts[name] + before for name, before in json.load(file).items()}
        with open(options.counts, "w", encoding="utf-8") as file:
            json.dump(counts, file)
        return 0
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
