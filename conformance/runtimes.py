#!/usr/bin/env python3
"""Intel's own runtimes under softxe: OpenCL (clinfo), Level Zero (ze_copy), Vulkan (vulkaninfo).

Programs and drivers are those of a Debian root (`make_root.sh --with-drivers`); only the Level Zero
client is ours: clients/ze_copy.c, compiled here against libze-dev and run in the root with the root's
loader. A row must end with status 0, print what it should, and its report must show that memory moved.

    runtimes.py --root DIR [--make-root] --softxe CMD [--tests REGEX] [--counts FILE] [-v]

With --counts the numbers go to FILE, for the last line of run.py, and the status says only whether
the rows could be run.
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
LIMIT_S = 120
ARRIVED = r"every byte arrived"
B580 = r"Intel\(R\) Arc\(TM\) B580 Graphics"
# Debug settings of the compute runtime: transfers use malloc'ed memory in place, by GPU page faults.
IN_PLACE = {"NEOReadDebugKeys": "1", "TreatNonUsmForTransfersAsSharedSystem": "1"}

# name, program, environment, what the output has, what the report says
ROWS = [
    ("opencl-clinfo", ["/usr/bin/clinfo"], {},
     [r"Number of devices +1$", rf"Device Name +{B580}$", r"clCreateContext\(NULL, \.\.\.\).* Success",
      r"ICD loader Profile"],
     ["total.vm_bind_count > 0", "total.gpu_fault_failed_count == 0"]),
    ("vulkan-summary", ["/usr/bin/vulkaninfo", "--summary"], {},
     [r"deviceName +=.*Arc\(tm\) B580", r"deviceType +=.*DISCRETE_GPU"],
     ["total.exec_count > 0", "total.exec_banned_count == 0"]),
    ("level-zero-usm", ["ze_copy", "usm"], {}, [B580, ARRIVED],
     ["total.exec_count > 0", "total.exec_banned_count == 0"]),
    ("level-zero-userptr", ["ze_copy", "system"], {}, [ARRIVED],
     ["total.exec_count > 0", "total.exec_banned_count == 0"]),
    ("level-zero-malloc-in-place", ["ze_copy", "system"], IN_PLACE, [ARRIVED],
     ["total.gpu_fault_count >= 12", "total.svm_migrate_to_vram_bytes >= 18874368",
      "total.svm_migrate_to_system_bytes > 0", "total.gpu_fault_failed_count == 0"]),
    ("level-zero-mmap-in-place", ["ze_copy", "mapped"], IN_PLACE, [ARRIVED],
     ["total.svm_migrate_to_vram_bytes >= 18874368", "total.svm_unmap_event_count >= 4",
      "total.svm_range_collected_count > 0", "total.gpu_fault_failed_count == 0"]),
    ("level-zero-advice-and-prefetch", ["ze_copy", "advised"], {}, [ARRIVED],
     ["total.madvise_count >= 4", "total.svm_migrate_to_vram_prefetch_count > 0",
      "total.svm_migrate_to_vram_bytes >= 12582912"]),
]


class Refused(Exception):
    """The rows cannot be run here."""


def build_client(folder):
    """ze_copy for the root: this machine's older libc promises that the root's has every symbol."""
    to = os.path.join(folder, "ze_copy")
    command = ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", to,
               os.path.join(HERE, "clients", "ze_copy.c"), "-lze_loader"]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode != 0:
        raise Refused(f"ze_copy does not build (tools/deps.sh conformance):\n{built.stderr}")


def run_row(options, inside, row):
    """(None, output) when everything is as it should, else (why not, output)."""
    name, program, environment, wanted, expressions = row
    if not program[0].startswith("/"):
        program = [f"{inside}/{program[0]}", *program[1:]]
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        command = [options.softxe, "run", "--root", options.root, "--report", report, "--", *program]
        try:
            ended = subprocess.run(command, env={**os.environ, **environment}, timeout=LIMIT_S,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace")
        except subprocess.TimeoutExpired:
            return f"not done after {LIMIT_S} s", ""
        if ended.returncode != 0:
            return f"status {ended.returncode}", ended.stdout
        for pattern in wanted:
            if not re.search(pattern, ended.stdout, re.MULTILINE):
                return f"the output has no `{pattern}`", ended.stdout
        for expression in expressions:
            problem = report_check.check(report, expression)
            if problem:
                return problem, ended.stdout
    return None, ended.stdout


def run_all(options):
    pattern = re.compile(options.tests or "")
    rows = [row for row in ROWS if pattern.search(f"runtimes@{row[0]}")]
    counts = {"passed": 0, "failed": 0}
    if not rows:
        return counts
    if options.make_root:
        subprocess.run([os.path.join(HERE, "make_root.sh"), "--with-drivers", options.root], check=True)
    if not os.path.exists(os.path.join(options.root, "usr/bin/clinfo")):
        raise Refused(f"{options.root} has no drivers: run make_root.sh --with-drivers {options.root}")
    # In the root, where the program is to be seen; named for this run, so that runs do not meet.
    folder = tempfile.mkdtemp(prefix="softxe-runtimes-", dir=os.path.join(options.root, "tmp"))
    try:
        os.chmod(folder, 0o755)
        build_client(folder)
        for row in rows:
            problem, output = run_row(options, "/tmp/" + os.path.basename(folder), row)
            counts["failed" if problem else "passed"] += 1
            if problem:
                print(f"DIFFERENT runtimes@{row[0]}: {problem}")
            if problem or options.verbose:
                for line in output.splitlines()[-12:]:
                    print(f"    | {line}")
            sys.stdout.flush()
    finally:
        shutil.rmtree(folder)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--make-root", action="store_true", help="makes the root when a row is selected")
    parser.add_argument("--softxe", default="build/dev/src/cli/softxe")
    parser.add_argument("--tests", metavar="REGEX", help="over `runtimes@NAME`")
    parser.add_argument("--counts", metavar="FILE")
    parser.add_argument("--verbose", "-v", action="store_true")
    options = parser.parse_args()
    options.root = os.path.abspath(options.root)
    try:
        counts = run_all(options)
    except (Refused, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"runtimes: {error}")
    print(f"runtimes: {counts['passed']} passed, {counts['failed']} failed")
    if options.counts:
        with open(options.counts, "w", encoding="utf-8") as file:
            json.dump(counts, file)
        return 0
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
