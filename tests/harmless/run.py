#!/usr/bin/env python3
"""Do no harm: programs that know nothing of GPUs give the same results with softxe as without.

Each program of programs.py runs four times; exit status and output must be the same:

    plain     without softxe
    asleep    under `softxe run`, no device opened
    awake     the same, and every process opens a device and mirrors itself before main() (opener.c)
    stirred   the same, and a thread keeps sending the process's memory to VRAM

    run.py --softxe CMD --opener LIB [--long] [--only REGEX] [--mode MODE]...

Programs that fail without softxe (some of Python's own tests) must fail in the same way.

Ends with `N passed, N failed, N skipped`: a pass is a program in a mode. A program that is not
installed is skipped by name.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import programs

MODES = ("asleep", "awake", "stirred")
LIMIT_S = 240
AS_NOBODY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/as_nobody")


def prefix(mode, options):
    """What stands in front of the program under test."""
    if mode == "plain":
        return ""
    if mode == "asleep":
        return f"{options.softxe} run --"
    stir = 1 if mode == "stirred" else 0
    return (f"{options.softxe} run -- /bin/sh -c "
            f"'export HARMLESS_STIR={stir} LD_PRELOAD=$LD_PRELOAD:{options.opener}; exec \"$@\"' sh")


def normalised(row, text):
    lines = text.splitlines()
    if row.keep:
        lines = [found.group(0) for line in lines if (found := re.search(row.keep, line))]
    for pattern in row.drop:
        lines = [re.sub(pattern, "", line) for line in lines]
    return [line.rstrip() for line in lines]


def run_once(row, mode, options):
    """(status, normalised lines, raw output). A run that does not end has status 'timeout'."""
    with tempfile.TemporaryDirectory(prefix="softxe-harmless-") as folder:
        environment = {**os.environ, "LC_ALL": "C"}
        # A function, since quotes of a variable would be lost.
        script = f'under() {{ {prefix(mode, options)} "$@"; }}\n' + row.script.replace("$PRELOADED", "under")
        if row.as_nobody:
            os.chmod(folder, 0o777)
        user = [AS_NOBODY] if row.as_nobody else []
        shell = subprocess.Popen([*user, "/bin/sh", "-c", script], cwd=folder, env=environment, text=True,
                                 errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        try:
            output, _ = shell.communicate(timeout=LIMIT_S)
            status = shell.returncode
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            output, _ = shell.communicate()
            status = "timeout"
    return status, normalised(row, output), output


def first_difference(wanted, got):
    for number, (one, other) in enumerate(zip(wanted, got), 1):
        if one != other:
            return f"line {number}: `{other}`, plain: `{one}`"
    return f"{len(got)} lines, plain: {len(wanted)}"


def compare(row, options, counts):
    status, wanted, raw = run_once(row, "plain", options)
    if (status != 0 and not row.may_fail) or status == "timeout" or not wanted:
        counts["failed"] += 1
        print(f"FAILED {row.name}: without softxe it ends with {status} and {len(wanted)} lines\n{raw[-2000:]}")
        return
    for mode in options.mode or MODES:
        got_status, got, raw = run_once(row, mode, options)
        if (got_status, got) == (status, wanted):
            counts["passed"] += 1
            continue
        counts["failed"] += 1
        why = f"status {got_status}, plain: {status}" if got_status != status else first_difference(wanted, got)
        print(f"FAILED {row.name} {mode}: {why}\n{raw[-3000:]}")
        sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--softxe", required=True)
    parser.add_argument("--opener", required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", metavar="REGEX", default="")
    parser.add_argument("--mode", action="append", choices=MODES)
    options = parser.parse_args()
    options.softxe, options.opener = os.path.abspath(options.softxe), os.path.abspath(options.opener)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for row in programs.SHORT + (programs.LONG if options.long else []):
        if not re.search(options.only, row.name):
            continue
        if shutil.which(row.needs) is None and not os.path.exists(row.needs):
            counts["skipped"] += 1
            print(f"{row.name} skipped: {row.needs} is not installed")
            continue
        compare(row, options, counts)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
