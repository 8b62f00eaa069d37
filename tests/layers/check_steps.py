#!/usr/bin/env python3
"""The table of steps (src/cli/scenario_step_table.cc) has every SX_STEP and SX_MARK of the source, as such, and no other.

    check_steps.py               checks the tree this file stands in
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "src/cli/scenario_step_table.cc"


def steps_of_source():
    steps = {}
    for path in sorted((ROOT / "src").rglob("*")):
        # What only tests reach is no step of the engine.
        if path.suffix not in (".cc", ".h", ".inc") or path.stem.endswith(("_test", "_fake_world")):
            continue
        if path == ROOT / "src/base/step.h":
            continue
        for kind, name in re.findall(r'\bSX_(STEP|MARK)\("([^"]+)"\)', path.read_text(encoding="utf-8")):
            steps.setdefault(name, set()).add(kind)
    return steps


def main():
    table = dict(re.findall(r'StepInfo\{"([^"]+)", Kind::k(\w+),', TABLE.read_text(encoding="utf-8")))
    problems = []
    source = steps_of_source()
    for name, kinds in source.items():
        if name not in table:
            problems.append(f"{name}: is in the source, not in {TABLE.relative_to(ROOT)}")
        elif table[name].upper() not in kinds or len(kinds) != 1:
            problems.append(f"{name}: a {table[name]} in the table, {' and '.join(sorted(kinds))} in the source")
    problems += [f"{name}: is in the table alone" for name in table if name not in source]
    for problem in problems:
        print(problem)
    print(f"{len(table)} steps, {len(problems)} problems")
    return 1 if problems or not table else 0


if __name__ == "__main__":
    sys.exit(main())
