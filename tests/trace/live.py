#!/usr/bin/env python3
"""Traces of real runs: whole, sound, and equal to the report, whatever becomes of the program.

  live.py SOFTXE EXAMPLES SCRATCH CASE

Cases: example (each example program), story (what explain says of madvise_reset), processes (fork and exec), stacks (call
stacks, recorded and printed), killed (the client, then the runner, at many moments).
"""
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

from kit import SOFTXE, fail, softxe

EXAMPLES, SCRATCH = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])


def check(trace):
    softxe("trace", "--check", trace)


def record(trace, *program, options=()):
    return softxe("run", *options, "--trace", trace, "--", *program)


def events(trace, *options):
    return [json.loads(line) for line in softxe("trace", "--jsonl", *options, trace).stdout.splitlines()]


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
    text = softxe("explain", trace, hex(resets[0]["address"])).stdout
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
    softxe("run", "--report", report, "--trace", trace, "--", "/bin/sh", "-c", script)
    if len(json.loads(report.read_text())["processes"]) != 3:
        fail("not three processes used a device")
    if {event["process"] for event in events(trace)} != {0, 1, 2}:
        fail("not three processes recorded events")
    check(trace)


def frames_of(stack):
    """Names of functions, without offsets and places."""
    return [re.sub(r"\+0x.*", "", frame) for frame in stack]


def stacks():
    trace, plain = SCRATCH / "stacks.sxt", SCRATCH / "plain.sxt"
    record(trace, EXAMPLES / "madvise_reset", options=("--stacks",))
    check(trace)
    seen = {}
    for event in events(trace, "--stacks"):
        if "stack" in event and event["kind"] not in ("ioctl", "call"):
            fail(f"an event of kind {event['kind']} has a stack")
        if "stack" in event:
            seen.setdefault((event["kind"], event["text"].split("(")[0]), []).append(frames_of(event["stack"]))
    # munmap is seen at its patched place in libc, ioctl by its symbol: both lead back to main(), by way of the example's kit.
    for call, inner in ((("call", "munmap"), "munmap"), (("ioctl", "ioctl XE_MADVISE"), "xe_madvise"),
                        (("ioctl", "ioctl XE_EXEC"), "xe_run")):
        found = seen.get(call, [])
        if not found or not all("main" in stack for stack in found):
            fail(f"{call}: not every stack has main() in it: {found}, of {sorted(seen)}")
        if any("softxe" in frame or "interpose" in frame for stack in found for frame in stack):
            fail(f"{call}: a frame of softxe: {found}")
        if not any(inner in name for name in found[0][:found[0].index("main")]):
            fail(f"{call}: no {inner} called by main(): {found[0]}")
    text = softxe("trace", "--stacks", "-e", "call", trace).stdout
    if not re.search(r"^ +at main\+0x[0-9a-f]+ \(madvise_reset\.c:\d+\)$", text, re.M):
        fail(f"no line of a source file:\n{text}")
    live = softxe("trace", "--stacks", "-e", "ioctl", "--", EXAMPLES / "madvise_reset").stderr
    if not re.search(r"ioctl XE_MADVISE\n( +at .*\n)* +at main\+", live):
        fail(f"no stack while the program runs:\n{live}")
    # Where nobody asked for them there are none, and asking later says so.
    record(plain, EXAMPLES / "madvise_reset")
    refused = softxe("trace", "--stacks", plain, status=125)
    if "no call stacks" not in refused.stderr:
        fail(refused.stderr)
    softxe("run", "--stacks", "--", "true", status=125)


# Kinds of events whose number is a counter of the report.
COUNTED = {"fault": "gpu_fault_count", "migrate": "svm_migrate_to_vram_count", "home": "svm_migrate_to_system_count",
           "range": "svm_range_created_count", "bind": "vm_bind_count", "exec": "exec_count"}
# Threads that may have counted something, and died before they could say so.
THREADS_MAX = 4


def agrees(trace, report):
    """Of a run whose client was killed: nothing in the trace that did not count, and hardly anything that is missing."""
    seen = {kind: 0 for kind in COUNTED}
    for event in events(trace, "-e", ",".join(COUNTED)):
        seen[event["kind"]] += event["err"] == 0 or event["kind"] not in ("migrate",)
    for kind, counter in COUNTED.items():
        counts = report["total"][counter]
        if not seen[kind] <= counts <= seen[kind] + THREADS_MAX:
            fail(f"{counter} is {counts}, the trace has {seen[kind]} events '{kind}'")


def killed():
    """SIGKILL of the client, of the runner, of both, at any moment: what was written is read, and agrees with the report.

    SOFTXE_KILL_ROUNDS rounds (default 12), drawn by SOFTXE_KILL_SEED (default 1): make killed does 200.
    """
    trace, report = SCRATCH / "killed.sxt", SCRATCH / "killed.json"
    rounds = int(os.environ.get("SOFTXE_KILL_ROUNDS", "12"))
    draw = random.Random(int(os.environ.get("SOFTXE_KILL_SEED", "1")))
    read = compared = cut = 0
    seconds = {}
    for turn in range(10 * rounds):
        if turn >= rounds and read >= rounds // 3 and compared and cut:
            break  # on a quick machine many are over, or have not begun, when the moment comes: then a few more
        for path in (trace, report):
            path.unlink(missing_ok=True)
        name = draw.choice(("svm_stores", "madvise_reset", "saxpy"))
        command = [SOFTXE, "run", *draw.choice(((), ("--vram", "8M"))), "--report", report, "--trace", trace, "--",
                   EXAMPLES / name]
        if name not in seconds:  # how long it takes when nobody ends it
            begin = time.monotonic()
            subprocess.run(command, capture_output=True, check=True)
            seconds[name] = time.monotonic() - begin
            trace.unlink()
            report.unlink()
        victims = draw.choice((("client",), ("runner",), ("client", "runner"), ("runner", "client")))
        runner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0, 1.2) * seconds[name])  # nothing that is asserted depends on the moment
        children = pathlib.Path(f"/proc/{runner.pid}/task/{runner.pid}/children")
        for victim in victims:
            try:
                pids = [runner.pid] if victim == "runner" else [int(pid) for pid in children.read_text().split()[:1]]
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, FileNotFoundError):
                pass
        runner.wait()
        if not trace.exists() or trace.stat().st_size == 0:
            continue  # it had not come so far
        done = softxe("trace", "--check", trace, status=None)
        if done.returncode != 0:
            fail(f"round {turn}, {name}, {victims}: {done.stdout}{done.stderr}")
        read += 1
        cut += "cut off" in done.stderr
        if report.exists():
            agrees(trace, json.loads(report.read_text()))
            compared += 1
    print(f"{turn} rounds: {read} traces read, {cut} of them cut off, {compared} agree with a report")
    if read < rounds // 3 or compared == 0 or cut == 0:
        fail("hardly a trace could be looked at")


SCRATCH.mkdir(parents=True, exist_ok=True)
{"example": example, "story": story, "processes": processes, "stacks": stacks, "killed": killed}[sys.argv[4]]()
