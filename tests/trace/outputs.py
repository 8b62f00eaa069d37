#!/usr/bin/env python3
"""What is made of a trace, and runs as tests, end to end.

  outputs.py SOFTXE EXAMPLES SCRATCH CASE

Cases: sqlite (the database, asked by SQL), perfetto (the timeline, read with perfetto.proto), expect (run --expect,
--require-migration, --error-exitcode, --junit), diff (reports and traces), deterministic (two runs do the same).
"""
import json
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree

from kit import fail, softxe

EXAMPLES, SCRATCH = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
CLIENTS = EXAMPLES.parent / "tests/client"
HERE = pathlib.Path(__file__).resolve().parent


def recorded():
    """A trace of a real run, and its report."""
    trace, report = SCRATCH / "run.sxt", SCRATCH / "run.json"
    softxe("run", "--vram", "8M", "--report", report, "--trace", trace, "--", EXAMPLES / "svm_stores")
    return trace, json.loads(report.read_text())


# --- the database --------------------------------------------------------------------------------------------------

def sqlite():
    trace, report = recorded()
    base = SCRATCH / "run.db"
    base.unlink(missing_ok=True)
    softxe("trace", "--sqlite", base, trace)
    lines = [json.loads(line) for line in softxe("trace", "--jsonl", trace).stdout.splitlines()]
    with sqlite3.connect(base) as db:
        (count,) = db.execute("SELECT count(*) FROM events").fetchone()
        moves, moved = db.execute("SELECT count(*), sum(size) FROM events WHERE kind = 'migrate' AND err = 0").fetchone()
        orphans = db.execute("SELECT count(*) FROM events e WHERE parent != 0 AND NOT EXISTS "
                             "(SELECT 1 FROM events p WHERE p.process = e.process AND p.seq = e.parent)").fetchone()[0]
        # Back to the client: every cause has one above it that is its own call or access.
        roots = dict(db.execute("""WITH RECURSIVE up(seq, at) AS (
              SELECT seq, seq FROM events WHERE kind = 'migrate'
              UNION SELECT up.seq, e.parent FROM up JOIN events e ON e.seq = up.at WHERE e.parent != 0)
            SELECT r.kind, count(*) FROM up JOIN events r ON r.seq = up.at WHERE r.parent = 0 GROUP BY r.kind"""))
        row = db.execute("SELECT * FROM events WHERE kind = 'migrate' ORDER BY seq LIMIT 1").fetchone()
        names = [column[1] for column in db.execute("PRAGMA table_info(events)")]
    if count != len(lines):
        fail(f"{count} rows, {len(lines)} events")
    if moves != report["total"]["svm_migrate_to_vram_count"] or moved != report["total"]["svm_migrate_to_vram_bytes"]:
        fail(f"SQL says {moves} moves of {moved} bytes, the report {report['total']['svm_migrate_to_vram_count']}")
    if orphans != 0:
        fail(f"{orphans} events have a cause that is not there")
    if sum(roots.values()) != moves or set(roots) - {"ioctl"}:
        fail(f"the roots of {moves} moves are {roots}")
    first = next(line for line in lines if line["kind"] == "migrate")
    if dict(zip(names, row)) != first:
        fail(f"the row {dict(zip(names, row))} is not the event {first}")


# --- the timeline --------------------------------------------------------------------------------------------------

WIRE = {"uint64": 0, "uint32": 0, "int32": 0, "int64": 0, "fixed64": 1, "string": 2}


def read_schema():
    """{message: {number: (name, type)}}"""
    text = re.sub(r"//.*", "", (HERE / "perfetto.proto").read_text())
    messages = {}
    for name, body in re.findall(r"message (\w+) \{(.*?)\}", text, re.S):
        messages[name] = {int(number): (field, kind)
                          for kind, field, number in re.findall(r"(?:optional|repeated) (\w+) (\w+) = (\d+);", body)}
    return messages


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def decode(schema, message, data):
    """[(field, value)]; a field or a wire type that the schema does not have ends the test."""
    fields, at = [], 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag >> 3 not in schema[message]:
            fail(f"{message} has no field {tag >> 3}")
        name, kind = schema[message][tag >> 3]
        if tag & 7 != WIRE.get(kind, 2):
            fail(f"{message}.{name} is written with wire type {tag & 7}")
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = int.from_bytes(data[at:at + 8], "little"), at + 8
        else:
            size, at = varint(data, at)
            if at + size > len(data):
                fail(f"{message}.{name} is cut off")
            value, at = data[at:at + size], at + size
            value = value.decode() if kind == "string" else decode(schema, kind, value)
        fields.append((name, value))
    return fields


def packets(trace):
    data = trace.read_bytes()
    schema = read_schema()
    return [dict(packet) for _, packet in decode(schema, "Trace", data)]


