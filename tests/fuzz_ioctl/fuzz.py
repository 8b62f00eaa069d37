#!/usr/bin/env python3
"""Stateful fuzzing of the ioctls: drawn lists run under softxe, and everybody must be well afterwards.

    fuzz.py --softxe CMD --player PROGRAM [--seed A] [--seeds N | --seconds S] [--length N] [--variant NAME]...
    fuzz.py ... --list FILE...       plays lists
    fuzz.py ... --show SEED          prints the list of a seed

A list fails when the player ends with another status than 0 (player.c says which is what), by a signal, or not in time.
What fails is shrunk (fewer lines, then fewer fields) and printed; it stands in --keep. `--counts` adds how often each
request succeeded: one that never does is not tested. Ends with `N passed, N failed`: a pass is a list in a variant.
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import abi
import draw
import drawn_lists

LIMIT_S = 300
# Options of `softxe run`, environment.
VARIANTS = {
    "bmg": ([], {}),
    "pvc": (["--profile", "pvc"], {}),
    "lnl": (["--profile", "lnl"], {}),
    "copy": (["--dma", "copy"], {}),
    "small": (["--vram", "64M"], {}),
    "two": (["--devices", "2"], {}),
    "exact": (["--autoreset", "exact"], {}),
    "none": ([], {"SOFTXE_RUNG": "none"}),
}
COUNT = re.compile(r"^request (0x[0-9a-f]+): (\d+) ok, (\d+) failed$")


class Fuzz:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.counts = collections.Counter()

    def play(self, lines, variant):
        """None, or why the list fails."""
        path = os.path.join(self.folder, "list")
        with open(path, "w", encoding="ascii") as file:
            file.write("".join(abi.compiled(line) + "\n" for line in lines))
        flags, more = VARIANTS[variant]
        command = [self.options.softxe, "run", *flags, "--", self.options.player, path]
        with subprocess.Popen(command, cwd=self.folder, env={**os.environ, **more}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              start_new_session=True) as run:
            try:
                output, _ = run.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, 9)
                output, _ = run.communicate()
                return "does not end\n" + "\n".join(output.splitlines()[-10:])
        for line in output.splitlines():
            match = COUNT.match(line)
            if match:
                self.counts[match[1], "ok"] += int(match[2])
                self.counts[match[1], "failed"] += int(match[3])
        if run.returncode == 0:
            return None
        said = [line for line in output.splitlines() if not COUNT.match(line)]
        return "\n".join([f"status {run.returncode}", *(f"  | {line}" for line in said[-12:])])

    def fails(self, lines, variant):
        """Races need more than one try."""
        return any(self.play(lines, variant) for _ in range(self.options.tries))

    @staticmethod
    def blocks_end(lines):
        """No `end` without its fork, and no fork without its end, in any thread."""
        inside = {}
        for line in lines:
            thread, step = line.split()[:2]
            if step.startswith("fork") or step == "end":
                if inside.get(thread, False) == (step != "end"):
                    return False
                inside[thread] = step != "end"
        return not any(inside.values())

    def shrink(self, lines, variant):
        stop = time.monotonic() + self.options.shrink_seconds
        lines = drawn_lists.fewer_lines(
            lines, lambda fewer: self.blocks_end(fewer) and self.fails(fewer, variant), stop)
        for at, line in enumerate(lines):
            for word in [word for word in line.split()[3:] if "=" in word]:
                simpler = " ".join(other for other in lines[at].split() if other != word)
                if time.monotonic() < stop and self.fails([*lines[:at], simpler, *lines[at + 1:]], variant):
                    lines[at] = simpler
        return lines

    def report(self, name, lines, variant, why):
        print(f"FAILS {name} ({variant}): {why}", flush=True)
        if self.options.shrink_seconds > 0:
            lines = self.shrink(list(lines), variant)
        print(f"shrunk to {len(lines)} lines: {self.play(lines, variant) or '(not every time)'}")
        print("\n".join(f"    {line}" for line in lines), flush=True)
        drawn_lists.keep(self.options.keep, f"{name}-{variant}.fuzz", lines)

    def print_counts(self):
        names = {entry["request"]: name for name, entry in abi.IOCTLS.items()}
        for request in sorted({request for request, _ in self.counts}, key=lambda text: int(text, 16)):
            name = names.get(f"0x{int(request, 16):08x}", request)
            print(f"{name}: {self.counts[request, 'ok']} ok, {self.counts[request, 'failed']} failed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    drawn_lists.add_arguments(parser, VARIANTS, "all in turn")
    parser.add_argument("--length", type=int, default=150, help="lines of a list, at least")
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--tries", type=int, default=1, help="while shrinking")
    parser.add_argument("--shrink-seconds", type=float, default=120)
    parser.add_argument("--failures-max", type=int, default=5)
    options = parser.parse_args()
    if options.show is not None:
        print("\n".join(draw.draw(options.show, options.length)))
        return 0
    options.player, options.softxe = os.path.abspath(options.player), os.path.abspath(options.softxe)
    variants = options.variant or list(VARIANTS)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="softxe-fuzz-") as folder:
        fuzz = Fuzz(options, folder)
        for number, (name, lines) in enumerate(
                drawn_lists.work(options, lambda seed: draw.draw(seed, options.length))):
            for variant in variants if options.list else [variants[number % len(variants)]]:
                why = fuzz.play(lines, variant)
                passed += why is None
                failed += why is not None
                if why is not None:
                    fuzz.report(name, lines, variant, why)
            if failed >= options.failures_max:
                break
        if options.counts:
            fuzz.print_counts()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
