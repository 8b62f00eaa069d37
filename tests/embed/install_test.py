#!/usr/bin/env python3
"""Installs a build into a temporary prefix, then builds and runs examples/embed.cc and examples/embed_c.c
outside of the tree: with find_package and with pkg-config, against the shared and the static library.

    install_test.py --build BUILD [--cmake CMAKE] [--cxx COMPILER] [--cc COMPILER]

Also looked at: the headers alone compile as C++17 and as C11 without warnings and name no header of others;
the shared library's SONAME and exports; that installed commands find the installed preload library; that the
prefix may be moved; that a fully static program works.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
SYSTEM_HEADERS = {"array", "cstddef", "cstdint", "memory", "utility", "variant", "vector"}
C_HEADERS = {"stddef.h", "stdint.h"}

failures = []


class Language:
    """A compiler and the example it builds."""

    def __init__(self, name, compiler, standard, example, says):
        self.name, self.compiler, self.flags = name, compiler, [standard, *WARNINGS]
        self.example, self.says = ROOT / "examples" / example, says


def check(condition, claim):
    print(("ok   " if condition else "FAIL ") + claim)
    if not condition:
        failures.append(claim)


def run(command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=100, check=False, **options)
    if done.returncode != 0:
        print(f"$ {' '.join(str(word) for word in command)}\n{done.stdout}")
    return done


def find(prefix, name):
    return next(iter(sorted(prefix.rglob(name))), None)


def check_program(program, says, claim, library_dir=None):
    environment = dict(os.environ)
    if library_dir:
        environment["LD_LIBRARY_PATH"] = str(library_dir)
    done = run([program], env=environment)
    check(done.returncode == 0 and says in done.stdout, claim)


def check_header(prefix, language, name, others, work):
    header = find(prefix, name)
    included = set(re.findall(r"#\s*include\s*[<\"]([^>\"]+)", header.read_text(encoding="utf-8")))
    check(included <= others, f"{name} needs the standard library only ({sorted(included)})")
    alone = work / f"alone{language.example.suffix}"
    alone.write_text(f"#include <softxe/{name}>\nint main(void) {{ return 0; }}\n", encoding="utf-8")
    done = run([language.compiler, *language.flags, "-fsyntax-only", f"-I{prefix}/include", alone])
    check(done.returncode == 0, f"{name} compiles alone as {language.name}, without warnings")


def declared_in_c(prefix):
    text = find(prefix, "softxe_c.h").read_text(encoding="utf-8")
    return set(re.findall(r"^SOFTXE_C_API [^;(]*?\b(softxe_\w+)\(", text, re.MULTILINE))


def check_library(prefix):
    library = find(prefix, "libsoftxe.so")
    check(library is not None and library.is_symlink(), "libsoftxe.so is a link")
    dynamic = run(["readelf", "-d", library]).stdout
    soname = re.search(r"SONAME.*\[(.*)\]", dynamic).group(1)
    check(re.fullmatch(r"libsoftxe\.so\.\d+\.\d+", soname) is not None and (library.parent / soname).exists(),
          f"the shared library has a versioned name: {soname}")
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    check(all(re.match(r"lib(stdc\+\+|gcc_s|c|m|pthread)\.so|ld-linux", name) for name in needed),
          f"it needs the compiler's libraries only: {sorted(needed)}")
    symbols = run(["nm", "-D", "--defined-only", library]).stdout.split()[2::3]
    in_c = declared_in_c(prefix)
    check(len(in_c) > 50 and in_c <= set(symbols), f"all {len(in_c)} calls of softxe_c.h are there {sorted(in_c - set(symbols))[:5]}")
    outside = [name for name in symbols if not re.match(r"_ZNK?6softxe3api", name) and name not in in_c]
    check(len(symbols) > 40 and not outside, f"{len(symbols)} symbols, all of the interface {outside[:5]}")


def check_pkg_config(prefix, language, work):
    pc = find(prefix, "softxe.pc")
    environment = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent))
    for package in ("softxe", "softxe-static"):
        flags = run(["pkg-config", "--cflags", "--libs", package], env=environment).stdout.split()
        claim = f"pkg-config {package}, {language.name}"
        program = work / f"{package}-{language.example.stem}"
        done = run([language.compiler, *language.flags, language.example, "-o", program, *flags])
        check(done.returncode == 0, f"{claim}: builds")
        if done.returncode == 0:
            check_program(program, language.says, f"{claim}: runs",
                          find(prefix, "libsoftxe.so").parent if package == "softxe" else None)


def check_fully_static(prefix, language, work):
    program = work / "fully-static"
    done = run([language.compiler, *language.flags, "-static", f"-I{prefix}/include", language.example, "-o", program,
                find(prefix, "libsoftxe.a"), "-lstdc++", "-lm", "-pthread"])
    check(done.returncode == 0, f"a fully static program in {language.name}: builds")
    if done.returncode == 0:
        check_program(program, language.says, f"a fully static program in {language.name}: runs")


def check_find_package(prefix, cmake, language, work):
    build = work / f"consumer-{language.example.stem}"
    claim = f"find_package(softxe), {language.name}"
    variable = "CMAKE_C_COMPILER" if language.example.suffix == ".c" else "CMAKE_CXX_COMPILER"
    done = run([cmake, "-G", "Ninja", "-S", ROOT / "tests/embed/consumer", "-B", build,
                f"-DCMAKE_PREFIX_PATH={prefix}", f"-D{variable}={language.compiler}", f"-DEXAMPLE={language.example}"])
    check(done.returncode == 0, f"{claim}: found")
    if done.returncode == 0 and run([cmake, "--build", build]).returncode == 0:
        for program in ("with_shared", "with_static"):
            check_program(build / program, language.says, f"{claim}: {program} runs")
    else:
        check(False, f"{claim}: builds")


def check_uninstall(args, work):
    """Of an installation nothing is left but folders that others share."""
    staged = work / "again"
    done = run([args.cmake, "--install", args.build, "--prefix", "/opt/softxe"], env=dict(os.environ, DESTDIR=str(staged)))
    installed = [path for path in staged.rglob("*") if path.is_file()]
    check(done.returncode == 0 and any(path.name == "softxe.1" for path in installed), "manual pages are installed")
    run([ROOT / "tools/uninstall", args.build / "install_manifest.txt", staged])
    left = [path for path in staged.rglob("*") if not path.is_dir() or path.name == "softxe"
            and path != staged / "opt/softxe"]
    check(not left, f"make uninstall leaves nothing {left[:3]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--cxx", default="c++")
    parser.add_argument("--cc", default="cc")
    args = parser.parse_args()
    says = "the CPU reads 7, now it is in system memory"
    cxx = Language("C++17", args.cxx, "-std=c++17", "embed.cc", says)
    c = Language("C11", args.cc, "-std=c11", "embed_c.c", says)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        done = run([args.cmake, "--install", args.build, "--prefix", "/opt/softxe"],
                   env=dict(os.environ, DESTDIR=str(work / "staged")))
        check(done.returncode == 0, "installs below DESTDIR")
        if done.returncode == 0:
            # Moving it makes sure that nothing has kept the path it was staged at.
            prefix = work / "prefix"
            (work / "staged/opt/softxe").rename(prefix)
            check_header(prefix, cxx, "softxe.h", SYSTEM_HEADERS, work)
            check_header(prefix, c, "softxe_c.h", C_HEADERS, work)
            check_header(prefix, cxx, "softxe_c.h", C_HEADERS, work)
            check_library(prefix)
            for language in (cxx, c):
                check_pkg_config(prefix, language, work)
                check_find_package(prefix, args.cmake, language, work)
                check_fully_static(prefix, language, work)
            status = run([prefix / "bin/softxe", "run", "--", "/bin/sh", "-c", "exit 3"]).returncode
            check(status == 3, "the installed command runs a program with the installed library")
            check_uninstall(args, work)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
