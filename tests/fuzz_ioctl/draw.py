"""Draws lists of ioctls from a seed: valid sequences, in which things go wrong at times.

Variables by kind and file, so that most lists get somewhere: a list that only fails shows nothing.
"""
import abi
from draw_batches import Batches
from draw_lines import FILES, OBJECTS, OF_FILE, PAT

# What a field of that name means; a structure's own word goes before.
MEANS = {"vm_id": "vm", "exec_queue_id": "queue", "handle": "bo", "obj": "bo", "fd": "shared_fd", "fd2": "shared_fd",
         "src_handle": "syncobj", "dst_handle": "syncobj"}
POINTER_NAMES = {"extensions", "syncs", "handles", "points", "data", "addr", "address", "instances", "param", "name",
                 "userptr", "vector_of_binds", "vector_of_mem_attr", "sync_fence_info", "regs_ptr", "start", "unique",
                 "date", "desc", "retained_ptr"}
OUTPUTS = {"XE_GEM_MMAP_OFFSET": ("offset", "offset"), "PRIME_HANDLE_TO_FD": ("fd", "shared_fd"),
           "SYNCOBJ_HANDLE_TO_FD": ("fd", "shared_fd"), "PRIME_FD_TO_HANDLE": ("handle", "bo"),
           "SYNCOBJ_FD_TO_HANDLE": ("handle", "syncobj"), "SYNC_IOC_MERGE": ("fence", "shared_fd"),
           "DMA_BUF_IOCTL_EXPORT_SYNC_FILE": ("fd", "shared_fd"), "MODE_CREATE_DUMB": ("handle", "bo"),
           "GEM_FLINK": ("name", "offset"), "GEM_OPEN": ("handle", "bo")}


