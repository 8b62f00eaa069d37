#!/usr/bin/env python3
"""Traces of real runs: whole, sound, and equal to the report, whatever becomes of the program.

  live.py SOFTXE EXAMPLES SCRATCH CASE

Cases: example (each example program), story (what explain says of madvise_reset), processes (fork and exec),
killed (the client, then the runner, at many moments).
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

SOFTXE, EXAMPLES, SCRATCH = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])


def fail(what):
    sys.exit(f"FAILED: {what}")


def run(*words, **more):
    return subprocess.run([SOFTXE, *map(str, words)], capture_output=True, text=True, **more)


def check(trace):
    done = run("trace", "--check", trace)
    if done.returncode != 0:
        fail(f"{trace.name}: {done.stdout}{done.stderr}")


def record(trace, *program, status=0, options=()):
    done = run("run", *options, "--trace", trace, "--", *program)
    if done.returncode != status:
        fail(f"{program}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def events(trace, *options):
    done = run("trace", "--jsonl", *options, trace)
    if done.returncode != 0:
        fail(f"{trace.name} cannot be read: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def example():
    for name, options in (("svm_stores", ()), ("madvise_reset", ()), ("shared_counters", ()),
                          ("svm_stores", ("--vram", "8M")), ("madvise_reset", ("--autoreset", "exact"))):
        trace = SCRATCH / f"{name}.sxt"
        record(trace, EXAMPLES / name, options=options)
        check(trace)
        seen = {event["kind"] for event in events(trace)}
        missing = {"ioctl", "bind", "exec", "job", "job-end", "fault", "fault-end", "range"} - seen
        if missing:
            fail(f"{name}: no events of kind {sorted(missing)}")


def masked(text):
    """Without what differs from run to run: times, process numbers, where the kernel put the memory."""
    base = min((int(a, 16) for a in re.findall(r"0x7[0-9a-f]{11}", text)), default=0) & ~0x1FFFFF

    def place(match):
        address = int(match.group(0), 16)
        return f"BLOCKS+{address - base:#x}" if base <= address < base + (1 << 30) else match.group(0)

    text = re.sub(r"0x7[0-9a-f]{11}", place, text)
    text = re.sub(r"\b\d+\.\d{6}\b", "TIME", text)
    return re.sub(r"process \d+", "process N", text)


def story():
    trace = SCRATCH / "story.sxt"
    record(trace, EXAMPLES / "madvise_reset")
    resets = [event for event in events(trace, "-e", "reset")]
    # The last block goes as the program ends: whether its range is still collected is a race.
    if len(resets) not in (2, 3) or abs(resets[0]["address"] - resets[1]["address"]) != 2 << 20:
        fail(f"{len(resets)} resets, not one for each half of the 4M, and one at the end or none")
    text = run("explain", trace, hex(resets[0]["address"])).stdout
    # Who runs the collector first, its thread, the next bind or the next fault, is a race.
    wanted = [r"attributes of 0x\w+\+2M go back to the bind's: .* becomes preferred=device atomic=undefined",
              r"<- the collector takes the range 0x\w+\+2M",
              r"<- the range 0x\w+\+2M dies \(whole\)",
              r"<- notifiers hear: 0x\w+\+4M is unmapped",
              r"<- munmap\(0x\w+\+4M\)",
              r"in the pass that ran in: ",
              r"MADVISE 0x\w+\+2M: ",
              r"<- ioctl XE_MADVISE",
              r"binds 0x0\+\S+ as mirror, auto-reset"]
    for line in wanted:
        if not re.search(line, text):
            fail(f"no line like '{line}' in\n{masked(text)}")
    print(masked(text))


def processes():
    trace = SCRATCH / "processes.sxt"
    report = SCRATCH / "processes.json"
    # Two at once, then a program in the place of the shell.
    script = f"{EXAMPLES}/svm_stores >/dev/null & {EXAMPLES}/svm_stores >/dev/null & wait; exec {EXAMPLES}/madvise_reset"
    done = run("run", "--report", report, "--trace", trace, "--", "/bin/sh", "-c", script)
    if done.returncode != 0:
        fail(done.stderr)
    if len(json.loads(report.read_text())["processes"]) != 3:
        fail("not three processes used a device")
    if {event["process"] for event in events(trace)} != {0, 1, 2}:
        fail("not three processes recorded events")
    check(trace)


def killed():
    """SIGKILL of the client, of the runner: what was written is read, and says no more than the report."""
    trace = SCRATCH / "killed.sxt"
    report = SCRATCH / "killed.json"
    rounds = int(os.environ.get("SOFTXE_KILL_ROUNDS", "12"))
    whole = 0
    for turn in range(rounds):
        for path in (trace, report):
            path.unlink(missing_ok=True)
        runner = subprocess.Popen([SOFTXE, "run", "--report", report, "--trace", trace, "--", EXAMPLES / "svm_stores"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # At the moment when so much has been written: no clock decides, and yet it is another one each time.
        wanted = (turn + 1) * 40
        while runner.poll() is None and (not trace.exists() or trace.stat().st_size < wanted):
            time.sleep(0.001)
        victim = runner.pid
        if turn % 2 == 0 and runner.poll() is None:
            children = pathlib.Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()
            victim = int(children[0]) if children else runner.pid
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
        runner.wait()
        if not trace.exists() or trace.stat().st_size == 0:
            continue
        done = run("trace", "--check", trace)
        if done.returncode not in (0, 125) or (done.returncode == 125 and trace.stat().st_size > 4096):
            fail(f"round {turn}: {done.stdout}{done.stderr}")
        whole += done.returncode == 0
    if whole == 0:
        fail("no trace could be read")
    print(f"{whole} of {rounds} traces read")


SCRATCH.mkdir(parents=True, exist_ok=True)
{"example": example, "story": story, "processes": processes, "killed": killed}[sys.argv[4]]()
