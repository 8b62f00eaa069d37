#!/usr/bin/env python3
"""clang-tidy over source files, two at a time; what was clean is not looked at again while nothing it reads changes.

    tidy.py BUILD_DIR SOURCE...

Tests are looked at without the path analyzer: what their macros unfold to takes it ten times as long as the rest
together. A file's key is the hash of the tool's version, the configuration files above it, its command line and its
preprocessed text with comments. Clean keys are kept in the user's cache folder. Status 1 when there is a finding.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "softxe", "tidy")
NOT_IN_TESTS = "--checks=-clang-analyzer-*"
NOISE = re.compile(r"warnings? generated|^Suppressed|^Use -header-filter")


def commands(build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        return {os.path.realpath(entry["file"]): entry for entry in json.load(file)}


def configuration(source):
    """Texts of every .clang-tidy from the source's folder upwards."""
    texts, folder = [], os.path.dirname(source)
    while folder not in ("", "/"):
        path = os.path.join(folder, ".clang-tidy")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                texts.append(file.read())
        folder = os.path.dirname(folder)
    return "\n".join(texts)


def key_of(source, entry, version, root):
    words = shlex.split(entry["command"])
    words = words[next(i for i, word in enumerate(words) if "clang++" in word):]
    without_output = [word for i, word in enumerate(words) if word not in ("-c", "-o") and words[i - 1] != "-o"]
    text = subprocess.run([*without_output, "-E", "-CC", "-P"], cwd=entry["directory"], capture_output=True, check=False)
    if text.returncode != 0:
        return None
    parts = [version, configuration(source), " ".join(without_output), source, *flags_of(source)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.replace(root, "").encode() + b"\0")
    digest.update(text.stdout.replace(root.encode(), b""))
    return digest.hexdigest()


def flags_of(source):
    return [NOT_IN_TESTS] if source.endswith("_test.cc") else []


def look(source, entry, build, version, root):
    """(was known to be clean, findings)"""
    key = key_of(source, entry, version, root)
    marker = os.path.join(CACHE, key) if key else None
    if marker and os.path.exists(marker):
        return True, ""
    ended = subprocess.run(["clang-tidy", "--quiet", *flags_of(source), "-p", build, source], capture_output=True, text=True, check=False)
    errors = "\n".join(line for line in ended.stderr.splitlines() if not NOISE.search(line))
    text = (ended.stdout + errors).strip()
    if ended.returncode == 0 and not text and marker:
        with open(marker, "w", encoding="ascii"):
            pass
    return False, text or ("" if ended.returncode == 0 else f"{source}: clang-tidy ended with {ended.returncode}")


def main():
    build, sources = sys.argv[1], [os.path.realpath(name) for name in sys.argv[2:]]
    os.makedirs(CACHE, exist_ok=True)
    known = commands(build)
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True, check=True).stdout
    root = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
    missing = [source for source in sources if source not in known]
    bad = cached = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(look, source, known[source], build, version, root) for source in sources if source in known]
        for run in concurrent.futures.as_completed(runs):
            clean_before, text = run.result()
            cached += clean_before
            if text:
                bad += 1
                print(text, flush=True)
    print(f"tidy: {len(runs)} files, {cached} unchanged since they were clean, {bad} with findings"
          + (f"; not built by this preset: {len(missing)}" if missing else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
