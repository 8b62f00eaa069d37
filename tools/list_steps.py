#!/usr/bin/env python3
"""Writes the steps of the sources that a simulated world runs, one string per line, for src/cli/explore_steps.cc.

    list_steps.py SRC OUT     OUT changes only when the list does
"""
import pathlib
import re
import sys

LAYERS = ("base", "hw", "vm", "svm", "drv", "host")
NOT_SIMULATED = ("host/live/", "host/patch/")


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    names = set()
    for layer in LAYERS:
        for path in sorted((source / layer).rglob("*")):
            relative = path.relative_to(source).as_posix()
            if path.suffix not in {".cc", ".h"} or path.stem.endswith("_test") or relative.startswith(NOT_SIMULATED):
                continue
            code = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
            names.update(re.findall(r'SX_(?:STEP|MARK)\(\s*"([^"]+)"', code))
    text = "".join(f'"{name}",\n' for name in sorted(names))
    if not out.exists() or out.read_text() != text:
        out.write_text(text)


main()
