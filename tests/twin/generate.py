"""Draws lists of operations for the player from a seed, and writes them as C."""
import random

ARENA_PAGES = 8192
PROT_NONE, PROT_R, PROT_W, PROT_X = 0, 1, 2, 4
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANON = 1, 2, 0x10, 0x20
MAP_GROWSDOWN, MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE = 0x100, 0x2000, 0x4000, 0x8000
MAP_STACK, MAP_HUGETLB, MAP_SYNC, MAP_NOREPLACE = 0x20000, 0x40000, 0x80000, 0x100000
# Not MADV_FREE: what the kernel keeps of freed pages is its own affair. Not MADV_COLLAPSE: the kernel's mappings decide
# whether it is EINVAL, and registration splits them (docs/DEVIATIONS.md).
ADVICE = {"NORMAL": 0, "RANDOM": 1, "SEQUENTIAL": 2, "WILLNEED": 3, "DONTNEED": 4, "REMOVE": 9,
          "DONTFORK": 10, "DOFORK": 11, "MERGEABLE": 12, "UNMERGEABLE": 13, "HUGEPAGE": 14, "NOHUGEPAGE": 15,
          "DONTDUMP": 16, "DODUMP": 17, "WIPEONFORK": 18, "KEEPONFORK": 19, "COLD": 20, "PAGEOUT": 21,
          "POPULATE_READ": 22, "POPULATE_WRITE": 23, "DONTNEED_LOCKED": 24, "GUARD_INSTALL": 102,
          "GUARD_REMOVE": 103, "BAD": 77}
# What keeps the bytes of private memory as they are (FREE and the dropping ones do not).
KEEPING = [0, 1, 2, 3, 10, 11, 14, 15, 16, 17, 20, 21, 22, 23, 77]
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4