class Draw(Batches):
    """One list. Each thread has a file of its own, and uses the others' at times."""

    def __init__(self, seed, length):
        super().__init__(seed)
        threads = self.random.choice([1, 1, 2, 3])
        for thread in range(threads):
            self.thread = thread
            self.set_up(thread)
        while len(self.lines) < length:
            self.thread = self.random.randrange(threads)
            self.step()

    # ---- set-up and objects ----

    def set_up(self, file):
        for kind in OF_FILE:
            self.live[kind, file] = set()
        usual, self.bad = self.bad, 0
        self.emit("open", file, self.pick(128, 128, 128, 129))
        self.vm_create(file, self.pick(6, 6, 6, 7, 14))
        self.mirror(file, whole=True)
        for _ in range(2):
            self.queue_create(file, self.pick(1, 4))
        self.gem_create(file)
        self.syncobj_create(file)
        self.bad = usual

    def vm_create(self, file, flags=None):
        flags = self.pick(6, 6, 6, 6, 7, 2, 0, 1, 3, 14) if flags is None else flags
        self.ioctl(file, "XE_VM_CREATE", ("vm_id", self.new("vm", file)), flags=flags)

    def extension(self, property_max, values):
        """A chain: of one, two, a loop, or a long one."""
        first = self.room(48)
        at, shape = first, self.pick("one", "one", "two", "loop", "long")
        for place in range({"two": 2, "long": 20}.get(shape, 1)):
            following = {"loop": f"@{first:#x}"}.get(shape, 0)
            if shape in ("two", "long") and place < 19:
                following = f"@{self.room(48):#x}"
            self.emit("at", f"@{at:#x}", "drm_xe_ext_set_property",
                      *self.fields(abi.STRUCTURES["drm_xe_ext_set_property"],
                                   {"base.next_extension": following, "property": self.random.randrange(property_max + 2),
                                    "value": self.random.choice(values)}))
            at = int(following[1:], 16) if isinstance(following, str) else at
        return f"@{first:#x}"

    def queue_create(self, file, plain_class=None):
        if plain_class is None:
            width, placements = self.pick(*[1] * 12, 2, 3), self.pick(*[1] * 12, 2)
            engine_class = self.pick(4, 4, 4, 1, 1, 1, 0, 2, 3, 5)
        else:
            width, placements, engine_class = 1, 1, plain_class
        instances = [self.structure("drm_xe_engine_class_instance", engine_class=engine_class,
                                    gt_id=1 if engine_class in (2, 3) else 0,
                                    engine_instance=i if plain_class is None and self.chance(0.2) else 0)
                     for i in range(width * placements)]
        more = {}
        if plain_class is None and self.chance(0.15):
            more["extensions"] = self.extension(6, [0, 1, 2, 100, 1000, 1 << 63, (1 << 63) | 1, "@0x300000"])
        self.ioctl(file, "XE_EXEC_QUEUE_CREATE", ("exec_queue_id", self.new("queue", file)), width=width,
                   num_placements=placements, vm_id=self.var("vm", file), instances=instances[0],
                   flags=self.pick(*[0] * 5, 1), **more)

    def gem_create(self, file):
        more = {"vm_id": self.var("vm", file)} if self.chance(0.4) else {}
        if self.chance(0.05):
            more["extensions"] = self.extension(1, [0, 1])
        placement = self.pick(1, 2, 3, 1, 2, 3, 1, 2, 3, 4, 7)
        self.ioctl(file, "XE_GEM_CREATE", ("handle", self.new("bo", file)), placement=placement,
                   size=self.pick(65536, 65536, 0x200000, 0x800000, 0x4000000, 4096), flags=self.pick(0, 0, 0, 0, 1, 2, 4, 8),
                   cpu_caching=self.pick(1, 2) if placement == 1 else self.pick(*[2] * 9, 1), **more)

    def syncobj_create(self, file):
        self.ioctl(file, "SYNCOBJ_CREATE", ("handle", self.new("syncobj", file)), flags=self.pick(0, 0, 1))

    # ---- binds ----

    def syncs(self, file, count=None):
        """(count, address) of drm_xe_sync."""
        count = self.pick(0, 1, 1, 2) if count is None else count
        addresses = []
        for _ in range(count):
            kind = self.pick(0, 1, *[2] * 8)
            values = {"type": kind, "flags": self.pick(*[1] * 9, 0), "timeline_value": self.pick(0, 1, 2, 5, 0x600d)}
            if kind == 2:
                values["addr"] = self.fence() if self.chance(0.8) else self.data()[0]
            else:
                values["handle"] = self.var("syncobj", file)
            addresses.append(values)
        if not addresses:
            return 0, 0
        at = self.room(48 * count)
        for place, values in enumerate(addresses):
            self.emit("at", f"@{at + 48 * place:#x}", "drm_xe_sync", *self.fields(abi.STRUCTURES["drm_xe_sync"], values))
        return count, f"@{at:#x}"

    def mirror(self, file, whole=False):
        addr, size = ("@0x0", 0x1000000) if whole or self.chance(0.7) else self.data(1024)
        self.ioctl(file, "XE_VM_BIND", vm_id=self.var("vm", file), num_binds=1, bind__op=0, bind__addr=addr,
                   bind__range=size, bind__pat_index=PAT, bind__flags=0x20 | self.pick(0, 0, 0, 0x40, 0x40, 1))

    def bind_op(self, file):
        addr, size = self.data(1024)
        if self.chance(0.3):
            addr = self.pick(*OBJECTS)
        op = self.pick("object", "object", "userptr", "null", "unmap", "prefetch", "unmap_all", "mirror")
        values = {"addr": addr, "range": size, "pat_index": self.pick(*[PAT] * 8, 0, 3)}
        if op == "object":
            values.update(obj=self.var("bo", file), obj_offset=self.pick(0, 0, 4096, 65536), flags=self.pick(0, 0, 1, 2, 8))
        elif op == "userptr":
            values.update(op=2, userptr=self.data()[0], flags=self.pick(0, 1))
        elif op == "null":
            values.update(flags=4)
        elif op == "unmap":
            values.update(op=1, pat_index=0)
        elif op == "unmap_all":
            values = {"op": 3, "obj": self.var("bo", file)}
        elif op == "prefetch":
            values.update(op=4, prefetch_mem_region_instance=self.pick(0, 1, 1, 1, 2, 0xffffffff), pat_index=0)
        else:
            values.update(flags=0x20 | self.pick(0, 0x40))
        return values

    def vm_bind(self, file):
        count, at = self.syncs(file)
        more = {"exec_queue_id": self.var("queue", file)} if self.chance(0.1) else {}
        if self.chance(0.8):
            more.update({f"bind__{name}": value for name, value in self.bind_op(file).items()})
            self.ioctl(file, "XE_VM_BIND", vm_id=self.var("vm", file), num_binds=1, num_syncs=count, syncs=at, **more)
            return
        operations = [self.bind_op(file) for _ in range(self.pick(2, 3, 8))]
        vector = self.room(80 * len(operations))
        for place, values in enumerate(operations):
            self.emit("at", f"@{vector + 80 * place:#x}", "drm_xe_vm_bind_op",
                      *self.fields(abi.STRUCTURES["drm_xe_vm_bind_op"], values))
        self.ioctl(file, "XE_VM_BIND", vm_id=self.var("vm", file), num_binds=len(operations),
                   vector_of_binds=f"@{vector:#x}", num_syncs=count, syncs=at, **more)

    def madvise(self, file):
        start, size = self.data(1024)
        kind = self.pick(0, 1, 2, 3)
        values = {0: {"preferred_mem_loc__devmem_fd": self.pick(0, 0xffffffff, f"${file}"),
                      "preferred_mem_loc__migration_policy": self.pick(0, 1),
                      "preferred_mem_loc__region_instance": self.pick(0, 0, 1)},
                  1: {"atomic__val": self.pick(0, 1, 2, 3, 4)},
                  2: {"pat_index__val": self.pick(PAT, PAT, 0, 3, 31)},
                  3: {"purge_state_val__val": self.pick(0, 1, 2)}}[kind]
        self.ioctl(file, "XE_MADVISE", vm_id=self.var("vm", file), start=start, range=size, type=kind, **values)

    # ---- work ----

    def exec(self, file):
        count, syncs = self.syncs(file)
        batch, useful = self.batch()
        self.ioctl(file, "XE_EXEC", exec_queue_id=self.var("queue", file), num_syncs=count, syncs=syncs, address=batch,
                   num_batch_buffer=self.pick(*[1] * 12, 0, 2))
        if not useful and self.chance(0.7):  # its queue is of no more use
            self.queue_create(file, self.pick(1, 4))

    def wait(self, file):
        if self.chance(0.5):
            self.ioctl(file, "XE_WAIT_USER_FENCE", addr=self.fence(), op=self.pick(0, 1, 2, 3, 4, 5),
                       value=self.pick(0, 1, 0x600d), mask=(1 << 64) - 1, timeout=self.pick(0, 1000, 1000000),
                       exec_queue_id=self.pick(0, self.var("queue", file)))
            return
        count = self.pick(1, 2, 3)
        handles = self.array([self.var("syncobj", file)] * count, 4)
        kind = self.pick("SYNCOBJ_WAIT", "SYNCOBJ_RESET", "SYNCOBJ_SIGNAL", "SYNCOBJ_TIMELINE_WAIT", "SYNCOBJ_QUERY",
                         "SYNCOBJ_TIMELINE_SIGNAL")
        more = {}
        if "WAIT" in kind:
            more.update(timeout_nsec=self.pick(0, 1000, 1 << 62), flags=self.pick(0, 1, 2, 3, 4, 8))
        if "TIMELINE" in kind or kind == "SYNCOBJ_QUERY":
            more["points"] = self.array([self.pick(0, 1, 2, 5) for _ in range(count)], 8)
        self.ioctl(file, kind, handles=handles, count_handles=count, **more)

    # ---- anything ----

    def value_of(self, name, field, size, file):
        last = field.split(".")[-1]
        if last in MEANS:
            kind = "syncobj" if last == "handle" and "SYNCOBJ" in name else MEANS[last]
            return self.var(kind, file)
        if last.startswith(("pad", "reserved")):
            return 0
        if last in POINTER_NAMES and size == 8:
            return self.pick(0, f"@{self.room(256):#x}", self.data()[0])
        return self.pick(0, 0, 1, 2, self.edge(size))

    def any_ioctl(self, file):
        """Any request there is, its fields by their names: new ones are drawn as soon as the data has them."""
        name = self.random.choice(sorted(abi.IOCTLS))
        fields = abi.argument_of(name)
        values = {field: self.value_of(name, field, size, file) for field, (_, size) in fields.items() if self.chance(0.8)}
        result = None
        if name in OUTPUTS:
            result = (OUTPUTS[name][0], self.new(OUTPUTS[name][1], file))
        elif "DESTROY" in name and self.chance(0.5):
            return
        on_shared = name.startswith(("DMA_BUF", "SYNC_IOC")) and self.chance(0.9)
        self.emit("ioctl", self.var("shared_fd", file) if on_shared else f"${file}", name, *self.words(values),
                  *([] if result is None else [">", f"{result[0]}:{result[1]}"]))

    def pass_on(self, file):
        kind = self.pick("prime", "prime_back", "syncobj", "syncobj_back", "offset", "query", "transfer")
        if kind == "prime":
            self.ioctl(file, "PRIME_HANDLE_TO_FD", ("fd", self.new("shared_fd", file)), handle=self.var("bo", file),
                       flags=self.pick(0, 2, 0o2000000))
        elif kind == "prime_back":
            self.ioctl(file, "PRIME_FD_TO_HANDLE", ("handle", self.new("bo", file)), fd=self.var("shared_fd", file))
        elif kind == "syncobj":
            self.ioctl(file, "SYNCOBJ_HANDLE_TO_FD", ("fd", self.new("shared_fd", file)),
                       handle=self.var("syncobj", file), flags=self.pick(0, 1))
        elif kind == "syncobj_back":
            self.ioctl(file, "SYNCOBJ_FD_TO_HANDLE", ("handle", self.new("syncobj", file)),
                       fd=self.var("shared_fd", file), flags=self.pick(0, 1))
        elif kind == "offset":
            offset = self.new("offset", file)
            self.ioctl(file, "XE_GEM_MMAP_OFFSET", ("offset", offset), handle=self.var("bo", file))
            at, size = self.data(16)
            self.emit("map_object", at, size, f"${file}", offset)
        elif kind == "query":
            self.ioctl(file, "XE_DEVICE_QUERY", query=self.random.randrange(12), size=self.pick(0, 8, 32, 4096),
                       data=self.pick(0, "@0x700", "@0x1000"))
        else:
            self.ioctl(file, "SYNCOBJ_TRANSFER", src_handle=self.var("syncobj", file),
                       dst_handle=self.var("syncobj", file), src_point=self.pick(0, 1), dst_point=self.pick(0, 1, 2))

    def ask(self, file):
        start, size = self.data(1024)
        kind = self.pick("attributes", "faults", "banned", "set")
        if kind == "attributes":
            self.ioctl(file, "XE_VM_QUERY_MEM_RANGE_ATTRS", vm_id=self.var("vm", file), start=start, range=size,
                       **self.pick({}, {"num_mem_ranges": self.pick(1, 16, 64), "sizeof_mem_range_attr": self.pick(64, 64, 0),
                                        "vector_of_mem_attr": self.pick("@0x4000", "@0x4000", 0)}))
        elif kind == "faults":
            self.ioctl(file, "XE_VM_GET_PROPERTY", vm_id=self.var("vm", file), property=0,
                       **self.pick({}, {"size": self.pick(48, 96, 2400), "data": self.pick("@0x6000", 0)}))
        elif kind == "banned":
            self.ioctl(file, "XE_EXEC_QUEUE_GET_PROPERTY", exec_queue_id=self.var("queue", file), property=0)
        else:
            self.ioctl(file, "XE_EXEC_QUEUE_SET_PROPERTY", exec_queue_id=self.var("queue", file),
                       property=self.random.randrange(7), value=self.edge(8))

    def destroy(self, file):
        kind = self.pick("queue", "queue", "vm", "bo", "bo", "syncobj")
        if kind == "queue":
            self.ioctl(file, "XE_EXEC_QUEUE_DESTROY", exec_queue_id=self.gone("queue", file))
        elif kind == "vm":
            self.ioctl(file, "XE_VM_DESTROY", vm_id=self.gone("vm", file))
        elif kind == "bo":
            self.ioctl(file, "GEM_CLOSE", handle=self.gone("bo", file))
        else:
            self.ioctl(file, "SYNCOBJ_DESTROY", handle=self.gone("syncobj", file))

    # ---- the process ----

    def memory(self, _):
        at, size = self.data(1024)
        call, more = self.pick(("map", 3), ("map", 3), ("map", 1), ("unmap", 0), ("protect", 1), ("protect", 3),
                               ("protect", 0), ("advise", 4), ("advise", 14), ("advise", 22), ("store", 5), ("store", 6))
        self.emit("memory", call, at, size, more)

    def descriptors(self, file):
        kind = self.pick("close", "dup", "reopen", "close_shared", "show", "show")
        if kind == "close":
            self.emit("close", f"${file}")
            if self.chance(0.8):
                self.set_up(file)
        elif kind == "dup":
            self.emit("dup", self.random.randrange(FILES), f"${file}")
        elif kind == "reopen":
            self.set_up(file)
        elif kind == "show":
            self.emit("show", f"${file}")
        else:
            self.emit("close", self.var("shared_fd", file))

    def process(self, _):
        """A child does what comes next, with what it inherited."""
        self.emit(self.pick("fork", "fork_beside"))
        thread = self.thread
        for _ in range(self.pick(1, 5, 15)):
            self.thread = thread
            self.step(forks=False)
        self.emit("end")

    def step(self, forks=True):
        table = [(self.exec, 20), (self.wait, 10), (self.vm_bind, 12), (self.madvise, 6), (self.memory, 10),
                 (self.any_ioctl, 12), (self.pass_on, 8), (self.ask, 5), (self.gem_create, 5), (self.queue_create, 5),
                 (self.vm_create, 2), (self.mirror, 3), (self.syncobj_create, 3), (self.destroy, 5),
                 (self.descriptors, 1.5)]
        if forks:
            table.append((self.process, 0.7))
        steps, weights = zip(*table)
        self.random.choices(steps, weights)[0](self.file())


def draw(seed, length):
    return Draw(seed, length).lines
