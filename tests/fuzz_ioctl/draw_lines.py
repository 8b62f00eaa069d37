"""What every drawn list is made of: variables by kind and file, edge values, lines with a field that is wrong at times."""
import random

import abi

FILES = 4
OF_FILE = {"vm": (0, 2), "bo": (2, 3), "queue": (5, 4), "syncobj": (9, 3)}  # place within a file's variables, how many
SHARED = {"shared_fd": (52, 6), "offset": (58, 5)}
PAT = "$63"  # the player sets it: write-back of this device
# The arena: arguments, fences, batches, kernels, data, a hole, what is read only (player.h).
FENCES, BATCHES, KERNELS, DATA_PAGES, HOLE, READ_ONLY = 0x80000, 0x100000, 0x1c0000, (0x200, 0xe00), 0xe00000, 0xf00000
ARENA = 0x200000000000
OBJECTS = [0x1000000, 0x2000000, 0x40000000, 1 << 40]  # GPU addresses of no memory of the process
EDGES = [0, 1, 2, 3, 4, 7, 8, 16, 31, 64, 255, 256, 4095, 4096, 4097, 0x7fff, 0xffff, 0x10000, 1024, 1025, 0x200000,
         0x7fffffff, 0x80000000, 0xffffffff, 1 << 32, 1 << 47, (1 << 47) - 4096, (1 << 48) - 4096, 1 << 48, 1 << 57,
         (1 << 63) - 1, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1]
POINTERS = ["@0x0", "@0x1", "@0xff8", "@0xdffffc", f"@{HOLE:#x}", f"@{READ_ONLY:#x}", "@0xeffffc", "!0", "!2", "!5",
            "@0x200000"]


class Lines:
    """A list in the making. `bad` is the odds that a structure has one field that is not what it should be."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = []
        self.thread = 0
        self.bad = self.random.choice([0.0, 0.05, 0.15])
        self.argument = 0
        self.live = {}  # (kind, file): variables that something was made in

    # ---- numbers ----

    def chance(self, odds):
        return self.random.random() < odds

    def pick(self, *values):
        return self.random.choice(values)

    def var(self, kind, file):
        """A variable that something of this kind stands in, most of the time."""
        if self.chance(0.03):
            file = self.random.randrange(FILES)
        live = self.live.get((kind, None if kind in SHARED else file))
        return self.random.choice(sorted(live)) if live and self.chance(0.97) else self.any_var(kind, file)

    def any_var(self, kind, file):
        first, count = SHARED[kind] if kind in SHARED else OF_FILE[kind]
        return f"${(0 if kind in SHARED else 4 + file * 12) + first + self.random.randrange(count)}"

    def new(self, kind, file):
        """A variable for something that is made now."""
        variable = self.any_var(kind, file)
        self.live.setdefault((kind, None if kind in SHARED else file), set()).add(variable)
        return variable

    def gone(self, kind, file):
        variable = self.var(kind, file)
        if self.chance(0.9):  # else it is used again
            self.live.get((kind, file), set()).discard(variable)
        return variable

    def file(self):
        opened = sorted({file for _, file in self.live if file is not None})
        return self.thread if self.chance(0.9) else self.random.choice(opened)

    def data(self, pages_max=64):
        """(address, bytes) in the part that is mapped, most of the time."""
        first, end = DATA_PAGES
        pages = min(self.pick(1, 1, 2, 4, 16, 64, 512, 1024), pages_max)
        return f"@{(first + self.random.randrange(end - first)) * 4096:#x}", pages * 4096

    def target(self):
        """An address for the GPU: memory of the process, or where objects are bound."""
        if self.chance(0.75):
            return self.data()[0]
        if self.chance(0.3):  # what it must not write: read only, and on both sides of the mirror
            return self.pick(f"@{READ_ONLY + 0x3000:#x}", "@0x1000000", "@0x1000040", f"@{(1 << 64) - 0x1000:#x}")
        return f"@{(self.pick(*OBJECTS) + self.random.randrange(16) * 4096 - ARENA) % (1 << 64):#x}"

    def fence(self):
        """A word that user fences write and waits read."""
        return f"@{FENCES + self.random.randrange(0x40) * 8:#x}"

    def room(self, bytes_needed):
        """Room for a structure among the arguments; reused after a while, by other threads as well."""
        self.argument = (self.argument + 64) % 0x80000
        at = self.argument
        self.argument += bytes_needed
        return at

    def edge(self, size):
        if size == 8 and self.chance(0.4):
            return self.random.choice(POINTERS)
        if self.chance(0.2):
            return 1 << self.random.randrange(size * 8)
        return self.random.choice(EDGES) % (1 << (size * 8))

    # ---- lines ----

    def emit(self, *words):
        self.lines.append(" ".join(str(word) for word in (self.thread, *words)))

    def fields(self, all_fields, values):
        """FIELD=NUMBER words; one of them wrong with the list's odds."""
        values = dict(values)
        if all_fields and self.chance(self.bad):
            name = self.random.choice(sorted(all_fields))
            values[name] = self.edge(all_fields[name][1])
        return self.words(values)

    @staticmethod
    def words(values):
        return [f"{name}={value:#x}" if isinstance(value, int) else f"{name}={value}" for name, value in values.items()]

    def ioctl(self, file, name, result=None, **values):
        fields = abi.argument_of(name)
        values = {key.replace("__", "."): value for key, value in values.items()}
        words = self.fields(fields, values)
        if self.chance(0.06) and "$" not in " ".join(words) and fields and abi.IOCTLS[name]["arg"]:
            at = self.room(256)
            self.emit("at", f"@{at:#x}", abi.IOCTLS[name]["arg"].removeprefix("struct "), *words)
            self.emit("ioctl_at", f"${file}", name, f"@{at:#x}" if self.chance(0.6) else self.random.choice(POINTERS))
            return
        if result is not None:
            words += [">", f"{result[0]}:{result[1]}"]
        self.emit("ioctl", f"${file}" if self.chance(0.98) else self.var("shared_fd", file), name, *words)

    def structure(self, name, **values):
        """Writes one among the arguments; its address."""
        at = self.room(abi.UAPI["structs"][name]["size"])
        self.emit("at", f"@{at:#x}", name, *self.fields(abi.STRUCTURES[name], values))
        return f"@{at:#x}"

    def array(self, values, size):
        at = self.room(len(values) * size)
        for place, value in enumerate(values):
            self.emit("words", f"@{at + place * size:#x}", value)
        return f"@{at:#x}"
