#!/usr/bin/env python3
"""The manual says what the command says: each verb has a page, with exactly the options of `softxe VERB --help`.

    manual_test.py --softxe SOFTXE [--man FOLDER]

Also looked at: pages that SEE ALSO names exist; every SOFTXE_ variable that the source reads is in
softxe-environment(7); with --man, that man(1) formats the made pages without a warning.
"""
import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/man"
# Set by the runner for the library, or only for tests of it.
INTERNAL = {"SOFTXE_ACTIVE", "SOFTXE_RUN_DIR", "SOFTXE_VERSION", "SOFTXE_SOURCE_DIR"}

problems = []


def help_of(softxe, *verb):
    return subprocess.run([softxe, *verb, "--help"], capture_output=True, text=True, check=True).stdout


def options_of_help(text):
    return {name for line in text.splitlines() if re.match(r" {2,4}-", line)
            for name in re.findall(r"(?:^ {2,4}|,)(--?[a-z][a-z-]*)", line)}


def options_of_page(text):
    """Terms of the section OPTIONS: bold words at the start of a line."""
    section = re.search(r"^# OPTIONS$(.*?)(?=^# )", text, re.M | re.S)
    lines = (section.group(1) if section else "").splitlines()
    return {name for line in lines if line.startswith("*-") for name in re.findall(r"\*(--?[a-z][a-z-]*)\*", line)}


def compare(name, said, written):
    for option in sorted(said - written):
        problems.append(f"{name}: {option} is in --help, not in the page")
    for option in sorted(written - said):
        problems.append(f"{name}: {option} is in the page, not in --help")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--softxe", required=True)
    parser.add_argument("--man", type=pathlib.Path)
    args = parser.parse_args()
    pages = {page.stem: page.read_text(encoding="utf-8") for page in PAGES.glob("*.scd")}
    top = help_of(args.softxe)
    verbs = re.findall(r"^  ([a-z][a-z-]*)  ", top.split("Verbs:", 1)[1], re.M)
    compare("softxe.1", options_of_help(top), options_of_page(pages["softxe.1"]))
    for verb in verbs:
        name = f"softxe-{verb}.1"
        if name not in pages:
            problems.append(f"{verb}: no page docs/man/{name}.scd")
            continue
        compare(name, options_of_help(help_of(args.softxe, verb)), options_of_page(pages[name]))
        if not re.search(rf"^(\*[a-z-]+\*, )*\*{verb}\*", pages["softxe.1"], re.M):
            problems.append(f"softxe.1: does not name the verb {verb}")
    known = {name.replace(".", "(") + ")" for name in pages} | {"softxe-scenario(5)"}
    for name, text in pages.items():
        for other in set(re.findall(r"\*(softxe[a-z-]*)\*(\(\d\))", text)):
            if "".join(other) not in known:
                problems.append(f"{name}: {''.join(other)} does not exist")
    sources = [path for folder in ("base", "cli", "preload") for path in (ROOT / "src" / folder).rglob("*.cc")]
    read = {name for path in sources for name in re.findall(r'"(SOFTXE_[A-Z_]+)"', path.read_text(encoding="utf-8"))}
    for name in sorted(read - INTERNAL):
        if name not in pages["softxe-environment.7"]:
            problems.append(f"softxe-environment.7: does not name {name}")
    for page in sorted(args.man.iterdir()) if args.man else []:
        made = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=False,
                              env={"MANWIDTH": "100", "MAN_KEEP_FORMATTING": "1", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
        if made.returncode != 0 or made.stderr:
            problems.append(f"{page.name}: {made.stderr.strip()}")
    print("\n".join(problems) or f"{len(verbs)} verbs and {len(pages)} pages agree")
    return 1 if problems or not verbs else 0


if __name__ == "__main__":
    sys.exit(main())
