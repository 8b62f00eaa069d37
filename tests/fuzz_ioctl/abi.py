"""Structures and requests by name, from tests/data/uapi.json; readable lists to what the player reads.

A readable line is `THREAD ioctl FD NAME FIELD=NUMBER ... [> FIELD:$N ...]`, `THREAD ioctl_at FD NAME ADDRESS`,
`THREAD at ADDRESS STRUCTURE FIELD=NUMBER ...`, or a line of the player (player.h). A field inside another is
`bind.addr`; of an array the first element is meant.
"""
import json
import os

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
with open(os.path.join(DATA, "uapi.json"), encoding="utf-8") as _file:
    UAPI = json.load(_file)
CONSTANTS = {name: entry["value"] for group in UAPI["constants"].values() for name, entry in group.items()}
IOCTLS = {entry["name"].replace("DRM_IOCTL_", ""): entry for entry in UAPI["ioctls"]}


def fields_of(structure, prefix="", base=0, fields=None):
    """{name: (offset, size)} of everything that can be set in one store."""
    found = {}
    for field in UAPI["structs"][structure]["fields"] if fields is None else fields:
        name, offset, kind = field["name"], base + field["offset"], field["type"]
        inner = field.get("fields")
        here = prefix if name is None else f"{prefix}{name}."
        if inner is not None:
            found.update(fields_of(structure, here, base, inner))
        elif kind.removeprefix("struct ") in UAPI["structs"]:
            found.update(fields_of(kind.removeprefix("struct "), here, offset))
        else:
            size = field.get("element_size") or field["size"]
            if size in (1, 2, 4, 8):
                found[prefix + name] = (offset, size)
    return found


STRUCTURES = {name: fields_of(name) for name in UAPI["structs"]}


def argument_of(ioctl):
    """The fields of a request's argument."""
    name = (IOCTLS[ioctl]["arg"] or "").removeprefix("struct ")
    if name in STRUCTURES:
        return STRUCTURES[name]
    return {"value": (0, min(8, IOCTLS[ioctl]["size"]))} if IOCTLS[ioctl]["size"] else {}


def put(fields, word):
    name, value = word.split("=")
    offset, size = fields[name]
    return f"{offset}:{size}={value}"


def get(fields, word):
    name, variable = word.split(":")
    offset, size = fields[name]
    return f"{offset}:{size}:{variable.removeprefix('$')}"


def compiled(line):
    """One readable line as the player reads it."""
    thread, step, *words = line.split()
    if step == "ioctl":
        fields, split = argument_of(words[1]), words.index(">") if ">" in words else len(words)
        words = [words[0], IOCTLS[words[1]]["request"], *(put(fields, word) for word in words[2:split]),
                 *words[split:split + 1], *(get(fields, word) for word in words[split + 1:])]
    elif step == "ioctl_at":
        words = [words[0], IOCTLS[words[1]]["request"], words[2]]
    elif step == "at":
        size = UAPI["structs"][words[1]]["size"]
        words = [words[0], f"{size - 1}:1=0", *(put(STRUCTURES[words[1]], word) for word in words[2:])]
    return " ".join([thread, step, *words])
