#!/usr/bin/env python3
"""No package is installed for nothing: each -dev package of tools/deps.sh has a header that some source includes.

    check_deps.py             checks the tree this file stands in
    check_deps.py --selftest  a package that nothing includes, and one that is not in the table, are found

debian/control must name the same libraries, but for those of tests and examples.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What an include of the package's headers begins with.
HEADERS = {
    "libfmt-dev": "fmt/", "libcli11-dev": "CLI/", "nlohmann-json3-dev": "nlohmann/", "libexpected-dev": "tl/expected",
    "libboost-dev": "boost/", "libboost-context-dev": "boost/context/", "libcapstone-dev": "capstone/", "libgtest-dev": "gtest/", "libgmock-dev": "gmock/",
    "libabsl-dev": "absl/", "libdrm-dev": "xf86drm", "libze-dev": "level_zero/", "ocl-icd-opencl-dev": "CL/", "libzstd-dev": "zstd",
    "libprotozero-dev": "protozero/", "libdw-dev": "elfutils/",
}
# libgmock is linked with GoogleTest's own main; libclang-rt is a run-time library.
NO_HEADER = {"libgmock-dev", "libclang-rt-14-dev"}
ONLY_TESTS = {"libgtest-dev", "libgmock-dev", "libabsl-dev", "libdrm-dev", "libze-dev", "ocl-icd-opencl-dev"}


def problems_of(deps, control, includes):
    packages = {word for word in re.findall(r"\b[a-z0-9.+-]+-dev\b", deps)}
    for package in sorted(packages - NO_HEADER):
        start = HEADERS.get(package)
        if start is None:
            yield f"tools/deps.sh: {package}: say in check_deps.py which headers it is for"
        elif not any(name.startswith(start) for name in includes):
            yield f"tools/deps.sh: nothing includes {start}...: {package} can go"
    build = control.split("\n\n", 1)[0]
    for package in sorted(packages & set(HEADERS) - ONLY_TESTS):
        if package not in build:
            yield f"debian/control: Build-Depends lacks {package}"


def includes_of_tree():
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files", "*.cc", "*.h", "*.c"], check=True, capture_output=True,
                           text=True).stdout.split()
    for name in files:
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        yield from re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)', text, re.M)


def selftest():
    control = "Build-Depends: libfmt-dev, libboost-dev\n\n"
    rows = [("libfmt-dev", ["fmt/format.h"], 0), ("libfmt-dev", ["fmtx/format.h"], 1), ("libnew-dev", [], 1),
            ("libcapstone-dev", ["capstone/capstone.h"], 1)]
    bad = [row for row in rows if len(list(problems_of(row[0], control, row[1]))) != row[2]]
    print(f"{len(rows) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


def main():
    if sys.argv[1:] == ["--selftest"]:
        return selftest()
    problems = list(problems_of((ROOT / "tools/deps.sh").read_text(encoding="utf-8"),
                                (ROOT / "debian/control").read_text(encoding="utf-8"), set(includes_of_tree())))
    print("\n".join(problems) or "deps: every package is used")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
