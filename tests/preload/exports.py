#!/usr/bin/env python3
"""What the library exports is what its sources interpose, and exports.map says so too.

usage: exports.py LIBRARY SOURCE_FOLDER
"""
import pathlib
import re
import subprocess
import sys


def interposed(folder: pathlib.Path) -> set[str]:
    names: set[str] = set()
    for source in folder.glob("*.cc"):
        text = source.read_text()
        names |= set(re.findall(r"SX_INTERPOSE\([^,()]*,\s*(\w+),", text))
        names |= set(re.findall(r"SX_INTERPOSE_ALIAS\(\w+,\s*(\w+)\)", text))
    return names


def in_map(folder: pathlib.Path) -> set[str]:
    text = (folder / "exports.map").read_text()
    return set(re.findall(r"^    (\w+);", text.split("local:")[0], re.M))


def exported(library: str) -> set[str]:
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                         capture_output=True).stdout
    return {line.split()[-1] for line in out.splitlines()}


def main() -> int:
    library, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    wanted = interposed(folder)
    bad = 0
    for what, names in (("exports.map", in_map(folder)), ("the library", exported(library))):
        for name in sorted(wanted - names):
            print(f"FAIL: {name} is interposed but not in {what}")
            bad = 1
        for name in sorted(names - wanted):
            print(f"FAIL: {name} is in {what} but not interposed")
            bad = 1
    if len(wanted) < 50:
        print(f"FAIL: only {len(wanted)} interposed names found")
        bad = 1
    print(f"{len(wanted)} interposed names")
    return bad


sys.exit(main())
