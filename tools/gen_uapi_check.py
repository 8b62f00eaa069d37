#!/usr/bin/env python3
"""Writes src/abi/uapi_names.inc: the names (never the numbers) that uapi_test.cc compares.

The numbers come from two independent sides when the test runs: the compiler (uapi.h) and
tests/data/uapi.json. Run it after a new version of that file:

    tools/gen_uapi_check.py > src/abi/uapi_names.inc
"""
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def field_paths(fields, prefix=""):
    """Member expressions of a struct, outermost first; unnamed unions add nothing to the path."""
    for field in fields:
        name = field["name"]
        path = prefix + name if name else prefix
        if name:
            yield path, field
        if "fields" in field:
            index = "[0]" if "array" in field else ""
            yield from field_paths(field["fields"], (path + index + ".") if name else prefix)


def main():
    data = json.load(open(ROOT / "tests/data/uapi.json", encoding="utf-8"))
    print("// Written by tools/gen_uapi_check.py from tests/data/uapi.json. Names only; see uapi_test.cc.")
    for group in data["constants"].values():
        for name in group:
            print(f"SX_CONSTANT({name})")
    for entries in data["enums"].values():
        for entry in entries:
            print(f"SX_ENUMERATOR({entry['name']})")
    for ioctl in data["ioctls"]:
        print(f"SX_IOCTL({ioctl['name']})")
    for name, struct in data["structs"].items():
        print(f"SX_STRUCT({name})")
        for path, field in field_paths(struct["fields"]):
            kind = "SX_FLEXIBLE" if field.get("array") == "flexible" else "SX_FIELD"
            print(f"{kind}({name}, {path})")


if __name__ == "__main__":
    main()