def check_nesting(found):
    """Slices of a track begin and end in pairs, times go forward, tracks and flows are there before they are used."""
    tracks, depth, begun, ended, last = set(), {}, set(), set(), {}
    for packet in found:
        if "track_descriptor" in packet:
            descriptor = dict(packet["track_descriptor"])
            if "parent_uuid" in descriptor and descriptor["parent_uuid"] not in tracks:
                fail(f"track {descriptor} hangs below none")
            tracks.add(descriptor["uuid"])
            continue
        event = dict(packet["track_event"])
        track = event["track_uuid"]
        if track not in tracks:
            fail(f"an event is on a track that is not described: {event}")
        if packet["timestamp"] < last.get(track, 0):
            fail(f"time goes back on track {track}")
        last[track] = packet["timestamp"]
        if event["type"] == 1:
            depth[track] = depth.get(track, 0) + 1
        elif event["type"] == 2:
            depth[track] = depth.get(track, 0) - 1
            if depth[track] < 0:
                fail(f"a slice ends on track {track} that did not begin")
        begun |= {value for name, value in packet["track_event"] if name == "flow_ids"}
        ended |= {value for name, value in packet["track_event"] if name == "terminating_flow_ids"}
    if any(depth.values()):
        fail(f"slices do not end: {depth}")
    if not ended or ended - begun:
        fail(f"{len(ended)} arrows end, {len(ended - begun)} of them begin nowhere")
    return tracks


def perfetto():
    trace, report = recorded()
    timeline = SCRATCH / "run.pftrace"
    softxe("trace", "--perfetto", timeline, trace)
    found = packets(timeline)
    check_nesting(found)
    names = [dict(p["track_descriptor"]).get("name", "") for p in found if "track_descriptor" in p]
    for wanted in ("bcs0", "VRAM of migrated pages"):
        if wanted not in names:
            fail(f"no track is called {wanted}: {names}")
    happened = [dict(p["track_event"]) for p in found if "track_event" in p]
    faults = sum(event.get("name") == "fault" and event["type"] == 1 for event in happened)
    if faults != report["total"]["gpu_fault_count"]:
        fail(f"{faults} slices are faults, the report counts {report['total']['gpu_fault_count']}")
    if max(event["counter_value"] for event in happened if event["type"] == 4) > 8 << 20:
        fail("more VRAM in use than there is")
    if shutil.which("protoc"):
        done = subprocess.run(["protoc", f"--proto_path={HERE}", "--decode=Trace", "perfetto.proto"],
                              stdin=timeline.open("rb"), capture_output=True, text=True)
        if done.returncode != 0 or re.search(r"^ *\d+:", done.stdout, re.M):
            fail(f"protoc finds fields that the schema does not have\n{done.stderr}")


# --- a run as a test -----------------------------------------------------------------------------------------------

def junit_of(path):
    suite = xml.etree.ElementTree.parse(path).getroot()
    cases = {case.get("name"): case.find("failure") is None for case in suite.iter("testcase")}
    if int(suite.get("failures")) != sum(not good for good in cases.values()) or int(suite.get("tests")) != len(cases):
        fail(f"the suite counts wrong: {suite.attrib}, {cases}")
    return cases


def expect():
    program, junit, report = EXAMPLES / "svm_stores", SCRATCH / "junit.xml", SCRATCH / "expect.json"
    good, bad = "svm_migrate_to_vram_count >= 1", "svm_migrate_to_vram_count <= 0"
    softxe("run", "--expect", good, "--expect", "gpu_fault_failed_count == 0", "--require-migration", "full",
           "--report", report, "--junit", junit, "--", program)
    cases = junit_of(junit)
    if set(cases) != {str(program), good, "gpu_fault_failed_count == 0", "migration full"} or not all(cases.values()):
        fail(f"cases {cases}")
    done = softxe("run", "--expect", good, "--expect", bad, "--junit", junit, "--", program, status=1)
    if not re.search(r"expected svm_migrate_to_vram_count <= 0: it is [1-9]\d*$", done.stderr, re.M):
        fail(f"it is not said what the number is: {done.stderr}")
    if junit_of(junit) != {str(program): True, good: True, bad: False}:
        fail(f"cases {junit_of(junit)}")
    softxe("run", "--error-exitcode", "42", "--expect", bad, "--", program, status=42)
    # A program that fails itself keeps its status.
    softxe("run", "--error-exitcode", "42", "--expect", bad, "--junit", junit, "--", "sh", "-c", f"{program}; exit 7", status=7)
    if junit_of(junit)["sh"]:
        fail("the case of the program itself is good, and it ended with 7")
    done = softxe("run", "--require-migration", "full", "--", "true", status=1)
    if "no process used a device" not in done.stderr:
        fail(done.stderr)
    softxe("report", "--expect", good, report)
    softxe("report", "--expect", bad, report, status=1)
    softxe("run", "--expect", "svm_migrate_to_vrm_count > 0", "--", program, status=125)


