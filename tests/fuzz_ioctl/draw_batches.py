"""Draws batches and kernels: useful ones, and such as no driver would submit."""
import json
import os

import abi
from draw_lines import BATCHES, KERNELS, POINTERS, Lines

with open(os.path.join(abi.DATA, "..", "..", "docs", "spec", "gpu-commands.json"), encoding="utf-8") as _file:
    _COMMANDS = json.load(_file)
HEADERS = sorted({int(word, 16) for group in ("igt", "linux_xe") for word in _COMMANDS[group].values()})
with open(os.path.join(abi.DATA, "eu", "forms.txt"), encoding="utf-8") as _file:
    KERNEL_FORMS = [line.split()[0] for line in _file if line[0] != "#"]


class Batches(Lines):
    def batch(self):
        """Writes a batch; (its address, whether it is of the useful kinds)."""
        at = BATCHES + self.random.randrange(0x300) * 0x400
        here, to, source = f"@{at:#x}", self.target(), self.target()
        useful = self.chance(0.6)
        kind = (self.pick("store", "store", "copy", "atomic", "walker") if useful else
                self.pick("walker", "walker", "endless", "jump", "own_words", "dwords", "commands", "commands", "wait",
                          "no_end"))
        end = 0x05000000
        if kind == "walker":
            kernel = f"@{KERNELS + self.random.randrange(0x40) * 0x1000:#x}"
            self.emit("words", kernel, *self.kernel(self.pick(0.0, 0.3)))
            self.emit("walker", here, kernel, self.pick(1, 1, 4, 64))
            return here, False
        self.emit("words", here, *{
            "store": [0x10000002, to, 7, end],
            "copy": [0x56800008, self.pick(4095, 0x3ffff), 0, 0, 0, source, to, 0x2020000, end],
            "atomic": [0x17800501, to, *[0] * 8, end],
            "endless": [0x18800101, here],
            "jump": [0x18800101, self.random.choice(POINTERS)],
            "own_words": [0x10000002, f"@{at + 16:#x}", self.random.choice(HEADERS), *[0] * 4, end],
            "dwords": [*(self.random.getrandbits(32) for _ in range(16)), end],
            "commands": self.commands(end),
            "wait": [0x0e004002 | self.pick(0x8000, 0), self.pick(0, 1, 0xffffffff), to, end, 0, end],
            "no_end": [0] * 255,
        }[kind])
        return here, useful

    def commands(self, end):
        words = []
        for _ in range(self.pick(1, 2, 6)):
            header = self.random.choice(HEADERS) ^ (1 << self.random.randrange(32) if self.chance(0.2) else 0)
            words.append(header)
            for _ in range(min(header & 0xff, 40)):
                words.append(self.target() if self.chance(0.3) else self.edge(4))
        return [*words, end]

    def kernel(self, turned_odds):
        """Instructions of real kernels, some with a bit turned, and an end."""
        words = []
        for _ in range(self.pick(1, 3, 10)):
            form = bytes.fromhex(self.random.choice(KERNEL_FORMS))
            if self.chance(turned_odds):
                turned = self.random.randrange(len(form) * 8)
                form = (int.from_bytes(form, "little") ^ 1 << turned).to_bytes(len(form), "little")
            if self.chance(turned_odds / 6):
                form = bytes(self.random.getrandbits(8) for _ in range(16))
            words += [int.from_bytes(form[i:i + 4], "little") for i in range(0, len(form), 4)]
        # (W) send.gtwy (1|M0) null r255 null 0x0 0x02000010 EOT
        return [*words, 0x80010031, 0x00000004, 0x3020ff0c, 0x00000000]
