#!/usr/bin/env python3
"""Runs the lines of usages.txt: what the command says to wrong and odd usages, and how it ends.

    usage_test.py --softxe SOFTXE [--namespaces] [--only TEXT]

Each line gets a folder of its own with the same fixtures in it. --namespaces runs the lines marked "ns" instead of the
others, each in a user and mount namespace; where the machine refuses those the test ends with 77 (skipped).
"""
import argparse
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NAMESPACE = ["unshare", "--map-root-user", "--mount"]

SCRIPTS = {
    "said": "#!/bin/sh\nprintf '<%s>' \"$0\" \"$@\"\n",
    "of_script": "#!./said\n",
    "env_split": "#!/usr/bin/env -S printf <%s> 'one two'\n",
    "env_static": "#!/usr/bin/env -S ./static a b\n",
    "of_static": "#!./static\n",
    "of_script_of_static": "#!./of_static\n",
    "loop": "#!./loop\n",
    "no_first_line": "echo hello\n",
    "windows": "#!/bin/sh\r\necho hello\r\n",
    "no_interpreter": "#!/nowhere/sh\n",
    "empty_first_line": "#!  \n",
    "forbidden/tool": "#!/bin/sh\n",
    "plain": "#!/bin/sh\n",
    "ok.softxe": "scenario one\ndevice bmg vram=64M\nvm v lr fault\n",
    "odd_vram.softxe": "scenario one\ndevice bmg vram=5000\nvm v lr fault\n",
    "code.asm": ".simd 16\n    mov  r10:d  r1:uw\n    eot  r0\n",
}
NOT_EXECUTABLE = {"plain", "forbidden/tool"}

# Refuses the system call as Docker's filter does, then becomes the program it is given.
NO_USERFAULTFD = """
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {4, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return 99;
  return argc > 1 ? execvp(argv[1], argv + 1) : 98;
}
"""


def compile_c(cc, folder, name, text, *flags):
    source = folder / f"{name}.c"
    source.write_text(text, encoding="utf-8")
    subprocess.run([cc, "-o", folder / name, source, *flags], check=True)
    source.unlink()


def make_programs(cc, softxe, folder):
    """What takes time to make: once, then linked or copied into the folder of each line."""
    empty = "int main(void) { return 0; }\n"
    compile_c(cc, folder, "no_userfaultfd", NO_USERFAULTFD)
    compile_c(cc, folder, "static", empty, "-static")
    compile_c(cc, folder, "musl", empty, "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1")
    compile_c(cc, folder, "no_loader", empty, "-Wl,--dynamic-linker=/nowhere/ld.so")
    compile_c(cc, folder, "object.o", empty, "-c")
    (folder / "object.o").chmod(0o755)
    (folder / "narrow").write_bytes(b"\x7fELF\x01\x01\x01" + bytes(100))
    (folder / "cut").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9))
    for name in ("narrow", "cut"):
        (folder / name).chmod(0o755)
    hexadecimal = subprocess.run([softxe, "asm", "--hex", "-"], input=SCRIPTS["code.asm"], text=True, check=True,
                                 capture_output=True)
    (folder / "code.hex").write_text(hexadecimal.stdout, encoding="utf-8")
    shutil.copy(next((ROOT / "tests/data/gpuvm").glob("*.jsonl")), folder / "trace.jsonl")
    subprocess.run([softxe, "run", "--report", folder / "good.json", "sh", "-c", "exec 3<>/dev/dri/renderD128"], check=True)
    # An installation at a path that LD_PRELOAD cannot carry.
    odd = folder / "odd dir: $x"
    (odd / "bin").mkdir(parents=True)
    (odd / "lib/softxe").mkdir(parents=True)
    binary = pathlib.Path(softxe).resolve()
    shutil.copy(binary, odd / "bin/softxe")
    shutil.copy(binary.parent.parent / "preload/libsoftxe-preload.so", odd / "lib/softxe")


def furnish(folder, programs):
    for name, text in SCRIPTS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if name not in NOT_EXECUTABLE:
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
    for name in ("folder", "runs", "t m:p", "folders/echo"):
        (folder / name).mkdir(parents=True)
    os.mkfifo(folder / "fifo")
    for made in programs.iterdir():
        (folder / made.name).symlink_to(made) if made.is_dir() else os.link(made, folder / made.name)


def read_table():
    for number, line in enumerate((HERE / "usages.txt").read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        in_namespace = line.startswith("ns ")
        status, rest = line.removeprefix("ns ").split(" | ", 1)
        command, text = re.fullmatch(r"(.*) \|(?: (.*))?", rest).groups()
        yield number, in_namespace, int(status), command, text or ""


def run_line(command, folder, environment, in_namespace):
    argv = [*(NAMESPACE if in_namespace else []), "bash", "-c", command]
    with tempfile.TemporaryFile() as out:
        done = subprocess.run(argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                              timeout=60, check=False)
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    # bash ends as a program it has replaced itself by.
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return status, text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--softxe", required=True)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--namespaces", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    if args.namespaces and subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode != 0:
        print("skipped: this machine allows no user namespaces")
        return 77
    lines = [line for line in read_table() if line[1] == args.namespaces and args.only in line[3]]
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        programs, tools, runs = (pathlib.Path(place) / name for name in ("programs", "tools", "tmp"))
        for folder in (programs, tools, runs):
            folder.mkdir()
        (tools / "softxe").symlink_to(pathlib.Path(args.softxe).resolve())
        environment = {"PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": place,
                       "TMPDIR": str(runs), "LC_ALL": "C.UTF-8"}
        make_programs(args.cc, args.softxe, programs)
        for number, in_namespace, status, command, text in lines:
            folder = pathlib.Path(place) / f"line{number}"
            folder.mkdir()
            furnish(folder, programs)
            # PATH of a line replaces ours: the command itself is found by its place.
            found, printed = run_line(re.sub(r"(^|; |\| |& |&& )((?:[A-Z_]+=\S* )*)softxe\b", rf"\1\2{tools}/softxe",
                                             command), folder, environment, in_namespace)
            if found != status or text not in printed:
                bad += 1
                print(f"FAIL usages.txt:{number}: {command}\n  status {found}, expected {status}; expected text: {text}")
                print("  | " + "\n  | ".join(printed.splitlines()[:12]))
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(lines) - bad} of {len(lines)} usages as expected")
    return 1 if bad or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
