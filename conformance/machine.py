"""What a run may not change on the machine that runs it (spec/clients.md section 5).

Test programs ask for huge pages, raise limits of message queues and leave files behind. softxe answers in
the machine's place and each process has namespaces of its own, so after a run everything here must be as
it was before. A snapshot is a dict of name -> text; compare() tells what is different.
"""
import os

# Settings that test programs are known to write or might; values that drift by themselves are not here.
SETTINGS = ["vm/" + name for name in (
    "compact_memory", "drop_caches", "max_map_count", "nr_hugepages", "nr_hugepages_mempolicy",
    "nr_overcommit_hugepages", "overcommit_memory", "overcommit_ratio", "swappiness",
    "unprivileged_userfaultfd", "zone_reclaim_mode")] + ["kernel/" + name for name in (
        "core_pattern", "dmesg_restrict", "hung_task_timeout_secs", "kptr_restrict", "msgmax", "msgmnb",
        "msgmni", "panic", "panic_on_oops", "perf_event_paranoid", "printk", "sem", "shmall", "shmmax",
        "shmmni", "sysrq", "threads-max")]
# What IGT programs call the things they leave.
TRACES = ("igt", "xe_", "intel_")


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def _ipc_objects(path, text_of):
    """Key and id of each object; counts of messages and times are others' business."""
    lines = (text_of(path) or "").splitlines()[1:]
    return "\n".join(" ".join(line.split()[:3]) for line in lines)


def _traces(folder):
    try:
        return "\n".join(sorted(name for name in os.listdir(folder) if name.startswith(TRACES)))
    except OSError:
        return None


def _tree(root):
    """Names, sizes and times of the root's files. softxe brings its library along, into /tmp or beside."""
    rows = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders
                            if os.path.join(folder, name) not in (os.path.join(root, "proc"),
                                                                  os.path.join(root, "sys")))
        for name in sorted(files):
            path = os.path.join(folder, name)
            if name.startswith("libsoftxe") or "/var/cache/" in path:
                continue
            try:
                status = os.lstat(path)
            except OSError:
                continue
            rows.append(f"{os.path.relpath(path, root)} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(rows)


def snapshot(root, text_of=_text):
    state = {f"/proc/sys/{name}": text_of(f"/proc/sys/{name}") for name in SETTINGS}
    for kind in ("msg", "shm", "sem"):
        state[f"/proc/sysvipc/{kind}"] = _ipc_objects(f"/proc/sysvipc/{kind}", text_of)
    for folder in ("/dev/shm", "/tmp"):
        state[f"{folder} (traces of test programs)"] = _traces(folder)
    state["the conformance root"] = _tree(root)
    return state


def compare(before, after):
    """One line for each thing that is different now."""
    changes = []
    for name, was in before.items():
        now = after.get(name)
        if now == was:
            continue
        if was is not None and now is not None and "\n" in was + now or name[0] != "/":
            old, new = set((was or "").splitlines()), set((now or "").splitlines())
            detail = "; ".join([f"+ {line}" for line in sorted(new - old)] +
                               [f"- {line}" for line in sorted(old - new)])
        else:
            detail = f"was {was!r}, is {now!r}"
        changes.append(f"{name}: {detail[:400]}")
    return changes


def put_back(before, after):
    """Restores settings that were changed, as far as this user may."""
    for name, was in before.items():
        if name.startswith("/proc/sys/") and was is not None and after.get(name) != was:
            try:
                with open(name, "w", encoding="utf-8") as file:
                    file.write(was)
            except OSError:
                pass
