"""The programs of programs.py: what is run, and what their output says.

A suite has a name (its expected file), the part of the root whose version the file names, `commands(root, pattern)` ->
[(key, Command)] and `rows(key, status, lines)` -> [(row, outcome, last lines)]. Outcomes are those of expectations.py.
"""
import ast
import gzip
import os
import re
import shlex
import subprocess
import xml.etree.ElementTree as ElementTree

import inroot
from inroot import Command

PIGLIT = "/usr/lib/x86_64-linux-gnu/piglit"


class Piglit:
    """Each test of piglit's own list is one program."""
    name, part, per_run = "piglit", "piglit", 60
    LIMIT_S = 120
    RESULT = re.compile(r'^PIGLIT: \{"result": "(\w+)" *\}')
    OUTCOME = {"pass": "pass", "fail": "fail", "skip": "skip", "warn": "fail", "crash": "crash"}

    def commands(self, root, pattern):
        with gzip.open(root + PIGLIT + "/tests/cl.xml.gz") as file:
            tests = ElementTree.parse(file).getroot()
        found = []
        for test in tests:
            row = test.get("name").replace(" ", "-")
            words = [ast.literal_eval(option.get("value")) for option in test]
            words = [f"{PIGLIT}/bin/{words[0][0]}", *words[0][1:]] if test.get("type") == "cl" else \
                [f"{PIGLIT}/bin/cl-program-tester", words[0]]
            if pattern.search(f"{self.name}@{row}"):
                found.append((row, Command(words, self.LIMIT_S, PIGLIT, {"PIGLIT_SOURCE_DIR": PIGLIT})))
        return found

    def rows(self, key, status, lines):
        outcome = inroot.ended_badly(status)
        if not outcome:
            said = [match.group(1) for match in map(self.RESULT.match, lines) if match]
            outcome = self.OUTCOME.get(said[-1], "fail") if said else "crash"
        return [(key, outcome, lines)]


def with_whole(key, found, bad, lines):
    """The rows that a program printed, and one for the program itself when that ended badly or printed none."""
    return found if found and not bad else [*found, (f"{key}::whole", bad or "crash", lines)]


