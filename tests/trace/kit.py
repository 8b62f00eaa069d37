"""What the scripts of this folder share: how they fail, and how they run softxe. Their first argument is the command."""
import subprocess
import sys

SOFTXE = sys.argv[1]


def fail(what):
    sys.exit(f"FAILED: {what}")


def softxe(*words, status=0, **more):
    """What it printed. Fails unless it ends with `status`; None: however it ends."""
    done = subprocess.run([SOFTXE, *map(str, words)], capture_output=True, text=True, **more)
    if status is not None and done.returncode != status:
        fail(f"softxe {' '.join(map(str, words))}: status {done.returncode}, not {status}\n{done.stdout}{done.stderr}")
    return done
