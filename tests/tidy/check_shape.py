#!/usr/bin/env python3
"""Sizes and headers of src/, and the names of steps: rules that hold by test.

    check_shape.py             checks this tree
    check_shape.py --list      every finding, those that shape_exceptions.py explains as well
    check_shape.py --selftest  plants one finding of every kind in a temporary tree

What is checked
  function  at most 60 lines from its name to its brace
  file      at most 400 lines
  header    one that declares a class of more than 20 lines says in its comments who owns it, which locks it has or
            needs, and which states it has: words of OWNS, LOCKS and STATES ("stateless" and "no lock" are answers)
  analysis  SX_NO_THREAD_SAFETY_ANALYSIS is used at most 8 times, each with its reason in the lines above ("analysis")
  step      each SX_STEP and SX_MARK is named by a test or a scenario
  stale     an exception that is none any more

Exceptions, each with its reason, are rows of shape_exceptions.py beside this file.
"""
import argparse
import pathlib
import re
import runpy
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = pathlib.Path(__file__).with_name("shape_exceptions.py")

FUNCTION_LINES = 60
FILE_LINES = 400
CLASS_LINES = 20
EXEMPTIONS = 8

CONTROL = re.compile(r"^\s*(?:\}\s*)?(?:if|else|for|while|switch|do|try|catch|return|case|default|namespace|extern|enum"
                     r"|class|struct|union|template\s*<[^{]*>\s*(?:class|struct))\b")
CASE = re.compile(r"^TEST(?:_[FP])?\((\w+), (\w+)\)")
NAME = re.compile(r"([A-Za-z_~][\w:~<>]*|operator\S+)\s*\(")
CLASS = re.compile(r"^(\s*)(?:template <.*> )?(?:class|struct) (?:SX_\w+(?:\([^)]*\))? )?(\w+)[^;()]*\{$")
STEP = re.compile(r'\bSX_(?:STEP|MARK)\(\s*"([^"]+)"')

DOUBLE = re.compile(r"test|fixture|fake|naive|_rig$")  # of tests: each is its test's own

OWNS = re.compile(r"\b(?:own|owns|owned|owner|owners|holds|held|keeps|kept|belongs|shared|share|lives?|outlives?"
                  r"|lifetime|copied|value|values|one per|made by|static|stack|embedded|member)\b", re.I)
LOCKS = re.compile(r"\b(?:locks?|locked|lock-free|thread|threads|thread-safe|atomic|single-threaded|immutable|const"
                   r"|pure|concurrent\w*|guard\w*)\b", re.I)
STATES = re.compile(r"\b(?:states?|stateless|never changes?|immutable|once|until|before|after|then|from here on|empty"
                    r"|begins?|ends?|fixed|const|pure|live|dead|closed|idle)\b", re.I)


def functions(lines):
    """(name, first line from 1, lines) of every function body. The code is formatted: a body ends at the first closing
    brace that stands where its first line began."""
    start = None
    for i, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith(("//", "#")):
            start = None
            continue
        indent = len(line) - len(line.lstrip())
        if start is None or indent <= start[1]:
            start = (i, indent)
        if not line.endswith("{"):
            if line.rstrip().endswith((";", "}", ":")):
                start = None
            continue
        first, level = start
        head = " ".join(lines[first:i + 1])
        start = None
        if level > 4 or CONTROL.match(head) or "=" in head.split("(")[0] or "](" in head or "[" == head.strip()[:1]:
            continue
        case, name = CASE.match(head), NAME.search(head)
        if not name:
            continue
        name = ".".join(case.groups()) if case else name.group(1)
        for j in range(i + 1, len(lines)):
            if re.match(rf"^ {{{level}}}\}}", lines[j]):
                yield name, first + 1, j - first + 1
                break


def big_classes(lines):
    for i, line in enumerate(lines):
        found = CLASS.match(line)
        if not found:
            continue
        indent = len(found.group(1))
        for j in range(i + 1, len(lines)):
            if re.match(rf"^ {{{indent}}}\}};", lines[j]):
                if j - i + 1 > CLASS_LINES:
                    yield found.group(2)
                break


def comments(text):
    return "\n".join(re.findall(r"//+<?(.*)", text))


def findings_of_file(path, name):
    lines = path.read_text(encoding="utf-8").split("\n")
    if len(lines) - 1 > FILE_LINES:
        yield "file", name, f"{len(lines) - 1} lines"
    for function, at, size in functions(lines):
        if size > FUNCTION_LINES:
            yield "function", f"{name} {function}", f"{size} lines, from line {at}"
    if path.suffix != ".h" or DOUBLE.search(path.stem):
        return
    classes = list(big_classes(lines))
    if classes:
        said = comments("\n".join(lines))
        missing = [what for what, words in (("who owns it", OWNS), ("locks", LOCKS), ("states", STATES))
                   if not words.search(said)]
        if missing:
            yield "header", name, f"{', '.join(classes)}: not a word of {', '.join(missing)}"