class Pyopencl:
    """Each file of pyopencl's tests is one program; a row is a test function with its arguments."""
    name, part, per_run = "pyopencl", "pyopencl", 1
    LIMIT_S = 1800
    FOLDER = "/usr/src/pyopencl/test"
    LINE = re.compile(r"^(?:@@@)?(test_\w+\.py::\S.*?) (PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)\b")
    OUTCOME = {"PASSED": "pass", "SKIPPED": "skip", "XFAIL": "skip", "XPASS": "pass"}
    LEFT_OUT = {"test_algorithm.py": ["-k", "not sort and not list_builder"]}  # many minutes of work each

    def commands(self, root, pattern):
        files = sorted(name for name in os.listdir(root + self.FOLDER) if re.fullmatch(r"test_\w+\.py", name))
        words = ["python3", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--tb=short", "--color=no"]
        env = {"PYOPENCL_NO_CACHE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return [(name, Command([*words, *self.LEFT_OUT.get(name, []), name], self.LIMIT_S, self.FOLDER, env)) for name in files
                if pattern.search(f"{self.name}@{name}")]

    @staticmethod
    def row(test):
        """Without the context factory, which every test has and which names the device."""
        return re.sub(r"\[\]$", "", re.sub(r"<context factory[^>]*>+'?>?-?|ctx_factory\d+-?", "", test).replace(" ", "")).replace("-]", "]")

    def rows(self, key, status, lines):
        found = [(self.row(match.group(1)), self.OUTCOME.get(match.group(2), "fail"), lines)
                 for match in map(self.LINE.match, lines) if match]
        return with_whole(key, found, inroot.ended_badly(status), lines)


class Table:
    """Programs that end with status 0 and print lines of which each of some patterns matches one."""
    per_run = 1

    def commands(self, root, pattern):
        return [(row, Command(words, limit_s, "/tmp")) for row, (words, limit_s, *_) in self.table(root).items()
                if pattern.search(f"{self.name}@{row}")]

    def rows(self, key, status, lines):
        outcome = inroot.ended_badly(status)
        if not outcome:
            wanted = self.wanted(key)
            outcome = "pass" if status == 0 and all(any(re.search(regex, line) for line in lines) for regex in wanted) \
                else "fail"
        return [(key, outcome, lines)]


class Clblast(Table):
    """CLBlast's own tests against a reference BLAS, its samples (compiled here), and a tuner."""
    name, part, per_run = "clblast", "clblast-tests", 10
    SAMPLES = "/usr/src/clblast/samples"
    BUILT = "/usr/src/clblast/built"
    # What a sample prints when its result is right; CUDA's and netlib's samples need what is not here.
    SAMPLE_SAYS = {"cache.c": [r"with status 0"], "dgemv.c": [r"status 0"], "dtrsm.cpp": [r"^ *-11 +3 +4", r"^ *-4 +1 +2"],
                   "haxpy.c": [r"status 0", r"b\[0\] = 1\.500"], "samax.c": [r"status 0", r"index 49 with value 9"],
                   "sasum.c": [r"status 0", r"= 1500\.0"], "sgemm.c": [r"status 0"], "sgemm.cpp": [r"status 0"],
                   "sgemm_batched.cpp": [r"status 0"]}

    def commands(self, root, pattern):
        found = super().commands(root, pattern)
        for row, _ in found:
            if row.startswith("sample-"):
                self.build(root, row[len("sample-"):])
        return found

    def table(self, root):
        names = sorted(name for name in os.listdir(root + "/usr/bin") if name.startswith("clblast_test_"))
        table = {f"test-{name[len('clblast_test_'):]}": ([name], 600) for name in names}
        table.update({f"sample-{name}": ([f"{self.BUILT}/{name.replace('.', '-')}"], 900) for name in self.SAMPLE_SAYS})
        table["tuner-xaxpy"] = (["clblast_tuner_xaxpy", "-n", "65536", "-runs", "1", "-precision", "32"], 600)
        return table

    def wanted(self, key):
        if key.startswith("sample-"):
            return self.SAMPLE_SAYS[key[len("sample-"):]]
        return [r"\d+ test\(s\) passed"] if key.startswith("test-") else [r"Best performance", r"Printing results to file"]

    def build(self, root, name):
        """With this machine's compiler: its older C library promises that the root's has every symbol."""
        os.makedirs(root + self.BUILT, exist_ok=True)
        versions = [f"-D{which}_OPENCL_VERSION=120" for which in ("CL_TARGET", "CL_HPP_TARGET", "CL_HPP_MINIMUM")]
        subprocess.run(["g++" if name.endswith(".cpp") else "gcc", "-w", "-O1", *versions, "-idirafter", root + "/usr/include",
                        "-I/usr/include/CL", "-o", f"{root}{self.BUILT}/{name.replace('.', '-')}", f"{root}{self.SAMPLES}/{name}",
                        root + "/usr/lib/x86_64-linux-gnu/libclblast.so.1", "-lOpenCL", "-Wl,--allow-shlib-undefined", "-lm"],
                       check=True)


class Hashcat(Table):
    """Each attack begins with hashcat's self-test of the hash."""
    name, part = "hashcat", "hashcat"
    ATTACKS = {"md5": ("0", "8d777f385d3dfec8815d20f7496026dc", "data"),
               "sha256": ("1400", "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7", "data")}

    def table(self, root):
        words = ["hashcat", "-a", "3", "--potfile-disable", "-O", "-w", "1"]
        return {row: ([*words, "-m", mode, digest, "?l?l?l?l"], 900) for row, (mode, digest, _) in self.ATTACKS.items()}

    def wanted(self, key):
        _, digest, secret = self.ATTACKS[key]
        return [f"{digest}:{secret}", r"^Status\.*: Cracked"]


class Darktable(Table):
    """darktable's look at the device: it builds all its kernels."""
    name, part = "darktable", "darktable"

    def table(self, root):
        return {"cltest": (["darktable-cltest"], 1200)}

    def wanted(self, key):
        return [r"opencl PREFERENCE=ON is AVAILABLE and ENABLED", r"^.*\[opencl_init\] OpenCL successfully initialized"]


class Ffmpeg(Table):
    """ffmpeg's OpenCL filters on three generated frames, against the same filter on PoCL, or without OpenCL."""
    name, part, per_run = "ffmpeg", "ffmpeg", 10
    SOURCE = "testsrc2=s=96x64:d=0.12"
    # row: filter, pixel format, what it is compared with, and by how much a sample may differ. PoCL has no images of one or
    # two 8-bit channels. A filter that divides may round a tie the other way.
    FILTERS = {
        "unsharp-rgba": ("unsharp_opencl", "rgba", "pocl", 0),
        "unsharp-rgba64": ("unsharp_opencl", "rgba64le", "pocl", 1),
        "avgblur-rgba": ("avgblur_opencl=3", "rgba", "pocl", 1),
        "boxblur-rgba": ("boxblur_opencl=2:1", "rgba", "pocl", 1),
        "convolution-rgba": ("convolution_opencl=-2 -1 0 -1 1 1 0 1 2", "rgba", "pocl", 0),
        "sobel-rgba": ("sobel_opencl", "rgba", "pocl", 0),
        "prewitt-rgba": ("prewitt_opencl", "rgba", "pocl", 0),
        "roberts-rgba": ("roberts_opencl", "rgba", "pocl", 0),
        "erosion-rgba": ("erosion_opencl", "rgba", "pocl", 0),
        "dilation-rgba": ("dilation_opencl", "rgba", "pocl", 0),
        "transpose-rgba": ("transpose_opencl=dir=cclock_flip", "rgba", "pocl", 0),
        "colorkey-rgba": ("colorkey_opencl=color=red:similarity=0.3:blend=0.1", "rgba", "pocl", 0),
        "pad-rgba": ("pad_opencl=120:80:10:9:color=green", "rgba", "pocl", 0),
        "erosion-yuv420p": ("erosion_opencl", "yuv420p", "erosion", 0),
        "dilation-gray": ("dilation_opencl", "gray", "dilation", 0),
        "transpose-yuv420p": ("transpose_opencl=dir=clock", "yuv420p", "transpose=dir=clock", 0),
        "transpose-nv12": ("transpose_opencl=dir=clock", "nv12", "transpose=dir=clock", 0),
        "transpose-p010": ("transpose_opencl=dir=clock", "p010le", "transpose=dir=clock", 0),
        "transpose-yuv420p16": ("transpose_opencl=dir=clock", "yuv420p16le", "transpose=dir=clock", 0),
    }
    # row: the other inputs and how they are joined, in rgba, against PoCL.
    JOINED = {
        "overlay-rgba": "color=red@0.5:s=40x30:d=0.12,format=rgba,hwupload[b];[a][b]overlay_opencl=10:12",
        "xfade-rgba": "color=blue:s=96x64:d=0.12:r=25,format=rgba,hwupload[b];"
                      "[a][b]xfade_opencl=transition=wipeleft:duration=0.1:offset=0",
    }
    COMPARE = ("import array,sys; a,b=(array.array(sys.argv[1],open(n,'rb').read()) for n in ('a.raw','b.raw')); "
               "print('samples',len(a),'like' if len(a)==len(b) else 'unlike',"
               "'furthest',max((abs(x-y) for x,y in zip(a,b)),default=-1))")

    def graphs(self, row):
        """The graph over OpenCL, and the one to compare with when that is another."""
        if row in self.JOINED:
            return (f"{self.SOURCE},format=rgba,fps=25,hwupload[a];{self.JOINED[row]},hwdownload,format=rgba", None)
        filter_, pixels, against, _ = self.FILTERS[row]
        plain = None if against == "pocl" else f"{self.SOURCE},format={pixels},{against},format={pixels}"
        return f"{self.SOURCE},format={pixels},hwupload,{filter_},hwdownload,format={pixels}", plain

    def command(self, row):
        graph, plain = self.graphs(row)
        ffmpeg = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y"]
        device = ["-init_hw_device", "opencl=ocl:0.0", "-filter_hw_device", "ocl"]

        def words(given, name, options):
            return shlex.join([*ffmpeg, *options, "-filter_complex", given, "-f", "rawvideo", name])
        other = words(plain, "b.raw", []) if plain else \
            "OCL_ICD_VENDORS=/etc/OpenCL/vendors/pocl.icd " + words(graph, "b.raw", device)
        words_of_16_bits = row in self.FILTERS and self.FILTERS[row][1].endswith("le")
        sample = "H" if words_of_16_bits else "B"
        return f"{words(graph, 'a.raw', device)} && {other} && python3 -c {shlex.quote(self.COMPARE)} {sample}"

    def table(self, root):
        return {row: (["sh", "-c", self.command(row)], 300) for row in (*self.FILTERS, *self.JOINED)}

    def wanted(self, key):
        furthest = self.FILTERS[key][3] if key in self.FILTERS else 0
        return [rf"^samples [1-9]\d* like furthest [0-{furthest}]$"]


class Opencv:
    """OpenCV's functions over OpenCL against themselves without it (clients/opencv_filters.py): a row is a function."""
    name, part, per_run = "opencv", "python3-opencv", 1
    LINE = re.compile(r"^(\w+) (passed|FAILED) ")

    def commands(self, root, pattern):
        if not pattern.search(f"{self.name}@filters"):
            return []
        with open(os.path.join(os.path.dirname(__file__), "clients", "opencv_filters.py"), encoding="utf-8") as file:
            return [("filters", Command(["python3", "-c", file.read()], 1200, "/tmp", {"OPENCV_OPENCL_DEVICE": "::0", "OPENCV_OPENCL_RAISE_ERROR": "1"}))]

    def rows(self, key, status, lines):
        found = [(f"{key}::{match.group(1)}", "pass" if match.group(2) == "passed" else "fail", [match.string])
                 for match in map(self.LINE.match, lines) if match]
        return with_whole(key, found, inroot.ended_badly(status) or ("fail" if status else None), lines)


class Clpeak(Table):
    """Work for a device a thousand times as fast: hours here. Its 20,000 launches are minutes."""
    name, part = "clpeak", "clpeak"

    def table(self, root):
        return {"all": (["clpeak", "-i", "1"], 4 * 3600), "latency": (["clpeak", "--kernel-latency"], 1200)}

    def wanted(self, key):
        return [r"Kernel launch latency : \d"] + ([r"Transfer bandwidth"] if key == "all" else [])


def all_suites():
    return [Piglit(), Pyopencl(), Clblast(), Hashcat(), Darktable(), Ffmpeg(), Opencv(), Clpeak()]
