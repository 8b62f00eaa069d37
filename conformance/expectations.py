"""The expectation files: what each subtest of a program must do, and how the program is run.

    # igt-gpu-tools-tests 2.5-1            the package the list was made with
    # devices 2                            run with that many devices (1 when absent)
    # limit 120                            seconds for one subtest (60 when absent)
    # env NAME=VALUE                       environment of the program
    # arg --device=...                     an argument of the program
    # only REGEX                           the file is about these subtests (matched in full), and the rest does not run
    # alone REGEX                          these run in a process of their own (matched in full)
    # proof EXPRESSION                     holds in the report of each pass that ran alone (report.py)
    basic-store          pass
    pat-index-xe2        known-fail  # needs the 3D pipeline
    pci-membarrier       skip        # why
    threads-mmap-file    vacuous     # ends successfully without having checked anything: why

All but `pass` need a reason. A `vacuous` subtest must end successfully and is not counted as passed; run
alone (`--prove`), the report must deny the file's proof for it. Other comment lines are kept by
--update-expected.
"""
import re

VERDICTS = ("pass", "skip", "known-fail", "vacuous")
LINE = re.compile(r"^(\S+)\s+(\S+)(?:\s+#\s*(.*\S))?\s*$")
# What an observed outcome means for a verdict.
FITS = {"pass": ("pass",), "skip": ("skip",), "known-fail": ("fail", "crash", "timeout"),
        "vacuous": ("pass",)}


class Expected:
    def __init__(self):
        self.version = None
        self.devices, self.limit_s = 1, None
        self.args, self.env = [], {}
        self.proof = None      # expression that holds when a subtest has done anything
        self.only = None       # pattern of the subtests that the file is about
        self.alone = []        # patterns of subtests that share no process with others
        self.header = []       # comment lines, as they stand
        self.verdicts = {}     # subtest -> (verdict, reason)


def load(path, package="igt-gpu-tools-tests"):
    """The file's content; ValueError with file and line when it is malformed."""
    expected = Expected()
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text:
                continue
            if text.startswith("#"):
                expected.header.append(text)
                _directive(expected, text[1:].split(None, 1), package)
                continue
            match = LINE.match(text)
            if not match or match.group(2) not in VERDICTS:
                raise ValueError(f"{path}:{number}: want `subtest  pass|skip|known-fail|vacuous  [# reason]`")
            name, verdict, reason = match.groups()
            if verdict != "pass" and not reason:
                raise ValueError(f"{path}:{number}: {verdict} needs a reason")
            if name in expected.verdicts:
                raise ValueError(f"{path}:{number}: {name} is there twice")
            expected.verdicts[name] = (verdict, reason)
    if not expected.version:
        raise ValueError(f"{path}: no line `# {package} VERSION`")
    return expected


def _directive(expected, words, package="igt-gpu-tools-tests"):
    if len(words) != 2:
        return
    key, value = words[0], words[1].strip()
    if key == package:
        expected.version = value
    elif key == "devices" and value.isdigit():
        expected.devices = int(value)
    elif key == "limit" and value.isdigit():
        expected.limit_s = float(value)
    elif key == "proof":
        expected.proof = value
    elif key == "only":
        expected.only = re.compile(f"^(?:{value})$")
    elif key == "alone":
        expected.alone.append(re.compile(f"^(?:{value})$"))
    elif key == "arg":
        expected.args.append(value)
    elif key == "env" and "=" in value:
        name, _, text = value.partition("=")
        expected.env[name] = text


def write(path, header, rows):
    """rows: (subtest, verdict, reason or None), in the program's order."""
    with open(path, "w", encoding="utf-8") as file:
        for line in header:
            file.write(line + "\n")
        width = max((len(name) for name, _, _ in rows), default=0)
        for name, verdict, reason in rows:
            tail = f"{verdict:<10}  # {reason}" if reason else verdict
            file.write(f"{name:<{width}}  {tail}\n")
