"""Trees with planted mistakes, for tools/mutants and tools/races: a git worktree of HEAD with a build of its own, in which
texts are replaced and put back."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD_SECONDS_MAX = 1200


@dataclass
class Outcome:
    status: int  # of the process; -1: it did not end in time
    output: str


def run(command, cwd, seconds):
    """The whole process group is ended when the time is over: tests start programs of their own."""
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds)
        return Outcome(process.returncode, output)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return Outcome(-1, output)


class Tree:
    """A worktree of HEAD in `folder`, also where an earlier run has left one, and its build. `build`: one that has been
    configured already, and is used as it is."""

    def __init__(self, folder, build=None):
        self.source = folder
        self.build = build or os.path.join(folder, "build")
        if not os.path.exists(os.path.join(folder, ".git")):
            subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--force", "--detach",
                            folder, "HEAD"], check=True)
        else:
            head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], check=True, capture_output=True,
                                  text=True).stdout.strip()
            subprocess.run(["git", "-C", folder, "checkout", "--quiet", "--force", "--detach", head], check=True)
        if build:
            return
        # Optimised a little and without debug information: most of the time goes into compiling.
        subprocess.run(["cmake", "-S", folder, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",
                        "-DCMAKE_CXX_FLAGS=-O1 -g0", "-DCMAKE_C_FLAGS=-O1", "-DSOFTXE_WERROR=OFF"],
                       check=True, stdout=subprocess.DEVNULL)

    def make(self, targets):
        return run(["ninja", "-j2", "-C", self.build, *sorted(targets)], self.source, BUILD_SECONDS_MAX)

    @contextlib.contextmanager
    def planted(self, edits):
        """With every (file, old text, new text) done, and undone behind it. Gives what is wrong with them, or None."""
        problem = None
        for file, old, new in edits:
            path = os.path.join(self.source, file)
            with open(path, encoding="utf-8") as source:
                text = source.read()
            if text.count(old) != 1:
                problem = f"the old text is in {file} {text.count(old)} times"
                break
            with open(path, "w", encoding="utf-8") as source:
                source.write(text.replace(old, new))
        try:
            yield problem
        finally:
            files = sorted({file for file, _, _ in edits})
            subprocess.run(["git", "-C", self.source, "checkout", "--quiet", "--", *files], check=True)


def why_not_built(built):
    return "does not build: " + (re.findall(r"error: (.*)", built.output) or ["?"])[0]


@contextlib.contextmanager
def tree_in(folder, prefix, build=None):
    """A Tree in `folder`, or, where that is none, in one that goes again."""
    place = folder or tempfile.mkdtemp(prefix=prefix)
    try:
        yield Tree(os.path.abspath(place), build and os.path.abspath(build))
    finally:
        if not folder:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", place], check=False)
            shutil.rmtree(place, ignore_errors=True)
