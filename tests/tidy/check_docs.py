#!/usr/bin/env python3
"""The documentation names files, tests and classes: checks that they exist.

    check_docs.py             checks README.md, ARCHITECTURE.md, CONTRIBUTING.md, docs/ (not docs/spec/)
    check_docs.py --selftest  plants one dead reference of every kind in a temporary tree

What is checked
  links    [text](path) of a file of this tree
  paths    `src/...`, `tests/...` and other paths in backticks; `vm/vma.h` means src/vm/vma.h
  tests    `Suite.Case` is a GoogleTest case; `x.softxe` is a scenario file and "..." behind it its scenario
  quotes   a code block behind a line <!-- file PATH --> is that file, word for word
  symbols  in tables headed "Here | Where", each name under Here occurs in a file under Where; so does each function in
           the drawing behind a line <!-- flow NAME -->, at most twice in a layer that was left before
  cited    in sources: "decision NNNN" is a file docs/decisions/NNNN-*, "spec/x.md 4.2" or "x.md 4.2" a section of docs/spec/x.md
  mutants  tables headed "mutant | in `src/`" have the rows of tests/mutants/list.py, whose old text is in its file once
"""
import argparse
import pathlib
import re
import runpy
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = "base|hw|vm|host|svm|drv|abi|embed|preload|cli"
TOP = "src|include|tests|docs|tools|examples|conformance|cmake|bench|\\.ci"

LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
TICKED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"^(?:(?:{TOP})/[\w./-]+|(?:{LAYERS})/[\w./-]+\.(?:h|cc|inc))$")
CASE = re.compile(r"^[A-Z]\w*\.[A-Z]\w*$")
SCENARIO = re.compile(r'`(?:[\w/]*/)?(\w+\.softxe)`(?: "([^"]+)")?')


class Tree:
    """What there is to refer to."""

    def __init__(self, root):
        self.root = root
        sources = [f for f in (root / "src").rglob("*") if f.suffix in (".cc", ".h")]
        sources += list((root / "tests").rglob("*.cc"))
        self.cases = set()
        for source in sources:
            if "test" in source.stem:
                text = re.sub(r"\s*\n\s*", " ", source.read_text(encoding="utf-8"))
                for suite, case in re.findall(r"\bTEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\)", text):
                    self.cases.add(f"{suite}.{case}")
        self.scenarios = {}
        for file in (root / "tests").rglob("*.softxe"):
            titles = re.findall(r"^scenario (.+)$", file.read_text(encoding="utf-8"), re.M)
            self.scenarios[file.name] = {title.strip() for title in titles}

    def find(self, name, beside=None):
        for base in (self.root, self.root / "src", *([beside] if beside else [])):
            if (base / name).exists():
                return base / name
        return None

    def texts(self, names):
        for name in names:
            path = self.find(name)
            if path is None:
                continue
            files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
            for file in files:
                yield file.read_text(encoding="utf-8", errors="replace")


def check_line(tree, doc, line):
    for target in LINK.findall(line):
        if "://" not in target and not (doc.parent / target).exists():
            yield f"links: {target}"
    for token in TICKED.findall(line):
        if PATH.match(token) and tree.find(token) is None:
            yield f"paths: {token}"
        if CASE.match(token) and token not in tree.cases:
            yield f"tests: {token}"
    for file, title in SCENARIO.findall(line):
        if file not in tree.scenarios:
            yield f"tests: {file}"
        elif title and title not in tree.scenarios[file]:
            yield f"tests: {file} has no scenario \"{title}\""