def diff():
    paths = {}
    for name, options in (("large", ()), ("small", ("--vram", "4M"))):
        paths[name] = [SCRATCH / f"{name}.json", SCRATCH / f"{name}.sxt"]
        softxe("run", "--deterministic", *options, "--report", paths[name][0], "--trace", paths[name][1], "--",
               EXAMPLES / "svm_stores")
    for same in paths["large"]:
        if softxe("diff", same, same).stdout:
            fail(f"{same} differs from itself")
    done = softxe("diff", paths["large"][0], paths["small"][0], status=1)
    evictions = json.loads(paths["small"][0].read_text())["total"]["svm_eviction_count"]
    if evictions == 0 or not re.search(rf"^svm_eviction_count +0 +{evictions}$", done.stdout, re.M):
        fail(f"{evictions} evictions more are not said:\n{done.stdout}")
    softxe("diff", "--tolerance", "100", paths["large"][0], paths["small"][0])
    done = softxe("diff", "--tolerance", "100", "--tolerance", "svm_eviction_count=1", paths["large"][0], paths["small"][0],
                  status=1)
    if [line.split()[0] for line in done.stdout.splitlines()] != ["svm_eviction_count"]:
        fail(done.stdout)
    # Of real runs engine and client take turns as they like; which event differs first, scenarios show.
    if not re.search(r"^event \d+ differs$", softxe("diff", paths["large"][1], paths["small"][1], status=1).stdout, re.M):
        fail("two runs that differ are not said to")
    diff_scenarios()
    softxe("diff", paths["large"][0], paths["large"][1], status=125)


def diff_scenarios():
    """Addresses and times do not matter; what happens does."""
    traces = {}
    text = """device bmg vram=64M
vm v lr fault
bind v mirror 0 256T
cpu mmap {at} 4M
gpu write v {at} u32 7
{more}
gpu write v {at}+2M u32 7
"""
    for name, at, more in (("one", "0x10000000", "gc v"), ("moved", "0x50000000", "gc v"), ("read", "0x10000000", "cpu read {at} u32 7")):
        file, traces[name] = SCRATCH / f"{name}.softxe", SCRATCH / f"{name}.sxt"
        file.write_text(text.format(at=at, more=more.format(at=at)))
        softxe("scenario", "--trace", traces[name], file)
    if softxe("diff", traces["one"], traces["moved"]).stdout:
        fail("the same at another address is said to differ")
    done = softxe("diff", traces["one"], traces["read"], status=1)
    if not re.fullmatch(r"event (\d+) differs\n  before  .* statement: statement in line 6\n  first   \1 .*\n"
                        r"  second  \1 cpu-fault: the CPU touches 0x10000000\n", done.stdout):
        fail(f"the first event that differs is not the touch of the CPU:\n{done.stdout}")


def counts_of(report):
    """All but durations: of the run, and of each device and VM."""
    if isinstance(report, dict):
        return {name: counts_of(value) for name, value in report.items()
                if name in ("total", "counters", "devices", "vms", "processes") or name.endswith(("_count", "_kb", "_bytes"))}
    return [counts_of(value) for value in report] if isinstance(report, list) else report


def deterministic():
    programs = {"madvise_reset": [EXAMPLES / "madvise_reset"],
                "autoreset": [CLIENTS / "client_autoreset", "resets", "flag"]}
    for name, program in programs.items():
        first = None
        for turn in range(20):
            report = SCRATCH / f"{name}{turn}.json"
            softxe("run", "--deterministic", "--vram", "8M", "--report", report, "--", *program)
            now = json.loads(report.read_text())
            first = first or now
            if counts_of(now) != counts_of(first):
                changed = softxe("diff", SCRATCH / f"{name}0.json", report, status=None).stdout
                fail(f"run {turn} of {name} has other counts than the first:\n{changed}")
        if first.get("seed") != 0 or first["options"].get("deterministic") != "yes":
            fail(f"the report does not say that the run was deterministic: {first['options']}")
        if first["total"]["gpu_fault_count"] < 5:
            fail(f"{name} hardly does anything: {first['total']}")
    seen = {softxe("run", "--deterministic", "--", "grep", "-m1", "", "/proc/self/maps").stdout for _ in range(3)}
    if len(seen) != 1:
        fail(f"programs start at {len(seen)} addresses")


SCRATCH.mkdir(parents=True, exist_ok=True)
{"sqlite": sqlite, "perfetto": perfetto, "expect": expect, "diff": diff, "deterministic": deterministic}[sys.argv[4]]()