def is_test(path):
    return "test" in path.stem or "fixture" in path.stem or path.suffix == ".softxe" or "fuzz" in path.stem


def findings_of_steps(root):
    named, steps = [], {}
    for top in ("src", "tests", "sim", "examples"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".cc", ".h", ".softxe", ".py", ".c") or not path.is_file():
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            if path.name in (LIST.name, pathlib.Path(__file__).name):
                continue
            if is_test(path) or top == "tests":
                named.append(text)
            elif top == "src":
                for step in STEP.findall(text):
                    steps.setdefault(step, path.relative_to(root).as_posix())
    all_named = "\n".join(named)
    for step, where in sorted(steps.items()):
        if not re.search(rf"(?<![\w.]){re.escape(step)}(?![\w.])", all_named):
            yield "step", step, f"in {where}: no test or scenario names it"


def findings_of_analysis(root):
    count = 0
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        lines = path.read_text(encoding="utf-8").split("\n")
        for i, line in enumerate(lines):
            if "SX_NO_THREAD_SAFETY_ANALYSIS" not in line or line.startswith("#define"):
                continue
            count += 1
            if "analysis" not in " ".join(lines[max(0, i - 4):i]):
                yield "analysis", path.relative_to(root).as_posix(), f"line {i + 1}: no reason above"
    if count > EXEMPTIONS:
        yield "analysis", "src", f"{count} exemptions"


def check(root, exceptions):
    """Findings without the explained ones; then, as findings, exceptions that explain nothing."""
    found = []
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in (".h", ".cc"):
            found += findings_of_file(path, path.relative_to(root).as_posix())
    found += findings_of_steps(root)
    found += findings_of_analysis(root)
    used = set()
    for kind, what, why in found:
        if (kind, what) in exceptions:
            used.add((kind, what))
        else:
            yield kind, what, why
    for kind, what in sorted(set(exceptions) - used):
        yield "stale", f"{kind} {what}", "is no exception any more: strike its row"


def listed():
    rows = runpy.run_path(str(LIST))["EXCEPTIONS"]
    return {(kind, what): why for kind, what, why in rows}


def selftest():
    body = "".join(f"  step({i});\n" for i in range(FUNCTION_LINES))
    fields = "".join(f"  int field_{i};\n" for i in range(CLASS_LINES))
    planted = {
        "src/a.cc": f"namespace x {{\n\nint Long::name(int a,\n               int b) const {{\n{body}}}\n\n}}\n",
        "src/b.h": f"class Big {{\n{fields}}};\n",
        "src/c.h": f"// Owned by Somebody. No lock, stateless.\nclass Big {{\n{fields}}};\n",
        "src/d.cc": "int line;\n" * (FILE_LINES + 1),
        "src/e.cc": 'void f() {\n  SX_MARK("named.step");\n  SX_STEP("unnamed.step");\n}\n',
        "src/e_test.cc": 'AtStep at("named.step");\n',
        "src/g.cc": "// No analysis: why.\nvoid f() SX_NO_THREAD_SAFETY_ANALYSIS {}\n\n\n\n\n\n" +
                    "void g() SX_NO_THREAD_SAFETY_ANALYSIS {}\n",
        "src/f.cc": f"struct S {{\n  void inline_one() {{\n  {body.replace(chr(10), chr(10) + '  ')}}}\n}};\n",
    }
    want = [("analysis", "src/g.cc"), ("file", "src/d.cc"), ("function", "src/a.cc Long::name"), ("function", "src/f.cc inline_one"),
            ("header", "src/b.h"), ("stale", "file src/gone.cc"), ("step", "unnamed.step")]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in planted.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        got = sorted((kind, what) for kind, what, _ in check(root, {("file", "src/gone.cc"): "why"}))
    if got != want:
        sys.exit(f"selftest: found {got}\nselftest: wanted {want}")
    print(f"selftest: {len(want)} findings, as planted")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--selftest", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.selftest:
        return selftest()
    exceptions = {} if options.list else listed()
    found = list(check(ROOT, exceptions))
    for kind, what, why in found:
        print(f"{kind}: {what}: {why}")
    print(f"shape: {len(found)} findings, {len(exceptions)} exceptions")
    return 1 if found and not options.list else 0


if __name__ == "__main__":
    sys.exit(main())
