#!/usr/bin/env python3
"""docs/COVERAGE.md says which test shows which row of the specification: checks that every row is there and
names a test that exists, or says why the row does not concern this engine.

    check_coverage.py             checks docs/COVERAGE.md against the specifications in docs/spec
    check_coverage.py --selftest  spoils a small tree in every way

Rows come from the specification itself (section, how its rows begin). A line of docs/COVERAGE.md is
| row | tests | note |; its tests are `Suite.Case`, `file.softxe` "scenario" or a ctest such as `client.forks`.
Without tests the note must begin with "not here:".
"""
import pathlib
import re
import sys
import tempfile

import check_docs

NUMBERED = re.compile(r"^(\d+)\. ")
TABLE = re.compile(r"^\| ([A-Z]\d+) \|")
LISTED = re.compile(r"^([A-Z]\d+) ")
ANY_ROW = re.compile(r"^\| (?!Bug|---)(.+?) \|")
# file, heading, pattern of a row, prefix of its name in COVERAGE.md
SECTIONS = [
    ("vm.md", "### 10.1 ", NUMBERED, "V"),
    ("vm.md", "### 10.2 ", TABLE, ""),
    ("svm.md", "### 10.2 ", TABLE, ""),
    ("svm.md", "### 10.3 ", LISTED, ""),
    ("svm.md", "### 10.4 ", TABLE, ""),
    ("svm.md", "### 10.5 ", LISTED, ""),
    ("svm.md", "### 10.6 ", ANY_ROW, "X"),
    ("compute-dispatch.md", "## 16. ", NUMBERED, "D"),
    ("eu-isa.md", "## 14. ", NUMBERED, "T"),
]
CTEST = re.compile(r"^(?:client|example|preload)\.[\w.]+$")


def rows_of(text, heading, pattern, prefix):
    """The names of a section's rows, in order."""
    names, inside = [], False
    for line in text.splitlines():
        if re.match(r"#{2,3} ", line) or line == "---":
            inside = line.startswith(heading)
            continue
        found = pattern.match(line) if inside else None
        if not found:
            continue
        if pattern is ANY_ROW:
            names.append(f"{prefix}{len(names) + 1}")
        else:
            names.append(prefix + found.group(1))
    return names


def wanted_rows(root):
    names = []
    for file, heading, pattern, prefix in SECTIONS:
        path = root / "docs/spec" / file
        if path.exists():
            names += rows_of(path.read_text(encoding="utf-8"), heading, pattern, prefix)
    return names


def ctests(root):
    text = "\n".join(f.read_text(encoding="utf-8") for f in root.rglob("CMakeLists.txt") if "build" not in f.parts)
    names = {f"client.{n}" for n in re.findall(r"\bclient_test\(([\w.]+)", text)}
    return names | set(re.findall(r"\b(?:example|preload)\.[\w.]+", text))


def check_row(tree, known_ctests, tests, note):
    tokens = re.findall(r"`([^`]+)`", tests)
    scenarios = check_docs.SCENARIO.findall(tests)
    if not tokens and not note.startswith("not here:"):
        yield "names no test and no reason"
    for token in tokens:
        if check_docs.CASE.match(token):
            if token not in tree.cases:
                yield f"no test {token}"
        elif CTEST.match(token):
            if token not in known_ctests:
                yield f"no test {token}"
        elif not token.endswith(".softxe"):
            yield f"{token} is no test"
    for file, title in scenarios:
        if not title:
            yield f"{file} without a scenario"
        elif title not in tree.scenarios.get(file, ()):
            yield f"no scenario {file} \"{title}\""


def check(root):
    tree, known = check_docs.Tree(root), ctests(root)
    page = root / "docs/COVERAGE.md"
    findings, seen = [], {}
    lines = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    for number, line in enumerate(lines, 1):
        row = re.match(r"^\| ([A-Z]\d+) \|", line)
        if not row:
            continue
        cells = check_docs.cells_of(line)
        name = row.group(1)
        if name in seen:
            findings.append(f"{number}: {name} again")
        seen[name] = number
        if len(cells) != 3:
            findings.append(f"{number}: {name} has {len(cells)} cells")
            continue
        findings += [f"{number}: {name}: {why}" for why in check_row(tree, known, cells[1], cells[2])]
    wanted = wanted_rows(root)
    findings += [f"row {name} of the specification is missing" for name in wanted if name not in seen]
    findings += [f"{seen[name]}: {name} is no row of the specification" for name in seen if name not in wanted]
    return len(wanted), findings


SPEC = "### 10.2 Rows\n| # | event |\n|---|---|\n| E1 | x |\n| E2 | y |\n### 10.3 Next\nI1 holds.\n---\n"
SPOILT = [
    ("complete", '| E1 | `Suite.Case` | |\n| E2 | `a.softxe` "it holds" | |\n| I1 | | not here: no such thing |\n', None),
    ("row missing", "| E1 | `Suite.Case` | |\n| I1 | | not here: x |\n", "E2 of the specification is missing"),
    ("test missing", "| E1 | `Suite.None` | |\n| E2 | `Suite.Case` | |\n| I1 | | not here: x |\n", "no test"),
    ("scenario missing", '| E1 | `a.softxe` "none" | |\n| E2 | `Suite.Case` | |\n| I1 | | not here: x |\n', "no scenario"),
    ("nothing said", "| E1 | | |\n| E2 | `Suite.Case` | |\n| I1 | | not here: x |\n", "names no test"),
    ("foreign row", "| E1 | `Suite.Case` | |\n| E2 | `Suite.Case` | |\n| E9 | `Suite.Case` | |\n"
     "| I1 | | not here: x |\n", "no row of the specification"),
    ("twice", "| E1 | `Suite.Case` | |\n| E1 | `Suite.Case` | |\n| E2 | `Suite.Case` | |\n| I1 | | not here: x |\n",
     "again"),
]


def selftest():
    failed = 0
    for name, page, want in SPOILT:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "docs/spec").mkdir(parents=True)
            (root / "src/vm").mkdir(parents=True)
            (root / "tests").mkdir()
            (root / "docs/spec/svm.md").write_text(SPEC)
            (root / "src/vm/a_test.cc").write_text("TEST(Suite, Case) {}\n")
            (root / "tests/a.softxe").write_text("scenario it holds\n")
            (root / "docs/COVERAGE.md").write_text(page)
            _, findings = check(root)
        good = not findings if want is None else len(findings) == 1 and want in findings[0]
        if not good:
            failed += 1
            print(f"{name}: expected {want}, found {findings or 'nothing'}")
    print(f"{len(SPOILT) - failed} passed, {failed} failed")
    return failed == 0


def main():
    return check_docs.run(__doc__, check, selftest,
                          {"finding": "docs/COVERAGE.md:{}", "sum": "coverage: {} rows, {} findings"})


if __name__ == "__main__":
    sys.exit(main())
