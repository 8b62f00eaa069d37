"""What the machines that draw lists of operations have in common (tests/twin, tests/fuzz_ioctl): where lists come from,
how one that fails becomes shorter, where it is kept."""
import os
import time


def add_arguments(parser, variants, by_default):
    parser.add_argument("--softxe", required=True)
    parser.add_argument("--player", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--variant", action="append", choices=variants, help=f"default: {by_default}")
    parser.add_argument("--list", nargs="+", metavar="FILE")
    parser.add_argument("--show", type=int, metavar="SEED")
    parser.add_argument("--keep", metavar="DIR")


def work(options, draw):
    """Yields (name, lines): of the files that are named, else of draw(seed) for as many seeds or as long as wanted."""
    if options.list:
        for path in options.list:
            with open(path, encoding="ascii") as file:
                lines = [line.strip() for line in file]
            yield os.path.basename(path), [line for line in lines if line and not line.startswith("#")]
        return
    stop = None if options.seconds is None else time.monotonic() + options.seconds
    seed = options.seed
    while (seed < options.seed + options.seeds) if stop is None else time.monotonic() < stop:
        yield f"seed-{seed}", draw(seed)
        seed += 1


def fewer_lines(lines, fails, stop):
    """As many of the lines as it takes for fails(lines), as far as that is found until `stop` (time.monotonic())."""
    size = len(lines) // 2
    while size >= 1:
        at = 0
        while at < len(lines) and time.monotonic() < stop:
            fewer = lines[:at] + lines[at + size:]
            if fewer and fails(fewer):
                lines = fewer
            else:
                at += size
        size //= 2
    return lines


def keep(folder, name, lines):
    if not folder:
        return
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
