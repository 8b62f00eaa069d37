#!/usr/bin/env python3
"""Twin runs: a drawn program runs plain and under softxe, and must see the same.

    twin.py --softxe CMD --player PROGRAM [--seed A] [--seeds N | --seconds S] [--length N] [--variant NAME]...
    twin.py ... --list FILE          plays one list
    twin.py ... --show SEED          prints the list of a seed as C

The kernel is the oracle: results, errno names, contents, exit status and /proc/self/maps of the arena are compared
line by line. A difference is shrunk and printed as a short C program; the list stands in --keep.
Ends with `N passed, N failed`: a pass is a seed in a variant.
"""
import argparse
import difflib
import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import drawn_lists
import generate

LIMIT_S = 60
# Options of `softxe run`, environment.
VARIANTS = {
    "move": ([], {}),
    "small": (["--vram", "8M"], {}),
    "copy": (["--dma", "copy"], {}),
    "user-only": ([], {"SOFTXE_RUNG": "user-only"}),
    "none": ([], {"SOFTXE_RUNG": "none"}),
}


# There system calls on pages in VRAM are EFAULT (docs/DEVIATIONS.md): operations in which the kernel itself reads or
# writes the memory have no oracle; of madvise, that is POPULATE_READ and POPULATE_WRITE. Registration follows what the
# list sent there, so that mremap to another size meets its borders often: a known gap.
KERNEL_TOUCHES = {"write_file", "read_file", "vmsplice", "vm_read", "vm_write", "proc_mem", "child_reads", "getcwd",
                  "debugged", "child_mem", "stack", "mask", "write_there", "direct", "aio", "uring", "pinned"}


def playable(lines, variant):
    """The part of a list that has an oracle in the variant."""
    if variant != "user-only":
        return lines

    def has_oracle(line):
        name, *numbers = line.split()
        populates = name == "madvise" and numbers[2] in ("22", "23")
        resizes = name == "mremap" and numbers[1] != numbers[2]
        return name not in KERNEL_TOUCHES and not populates and not resizes

    return [line for line in lines if has_oracle(line)]


class Twin:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder

    def play(self, lines, variant):
        """(status, lines of output, standard error); variant None: plain."""
        path = os.path.join(self.folder, "list")
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        command, environment = [self.options.player, path], dict(os.environ)
        if variant is not None:
            flags, more = VARIANTS[variant]
            command = [self.options.softxe, "run", *flags, "--", *command]
            environment.update(more, TWIN_DEVICE="1")
        try:
            ended = subprocess.run(command, cwd=self.folder, env=environment, timeout=LIMIT_S, stdin=subprocess.DEVNULL,
                                   capture_output=True, text=True, errors="replace", check=False)
        except subprocess.TimeoutExpired as late:
            return "hangs", (late.stdout or b"").decode(errors="replace").splitlines(), ""
        return ended.returncode, ended.stdout.splitlines(), ended.stderr

    def difference(self, lines, variant):
        """None, or what differs, as text."""
        plain, want, _ = self.play(lines, None)
        status, got, errors = self.play(lines, variant)
        if status == plain and want == got:
            return None
        text = [] if status == plain else [f"status {status}, plain {plain}"]
        text += list(difflib.unified_diff(want, got, "plain", f"softxe ({variant})", lineterm="", n=0))[:12]
        return "\n".join(text + [f"  | {line}" for line in errors.splitlines()[-6:]])

    @staticmethod
    def storms_end(lines):
        """Every storm has its calm: what else a list does must not happen to memory that threads count in."""
        storm = False
        for line in lines:
            name = line.split()[0]
            if name == "storm" and storm:
                return False
            storm = name == "storm" or (storm and name != "calm")
        return not storm

    def shrink(self, lines, variant):
        """Fewer lines that still differ; bounded by time."""
        stop = time.monotonic() + self.options.shrink_seconds
        return drawn_lists.fewer_lines(
            lines, lambda fewer: self.storms_end(fewer) and self.difference(fewer, variant), stop)

    def report(self, name, lines, variant, first):
        print(f"DIFFERENT {name} ({variant}):\n{first}", flush=True)
        lines = self.shrink(lines, variant)
        print(f"shrunk to {len(lines)} operations:")
        print(self.difference(lines, variant) or "(not every time)")
        print(generate.as_c(lines))
        drawn_lists.keep(self.options.keep, f"{name}-{variant}.twin", lines)
        sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    drawn_lists.add_arguments(parser, VARIANTS, "move, small and copy in turn")
    parser.add_argument("--length", type=int, default=120, help="operations in a list")
    parser.add_argument("--shrink-seconds", type=float, default=60)
    parser.add_argument("--differences-max", type=int, default=5)
    options = parser.parse_args()
    if options.show is not None:
        print(generate.as_c(generate.draw(options.show, options.length)))
        return 0
    options.player = os.path.abspath(options.player)
    options.softxe = os.path.abspath(options.softxe)
    variants = options.variant or ["move", "small", "copy"]
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="softxe-twin-") as folder:
        twin = Twin(options, folder)
        for number, (name, drawn) in enumerate(
                drawn_lists.work(options, lambda seed: generate.draw(seed, options.length))):
            for variant in variants if options.list else [variants[number % len(variants)]]:
                lines = playable(drawn, variant)
                # What differs once must differ again: plain runs that differ among themselves are no oracle.
                first = twin.difference(lines, variant)
                if first is None:
                    passed += 1
                    continue
                plain = [twin.play(lines, None)[:2] for _ in range(2)]
                if plain[0] != plain[1]:
                    print(f"not an oracle: {name} gives different results without softxe")
                    continue
                failed += 1
                twin.report(name, lines, variant, first)
            if failed >= options.differences_max:
                break
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