def cells_of(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def rows_under(lines, *columns):
    """Rows of the tables that have these columns: line number, then the cell of each column."""
    places = None
    for number, line in enumerate(lines, 1):
        cells = cells_of(line)
        if not line.startswith("|"):
            places = None
        elif all(column in cells for column in columns):
            places = [cells.index(column) for column in columns]
        elif places and not set(line) <= set("|-: ") and len(cells) > max(places):
            yield number, *(cells[place] for place in places)


def check_symbols(tree, lines):
    for number, here, where in rows_under(lines, "Here", "Where"):
        names = [n for n in TICKED.findall(here) if re.match(r"^[A-Za-z_][\w:]*(\(\))?$", n)]
        files = TICKED.findall(where)
        if not names:
            continue
        text = "\n".join(tree.texts(files))
        for name in names:
            word = name.replace("()", "").split("::")[-1]
            if not re.search(rf"\b{re.escape(word)}\b", text):
                yield number, f"symbols: {name} is not in {', '.join(files) or 'any named file'}"


FLOW = re.compile(r"^<!-- flow (.+) -->$")
FLOW_STEP = re.compile(r"^(?: \w+|  \||) +(?:(\w+)::)?(~?\w+)\(\) +(\S+)")
FLOW_RETURNS = 2


def check_flows(tree, lines):
    for number, line in enumerate(lines, 1):
        named = FLOW.match(line)
        if not named:
            continue
        rest = lines[number:]
        if not rest or not rest[0].startswith("```") or "```" not in rest[1:]:
            yield number, f"symbols: no drawing of {named.group(1)}"
            continue
        walked, returns = [], 0
        for at, step in enumerate(rest[1:rest.index("```", 1)], number + 2):
            found = FLOW_STEP.match(step)
            if not found:
                if step.strip() not in ("|", "v"):
                    yield at, f"symbols: no step of a flow: {step.strip()}"
                continue
            scope, function, file = found.groups()
            text = "\n".join(tree.texts([file]))
            if not re.search(rf"\b{function}\(", text) or (scope and not re.search(rf"\b{scope}\b", text)):
                yield at, f"symbols: {function}() is not in {file}"
            layer = file.split("/")[0]
            if not walked or walked[-1] != layer:
                returns += layer in walked
                walked.append(layer)
        if returns > FLOW_RETURNS or not walked:
            yield number, f"symbols: {named.group(1)} returns {returns} times to a layer that it has left"


QUOTE = re.compile(r"^<!-- file (\S+) -->$")


def check_quotes(tree, lines):
    for number, line in enumerate(lines, 1):
        named = QUOTE.match(line)
        if not named:
            continue
        path, rest = tree.find(named.group(1)), lines[number:]
        if path is None or not rest or not rest[0].startswith("```") or "```" not in rest[1:]:
            yield number, f"quotes: no block, or no file {named.group(1)}"
        elif rest[1:rest.index("```", 1)] != path.read_text(encoding="utf-8").splitlines():
            yield number, f"quotes: the block is not {named.group(1)} any more"


def check_mutants(root):
    listed = root / "tests/mutants/list.py"
    if not listed.exists():
        return
    mutants = runpy.run_path(str(listed))["MUTANTS"]
    lines = (root / "docs/TESTING.md").read_text(encoding="utf-8").splitlines()
    shown = {(name, "src/" + file.strip("`")) for _, name, file in rows_under(lines, "mutant", "in `src/`")}
    there = {(name, file) for name, file, *_ in mutants}
    yield from (f"mutants: {name} ({file}) is not in the table" for name, file in sorted(there - shown))
    yield from (f"mutants: {name} ({file}) is not in the list" for name, file in sorted(shown - there))
    for name, file, old, *_ in mutants:
        path = root / file
        found = path.read_text(encoding="utf-8").count(old) if path.exists() else 0
        if found != 1:
            yield f"mutants: what {name} replaces is {found} times in {file}"


SOURCES = ("src", "include", "sim", "tests", "bench", "examples", "conformance")
SUFFIXES = {".h", ".cc", ".c", ".cl", ".inc", ".py", ".sh", ".softxe", ".txt"}
DECISION = re.compile(r"\b([Dd]esign )?decisions? (\d+)\b")
SECTION = re.compile(r"\b((?:spec/)?[a-z0-9-]+\.md) (?:section )?(\d+(?:\.\d+)*)\b")


def sections_of(spec):
    """The numbers of its headings, of its numbered rows and items among them ("4", "4.2")."""
    return set(re.findall(r"^(?:#+ |\|? ?\**)(\d+(?:\.\d+)*)\b", spec.read_text(encoding="utf-8"), re.M))


def check_cited(root):
    decisions = {f.name[:4] for f in (root / "docs/decisions").glob("*.md")}
    sections = {f.name: sections_of(f) for f in (root / "docs/spec").glob("*.md")}
    own = pathlib.Path(__file__).name
    for folder in SOURCES:
        for file in sorted(f for f in (root / folder).rglob("*") if f.suffix in SUFFIXES and f.name != own):
            for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                where = f"{file.relative_to(root)}:{number}"
                for foreign, decision in DECISION.findall(line):
                    if foreign or decision not in decisions:
                        yield f"{where}: cited: decision {decision}"
                for name, section in SECTION.findall(line):
                    if section not in sections.get(name.split("/")[-1], ()):
                        yield f"{where}: cited: {name} {section}"


def documents(root):
    fixed = [root / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
    more = [f for f in (root / "docs").rglob("*.md") if "spec" not in f.relative_to(root).parts]
    return [f for f in fixed if f.exists()] + sorted(more)


def check_tree(root):
    tree, findings, count = Tree(root), [], 0
    for doc in documents(root):
        count += 1
        name, lines = doc.relative_to(root), doc.read_text(encoding="utf-8").splitlines()
        fenced = False
        for number, line in enumerate(lines, 1):
            fenced ^= line.startswith("```")
            if not fenced:
                findings += [f"{name}:{number}: {why}" for why in check_line(tree, doc, line)]
        findings += [f"{name}:{n}: {why}" for n, why in check_symbols(tree, lines)]
        findings += [f"{name}:{n}: {why}" for n, why in check_flows(tree, lines)]
        findings += [f"{name}:{n}: {why}" for n, why in check_quotes(tree, lines)]
    findings += [f"tests/mutants/list.py: {why}" for why in check_mutants(root)]
    findings += check_cited(root)
    return count, findings


TABLE = "| Kernel | Here | Where |\n|---|---|---|\n"
MUTANTS = "| mutant | in `src/` | caught by |\n|---|---|---|\n| gone | `vm/a.h` | `Suite.Case` |\n"
FLOW_PAIR = " abi   made()   abi/a.h  what\n vm   made()   vm/a.h\n"
FLOW_TEXT = "<!-- flow x -->\n```\n vm    {}()   {}  what\n  |\n  v\n abi   made()   abi/a.h\n```\n"
HEADER = "void made();\n"  # src/vm/a.h of the temporary tree, unless a row says otherwise
PLANTED = [
    ("link", "[x](docs/none.md)\n", "links"),
    ("path", "see `src/vm/none.h`\n", "paths"),
    ("short path", "see `vm/none.h`\n", "paths"),
    ("case", "shown by `Suite.None`\n", "tests"),
    ("scenario file", "shown by `none.softxe`\n", "tests"),
    ("scenario", 'shown by `a.softxe` "none"\n', "tests"),
    ("symbol", TABLE + "| k | `none()` | `vm/a.h` |\n", "symbols"),
    ("symbol without a file", TABLE + "| k | `made` |  |\n", "symbols"),
    ("all there", TABLE + '| k | `A::made()` | `vm/a.h` |\n\n`Suite.Case` `a.softxe` "it holds" '
     "`src/vm` [x](README.md) [y](https://example.org/z)\n", None),
    ("flow", FLOW_TEXT.format("made", "vm/a.h"), None),
    ("flow to a function that is gone", FLOW_TEXT.format("gone", "vm/a.h"), "symbols"),
    ("flow into no file", FLOW_TEXT.format("made", "vm/b.h"), "symbols"),
    ("flow to and fro", FLOW_TEXT.format("made", "vm/a.h").replace("  v\n", "  v\n" + 2 * FLOW_PAIR), "symbols"),
    ("flow that is not drawn", "<!-- flow x -->\n", "symbols"),
    ("quote of another text", "<!-- file src/vm/a.h -->\n```cpp\nvoid other();\n```\n", "quotes"),
    ("quote of no file", "<!-- file src/vm/none.h -->\n```cpp\n```\n", "quotes"),
    ("quote", "<!-- file src/vm/a.h -->\n```cpp\nvoid made();\n```\n", None),
    ("mutant of another name", MUTANTS.replace("| gone |", "| going |"), "mutants"),
    ("mutant of another file", MUTANTS.replace("vm/a.h", "vm/a_test.cc"), "mutants"),
    ("mutant of other text", MUTANTS, "mutants", 2 * HEADER),
    ("mutant", MUTANTS, None),
    ("cited", "", None, "// decision 0001, spec/x.md 4.2\n"),
    ("cited decision", "", "cited", "// decision 0002\n"),
    ("cited decision of elsewhere", "", "cited", "// design decision 0001\n"),
    ("cited section", "", "cited", "// x.md 4.3\n"),
    ("cited page", "", "cited", "// spec/y.md 4.2\n"),
    ("in a code block", "```\n`src/none.h`\n```\n", None),
]


def selftest():
    passed = failed = 0
    for name, text, kind, *header in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "src/vm").mkdir(parents=True)
            (root / "tests").mkdir()
            (root / "src/vm/a.h").write_text(header[0] if header else HEADER)
            (root / "src/abi").mkdir()
            (root / "src/abi/a.h").write_text(HEADER)
            (root / "src/vm/a_test.cc").write_text("TEST(Suite,\n     Case) {}\n")
            (root / "tests/a.softxe").write_text("scenario it holds\n")
            (root / "README.md").write_text(text)
            (root / "docs/decisions").mkdir(parents=True)
            (root / "docs/decisions/0001-first.md").touch()
            (root / "docs/spec").mkdir()
            (root / "docs/spec/x.md").write_text("### 4.2 Ranges\n")
            if text.startswith(MUTANTS[:9]):
                (root / "tests/mutants").mkdir()
                (root / "tests/mutants/list.py").write_text('MUTANTS = [("gone", "src/vm/a.h", "made", "", "vm Suite.*")]\n')
                (root / "docs/TESTING.md").write_text(text)
            _, findings = check_tree(root)
        kinds = {finding.split(": ")[1] for finding in findings}
        if kinds == ({kind} if kind else set()):
            passed += 1
        else:
            failed += 1
            print(f"{name}: expected {kind}, found {findings or 'nothing'}")
    print(f"{passed} passed, {failed} failed")
    return failed == 0


def run(doc, check, selftest, said):
    """The command line of a check: `check(root)` gives a count and findings, `said` is how both are told."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    parser.add_argument("--selftest", action="store_true")
    args = parser.parse_args()
    if args.selftest:
        return 0 if selftest() else 1
    count, findings = check(args.root)
    for finding in findings:
        print(said["finding"].format(finding))
    print(said["sum"].format(count, len(findings)))
    return 0 if count and not findings else 1


def main():
    return run(__doc__, check_tree, selftest, {"finding": "{}", "sum": "docs: {} pages, {} findings"})


if __name__ == "__main__":
    sys.exit(main())
