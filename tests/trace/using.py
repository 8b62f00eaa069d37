#!/usr/bin/env python3
"""Does what docs/USING.md says: runs the commands of its console blocks, in order, in one folder, and compares.

  using.py SOFTXE EXAMPLES SCRATCH

Of a block, a line that begins with "$ " is a command; the lines below it, up to the next one, are what it prints, or a
part of it in this order: "..." stands for anything, within a line or for lines, and blanks for any number of blanks.
"(status N)" says how it ends, 0 when nothing is said. What is called two_tables is the example program.
"""
import os
import pathlib
import re
import subprocess
import sys

SOFTXE, EXAMPLES, SCRATCH = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3])
PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/USING.md"


def steps():
    """(command, the lines it prints, how it ends)"""
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            status = 0
            if lines and (ended := re.fullmatch(r"\(status (\d+)\)", lines[-1])):
                status = int(ended[1])
                lines.pop()
            yield command, [line for line in lines if line.strip() != "..."], status


def pattern_of(line):
    parts = [r"\s+".join(map(re.escape, part.split())) for part in line.split("...")]
    return re.compile(r"\s*" + r".*?".join(f"\\s*{part}\\s*" for part in parts))


def main():
    SCRATCH.mkdir(parents=True, exist_ok=True)
    for old in SCRATCH.iterdir():
        old.unlink()
    (SCRATCH / "two_tables").symlink_to(EXAMPLES / "two_tables")
    environment = {**os.environ, "PATH": f"{SOFTXE.parent}:{os.environ['PATH']}"}
    count = 0
    for command, lines, status in steps():
        done = subprocess.run(["bash", "-c", command], cwd=SCRATCH, env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        said = done.stdout.splitlines()
        if done.returncode != status:
            sys.exit(f"$ {command}\nends with {done.returncode}, not {status}:\n{done.stdout}")
        at = 0
        for line in lines:
            while at < len(said) and not pattern_of(line).fullmatch(said[at]):
                at += 1
            if at == len(said):
                sys.exit(f"$ {command}\nprints no line '{line}' there:\n{done.stdout}")
            at += 1
        count += 1
    if count < 8:
        sys.exit(f"only {count} commands are in {PAGE}")
    print(f"{count} commands do what the page says")


main()
