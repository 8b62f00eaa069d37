#!/usr/bin/env python3
"""What `softxe explore` promises, on a scenario that is right in one order and wrong in others.

    explore_test.py --softxe SOFTXE

Each strategy finds it; the schedule is short and gives the same bytes each time; without choices it passes; what is left of
the scenario with fewer statements fails as well; parts of an exhaustive search together try what the whole does; parts of a
drawn one have the schedules of the whole; several processes find what one does; a search of the same seed finds the same.
"""
import argparse
import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FILE = str(HERE / "order_matters.softxe")
REPLAYS = 20

problems = []


def expect(what, holds):
    if not holds:
        problems.append(what)


class Softxe:
    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def __call__(self, *words):
        return subprocess.run([self.path, *words], capture_output=True, text=True, cwd=self.folder, check=False)

    def explore(self, *words):
        return self("explore", *words, FILE)


def schedules_of(output):
    return int(re.search(r": (\d+) schedules", output)[1])


def check_strategy(softxe, strategy, depth):
    out = softxe.folder / f"{strategy}.schedule"
    done = softxe.explore("--strategy", strategy, "--depth", depth, "--seconds", "50", "--small", "-o", str(out))
    expect(f"{strategy}: finds it\n{done.stdout}{done.stderr}", done.returncode == 1 and out.exists())
    if not out.exists():
        return
    choices = len(re.findall(r"^choice ", out.read_text(), re.M))
    expect(f"{strategy}: {choices} choices", 1 <= choices < 15)
    first = softxe("scenario", "--schedule", str(out), FILE)
    expect(f"{strategy}: the schedule fails", first.returncode == 1 and "0 passed, 1 failed" in first.stdout)
    expect(f"{strategy}: says who goes on", re.search(r"^\* \S+: at its point \d+, before \S.*goes on", first.stdout, re.M))
    for _ in range(REPLAYS):
        if softxe("scenario", "--schedule", str(out), FILE).stdout != first.stdout:
            problems.append(f"{strategy}: a replay differs")
            break
    none = softxe.folder / "none.schedule"
    none.write_text(re.sub(r"^choice .*\n", "", out.read_text(), flags=re.M))
    expect(f"{strategy}: passes without choices", softxe("scenario", "--schedule", str(none), FILE).returncode == 0)
    small, its_file = softxe.folder / f"{out.name}.small", softxe.folder / f"{out.name}.softxe"
    expect(f"{strategy}: fewer statements", its_file.exists()
           and len(its_file.read_text().splitlines()) < len(pathlib.Path(FILE).read_text().splitlines()) - 3)
    expect(f"{strategy}: fails with fewer statements",
           softxe("scenario", "--schedule", str(small), str(its_file)).returncode == 1)


def check_same_again(softxe):
    texts = []
    for _ in range(2):
        softxe.explore("--budget", "2000", "--seed", "7", "-o", str(softxe.folder / "again.schedule"))
        texts.append((softxe.folder / "again.schedule").read_text())
    expect("the same seed finds the same", texts[0] == texts[1])


def check_parts(softxe):
    passes = HERE.parent / "scenarios/explore/two_flows.softxe"
    whole = softxe("explore", "--strategy", "exhaustive", "--depth", "1", str(passes))
    expect(f"the whole passes\n{whole.stdout}", whole.returncode == 0 and "these are all" in whole.stdout)
    parts = [softxe("explore", "--strategy", "exhaustive", "--depth", "1", "--shard", f"{i}/8", str(passes))
             for i in range(1, 9)]
    total = sum(schedules_of(part.stdout) for part in parts)
    # Each part begins with the schedule that has no choice.
    expect(f"{total - 7} schedules in 8 parts, {schedules_of(whole.stdout)} in one",
           total - 7 == schedules_of(whole.stdout))


def first_failure(output):
    found = re.search(r"failed at schedule (\d+)", output)
    return int(found[1]) if found else None


def check_shards_of_drawn_orders(softxe):
    """Schedule N is the same whoever tries it: the part that has it finds what the whole finds, and no part more before it."""
    for strategy in ("random", "pct"):
        words = ("--strategy", strategy, "--seed", "3", "-o", str(softxe.folder / "shard.schedule"))
        whole = first_failure(softxe.explore(*words, "--budget", "20000").stdout)
        expect(f"{strategy}: the whole fails", whole is not None)
        if whole is None:
            continue
        parts = [first_failure(softxe.explore(*words, "--shard", f"{i}/8", "--budget", str(whole // 8 + 1)).stdout)
                 for i in range(1, 9)]
        expect(f"{strategy}: first failures of 8 parts {parts}, of the whole {whole}",
               parts[whole % 8] == whole and min(p for p in parts if p is not None) == whole)


def check_processes(softxe):
    """Several processes try the schedules of one."""
    passes = str(HERE.parent / "scenarios/explore/two_flows.softxe")
    for words in (("--strategy", "exhaustive", "--depth", "1"), ("--budget", "400")):
        numbers = []
        for processes in ("1", "4"):
            done = softxe("explore", *words, "-j", processes, passes)
            found = re.search(r"(\d+) orders of events, (\d+) states at the end, (\d+) of", done.stdout)
            expect(f"-j {processes} passes\n{done.stdout}", done.returncode == 0 and found)
            numbers.append(found and found.groups())
        if "exhaustive" in words:
            expect(f"orders, states and steps: one process {numbers[0]}, four {numbers[1]}", numbers[0] == numbers[1])
    four = softxe.explore("--strategy", "random", "--budget", "20000", "-j", "4", "-o", str(softxe.folder / "four.schedule"))
    expect(f"-j 4 finds it\n{four.stdout}", four.returncode == 1 and (softxe.folder / "four.schedule").exists())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--softxe", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        softxe = Softxe(args.softxe, pathlib.Path(folder))
        for strategy, depth in (("random", "3"), ("pct", "3"), ("exhaustive", "1"), ("delays", "2")):
            check_strategy(softxe, strategy, depth)
        check_same_again(softxe)
        check_parts(softxe)
        check_shards_of_drawn_orders(softxe)
        check_processes(softxe)
    print("\n".join(problems) or "explore: as promised")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