class Draw:
    """One list. Most operations fall into a window of the arena, so that they meet."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.window = self.random.choice([(0, 64), (480, 96), (0, 1536), (500, 1100)])
        self.lines = []

    def page(self):
        first, pages = self.window
        if self.random.random() < 0.2:  # borders of huge pages and of the window
            return min(first + pages - 1, self.random.choice([first, first + pages // 2, 512, 1024, 511, 513]))
        return first + self.random.randrange(pages)

    def pages(self):
        return self.random.choice([0, 1, 1, 1, 2, 3, 4, 7, 16, 16, 64, 512, 600])

    def prot(self):
        return self.random.choice([3, 3, 3, 1, 0, 2, 7, 5])

    def odd(self):
        return self.random.choice([0] * 15 + [1, 2048])

    def emit(self, name, *numbers):
        self.lines.append(" ".join([name, *(str(n) for n in numbers)]))

    def some(self, table):
        names, weights = zip(*table)
        return self.random.choices(names, weights)[0]

    # ---- calls ----

    def mmap_flags(self):
        flags = self.random.choice([MAP_PRIVATE] * 5 + [MAP_SHARED])
        for extra, chance in ((MAP_POPULATE, .1), (MAP_NORESERVE, .15), (MAP_STACK, .05), (MAP_LOCKED, .05),
                              (MAP_GROWSDOWN, .02), (MAP_HUGETLB, .02), (MAP_SYNC, .02)):
            if self.random.random() < chance:
                flags |= extra
        return flags | self.random.choice([MAP_FIXED] * 4 + [MAP_NOREPLACE])

    def mmap(self):
        flags, file, file_page = self.mmap_flags(), -1, 0
        if self.random.random() < 0.25:
            # Files 0 and 1 change under their mappings. Private ones have the others: what is not yet copied may follow
            # the file or not, and a GPU access copies more than it touches.
            files = [0, 1, -2] if flags & MAP_SHARED else [2, 3, -2]
            file, file_page = self.random.choice(files), self.random.randrange(70)
        else:
            flags |= MAP_ANON
        self.emit("mmap", self.page(), self.pages(), self.prot(), flags, file, file_page, self.odd())

    def plain_memory(self):
        self.emit("mmap", self.page(), self.random.choice([1, 4, 16, 64, 512, 520]), 3,
                  MAP_PRIVATE | MAP_ANON | MAP_FIXED, -1, 0, 0)

    def mremap(self):
        flags = self.random.choice([0, 1, 1, 3, 3, 3, 7, 5, 2, 4, 8])
        old = self.pages()
        new = old if self.random.random() < 0.4 else self.pages()
        self.emit("mremap", self.page(), old, new, flags, self.page())

    def process_madvise(self):
        pairs = []
        for _ in range(self.random.choice([1, 2, 3])):
            pairs += [self.page(), self.pages()]
        self.emit("process_madvise", self.random.choice([3, 20, 21, 4]), self.random.choice([0, 0, 0, 1]),
                  self.random.choice([0, 0, 0, 1, 2]), *pairs)

    def memory_call(self):
        page, pages = self.page(), self.pages()
        name = self.some([("mmap", 10), ("plain", 10), ("munmap", 7), ("mremap", 8), ("mprotect", 9), ("madvise", 16),
                          ("process_madvise", 3), ("mlock", 2), ("munlock", 2), ("mlockall", 0.3), ("munlockall", 1),
                          ("msync", 1), ("pkey_mprotect", 1), ("shmat", 2), ("shmdt", 2), ("truncate", 1),
                          ("punch", 1), ("brk", 2), ("remap_file_pages", 0.5)])
        if name in ("mmap", "mremap", "process_madvise"):
            getattr(self, name)()
        elif name == "plain":
            self.plain_memory()
        elif name == "munmap":
            self.emit(name, page, pages, self.odd())
        elif name == "mprotect":
            self.emit(name, page, pages, self.random.choice([self.prot()] * 9 + [0x01000003, 64]), self.odd())
        elif name == "madvise":
            self.emit(name, page, pages, self.random.choice(list(ADVICE.values())), self.odd())
        elif name == "mlock":
            self.emit(name, page, pages, self.random.choice([0, 0, 1, 2]))
        elif name == "mlockall":
            self.emit(name, self.random.choice([1, 5, 8]))
            self.emit("munlockall")
        elif name == "msync":
            self.emit(name, page, pages, self.random.choice([1, 2, 4, 6, 5]), self.odd())
        elif name == "pkey_mprotect":
            self.emit(name, page, pages, self.prot(), self.random.choice([-1, 0, 3]))
        elif name == "shmat":
            self.emit(name, page, max(1, pages), self.random.choice([0, 0o40000, 0o40000, 0o10000, 0o50000]))
        elif name == "truncate":
            self.emit(name, self.random.randrange(2), self.random.choice([0, 5, 64, 64, 128]))
        elif name == "punch":
            self.emit(name, self.random.randrange(2), self.random.randrange(64), max(1, pages))
        elif name == "brk":
            self.emit(name, self.random.choice([0, 1, 16, 64, 600]), self.random.randrange(256))
        elif name == "remap_file_pages":
            self.emit(name, page, pages, self.random.randrange(64), 0)
        else:
            self.emit(name, page, *([pages] if name in ("munlock",) else []))

    def access(self):
        page, pages = self.page(), max(1, min(64, self.pages()))
        name = self.some([("store", 8), ("sum", 3), ("send", 12), ("gpu_store", 6), ("gpu_copy", 2), ("advise", 2),
                          ("write_file", 1), ("read_file", 1), ("vmsplice", 1), ("vm_read", 1), ("vm_write", 1),
                          ("proc_mem", 1.5), ("child_reads", 1), ("getcwd", 0.7), ("mincore", 0.3)])
        if name in ("store", "vm_write", "read_file", "vmsplice"):
            self.emit(name, page, pages, self.random.randrange(1, 200))
        elif name == "proc_mem":
            self.emit(name, page, pages, self.random.choice([0, 0, 33]))
        elif name == "gpu_store":
            self.emit(name, page, self.random.randrange(1 << 30))
        elif name == "gpu_copy":
            self.emit(name, page, self.page())
        elif name == "advise":
            self.emit(name, page, pages, self.random.choice([0, -1]))
        elif name == "getcwd":
            self.emit(name, page, 0, self.random.choice([0, 4090]))
        elif name == "send":
            self.emit(name, page, self.random.choice([1, 16, 64, 512, 600]))
        else:
            self.emit(name, page, pages)

    def process(self):
        name = self.some([("fork", 4), ("raw_fork", 2), ("vfork", 2), ("spawn", 1)])
        page = self.page()
        if name == "fork":
            self.emit(name, page, 20, self.random.randrange(1, 200))
        elif name == "raw_fork":
            self.emit(name, page, 20)
        elif name == "vfork":
            self.emit(name, page, self.random.randrange(1, 200))
        else:
            self.emit(name)

    def looked_into(self):
        self.emit(self.some([("debugged", 1), ("debugs", 1), ("child_mem", 1)]), self.page(),
                  self.random.choice([1, 4, 16, 40]), self.random.choice([0, 0, 7]))

    def signalled(self):
        name = self.some([("handler", 3), ("jump", 2), ("stack", 3), ("mask", 1)])
        more = [self.page(), self.random.choice([4, 8, 16])] if name == "stack" else []
        self.emit(name, self.page(), self.random.randrange(1, 200), *more)

    def descriptors(self):
        name = self.some([("dup", 5), ("close", 2), ("close_range", 1), ("flags", 2), ("write_there", 2),
                          ("closing_child", 2), ("spawn_with", 1)])
        number = lambda: self.random.choice([0, 1, 2, 3, 10, 11, 49])
        if name == "dup":
            self.emit(name, self.random.choice([0, 1, 2, 3, 10, 11]), number(),
                      self.random.choice([-1, -1, -2, 0, 0o2000000, 5]))
        elif name == "close_range":
            self.emit(name, number(), number(), self.random.choice([0, 0, 4, 99]))
        elif name == "flags":
            self.emit(name, number(), self.random.randrange(8))
        elif name == "write_there":
            self.emit(name, number(), self.page(), self.random.choice([1, 3, 16]))
        elif name == "closing_child":
            self.emit(name, self.random.randrange(4), self.page(), self.random.randrange(200))
        elif name == "spawn_with":
            self.emit(name, self.random.randrange(3), self.random.choice([0, 0, 1]))
        else:
            self.emit(name, number())

    def lasting_io(self):
        name = self.some([("direct", 1), ("aio", 1), ("uring", 1), ("pinned", 1)])
        seed = self.random.randrange(1, 200)
        self.emit(name, self.page(), self.random.choice([1, 2, 4, 16]),
                  seed if name == "pinned" else self.random.choice([0, seed]))

    def threads(self):
        name = self.some([("thread", 2), ("robust", 1), ("name", 2)])
        more = {"thread": [self.random.choice([8, 16, 40]), self.random.randrange(100)],
                "robust": [self.random.randrange(2)], "name": []}
        self.emit(name, self.page(), *more[name])

    def storm(self):
        """Threads load and store while calls come that must not disturb them, failing ones most of all."""
        first, count = self.window[0], self.random.choice([8, 40, 200])
        zeroing = self.random.random() < 0.3
        self.emit("storm", first, count, int(zeroing))
        for _ in range(self.random.randrange(4, 16)):
            page = first + self.random.randrange(count)
            pages = self.random.randrange(1, count + 1)
            kind = self.random.randrange(12)
            if kind <= 1:
                self.emit("send", first, count)
            elif kind == 2:  # no such file, not a file at all, no place, bad flags
                self.emit("mmap", page, pages, 3, MAP_PRIVATE | MAP_FIXED, -2, 0, 0)
            elif kind == 3:
                self.emit("mmap", page, pages, 3, MAP_PRIVATE | MAP_ANON | MAP_NOREPLACE, -1, 0, 0)
            elif kind == 4:
                self.emit("mmap", page, 1 << 36, 3, MAP_PRIVATE | MAP_ANON | MAP_FIXED, -1, 0, 0)
            elif kind == 5:
                self.emit("munmap", page, pages, 1)
            elif kind == 6:
                self.emit("mremap", page, pages, pages, self.random.choice([2, 3, 8]), page)
            elif kind == 7:
                self.emit("madvise", page, min(pages, first + count - page),
                          self.random.choice(KEEPING + ([4] if zeroing else [])), 0)
            elif kind == 8:
                self.emit("mprotect", page, min(pages, first + count - page), self.random.choice([3, 3, 1]), 0)
                self.emit("mprotect", first, count, 3, 0)
            elif kind == 9:
                self.emit("mlock", page, min(pages, first + count - page), self.random.choice([0, 1, 2]))
                self.emit("munlock", first, count)
            elif kind == 10:
                self.emit(self.random.choice(["spawn", "mincore"]), page, 1)
            else:
                self.emit("pause", 1)
        self.emit("calm")

    def whole(self, length):
        for _ in range(3):
            self.plain_memory()
        while len(self.lines) < length:
            self.random.choices([self.memory_call, self.access, self.process, self.storm, self.looked_into, self.signalled,
                                 self.descriptors, self.lasting_io, self.threads],
                                [10, 10, 0.7, 0.5, 0.5, 1, 1, 1, 1])[0]()
            if self.random.random() < 0.12:
                self.emit("sum", self.window[0], self.window[1])
            if self.random.random() < 0.05:
                self.emit("maps")
        self.emit("sum", self.window[0], self.window[1])
        self.emit("maps")
        return self.lines


def draw(seed, length):
    return Draw(seed).whole(length)


# How operations look in C; what is not here is called as the player does it.
C_TEXT = {
    "mmap": "mmap(A + {0}*4096 + {6}, {1}*4096ul, {2}, {3:#x}, {4}, {5}*4096);",
    "munmap": "munmap(A + {0}*4096 + {2}, {1}*4096ul);",
    "mremap": "mremap(A + {0}*4096, {1}*4096ul, {2}*4096ul, {3}, A + {4}*4096);",
    "mprotect": "mprotect(A + {0}*4096 + {3}, {1}*4096ul, {2});",
    "madvise": "madvise(A + {0}*4096 + {3}, {1}*4096ul, {2});",
    "mlock": "mlock2(A + {0}*4096, {1}*4096ul, {2});",
    "munlock": "munlock(A + {0}*4096, {1}*4096ul);",
    "mlockall": "mlockall({0});", "munlockall": "munlockall();",
    "shmat": "shmat(shmget(IPC_PRIVATE, {1}*4096, 0600), A + {0}*4096, {2:#o});",
    "shmdt": "shmdt(A + {0}*4096);",
    "store": "for (int p = {0}; p < {0} + {1}; ++p) A[p*4096] = {2};",
    "send": "/* PREFETCH to VRAM: */ send(A + {0}*4096, {1}*4096ul);",
    "gpu_store": "gpu_store32(A + {0}*4096 + 1024, {1});",
    "fork": "if (fork() == 0) _exit(look(A + {0}*4096, {1})); wait(NULL);",
}


def as_c(lines):
    text = ["unsigned char *A = (unsigned char *)0x200000000000;"]
    for line in lines:
        name, *numbers = line.split()
        form = C_TEXT.get(name)
        text.append("  " + (form.format(*(int(n) for n in numbers)) if form else f"/* player: */ {line};"))
    return "\n".join(text)
