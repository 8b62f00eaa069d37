"""The programs of run.py: what each does and what its output is once that is stripped of what may differ.

A row: name, the program it needs, a shell script, normalisation. The script runs in an empty folder,
with $PRELOADED in front of the program under test (see run.py). Normalisation is a list of regular
expressions whose matches are removed, or a pair (regex, kept lines only).
"""
import runtimes
from rows import Row

PYTHON = r'''
import hashlib, mmap, multiprocessing, os, signal, subprocess, sys, tempfile, threading
def work(n):
    return sum(hash(str(i)) % 7 == i for i in range(0)) + sum(x * x for x in range(n)) % 1009
def main():
    words = [str(i * 7919) for i in range(150000)]
    table = {w: i for i, w in enumerate(words)}
    print(len(table), sum(table.values()), hashlib.sha256("".join(words).encode()).hexdigest())
    found = []
    lock = threading.Lock()
    def count(seed):
        blocks = [bytearray(b"%d" % (seed + i)) * 1000 for i in range(200)]
        with lock:
            found.append(sum(b[0] + len(b) for b in blocks))
    threads = [threading.Thread(target=count, args=(s,)) for s in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(sorted(found))
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(pool.map(work, range(1000, 1012)))
    print(subprocess.run(["/bin/echo", "child"], capture_output=True).stdout,
          subprocess.run([sys.executable, "-c", "import sys; sys.exit(7)"]).returncode)
    pid = os.fork()
    if pid == 0:
        os._exit(table["7919"] + 3)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    with mmap.mmap(-1, 4 << 20) as m:
        m[0:5] = b"hello"; m[-5:] = b"world"; m.move(1 << 20, 0, 5); m.resize(8 << 20)
        print(m[0:5], m[1 << 20:(1 << 20) + 5], m[(4 << 20) - 5:4 << 20], len(m), m.find(b"world"))
    seen = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    while len(seen) < 20: bytes(100000)
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("signals came")
    with tempfile.TemporaryFile() as f:
        f.write(os.urandom(1000)); f.seek(0); print(len(f.read()))
    print(sorted(os.listdir("/dev/shm"))[:0], os.path.exists("nothing"))
main()
'''

# Every way in which Python starts processes, each followed by memory that the parent goes on to use.
PROCESSES = r'''
import multiprocessing, os, subprocess, sys, threading
def square(n):
    return n * n
def main():
    data = bytearray(range(256)) * 8192
    def check(what):
        print(what, sum(data[::4096]), len(data))
        data[0] = (data[0] + 1) % 256
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, range(8)))
        check(method)
    for options in ({}, {"close_fds": False}, {"start_new_session": True}, {"env": {"A": "1"}}, {"cwd": "/"}):
        print(subprocess.run(["/bin/echo", "child"], capture_output=True, **options).stdout)
        check(sorted(options))
    read, write = os.pipe()
    write_it = f"import os; os.write({write}, b'passed')"
    print(subprocess.run([sys.executable, "-c", write_it], pass_fds=[write]).returncode)
    os.close(write)
    print(os.read(read, 20))
    found = []
    def start():
        found.append(subprocess.check_output(["/bin/echo", "from a thread"]))
    threads = [threading.Thread(target=start) for _ in range(6)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(found)
    print(os.waitstatus_to_exitcode(os.system("exit 3")), os.popen("echo popen").read())
    print(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "exit 4"], {}), 0)[1]))
    check("end")
if __name__ == "__main__":
    main()
'''

PERL = r'''
my %h; $h{$_ * 31} = "v" x ($_ % 97) for 1 .. 60000; my $n = 0; $n += length for values %h; print "$n\n";
my $text = join(",", map { $_ * $_ } 1 .. 50000); my @parts = split /,/, $text; print scalar(@parts), "\n";
my $pid = fork; if (!$pid) { exit(($h{310} eq "v" x 10) ? 5 : 6) } waitpid $pid, 0; print $? >> 8, "\n";
print `echo from a child`; local $SIG{USR1} = sub { print "signal\n" }; kill USR1 => $$; print "end\n";
'''

MLOCK = r'''
import ctypes, hashlib, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
BYTES, ONFAULT = 8 << 20, 1
def done(name, *arguments):
    if getattr(libc, name)(*map(ctypes.c_size_t, arguments)) != 0:
        raise OSError(ctypes.get_errno(), name)
def locked_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmLck"))
before, digest = locked_kib(), hashlib.sha256()
for turn in range(60):
    memory = mmap.mmap(-1, BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in range(0, BYTES, 4096): memory[page] = (page // 4096 + turn) % 251
    part = at + (turn % 16) * 65536
    if turn % 2: done("mlock", part, 2 << 20)
    else: done("mlock2", part, 2 << 20, ONFAULT)
    for page in range(0, BYTES, 4096): memory[page + 1] = turn
    if turn % 3: done("munlock", part, 1 << 20)
    digest.update(memory)
    if turn % 20 == 0:
        pid = os.fork()
        if pid == 0: os._exit(sum(memory[:65536]) % 200)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    libc.munmap(ctypes.c_size_t(at), ctypes.c_size_t(BYTES // 2))
    libc.mmap(ctypes.c_size_t(at), ctypes.c_size_t(BYTES // 2), 3, 0x32, -1, ctypes.c_size_t(0))
    libc.munlock(ctypes.c_size_t(at), ctypes.c_size_t(BYTES))
print(digest.hexdigest(), locked_kib() - before)
'''

GIT = r'''
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME=$PWD
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1
git init -q -b main repo && cd repo
for commit in 1 2 3; do
  i=0; while [ $i -lt 40 ]; do seq $((i * commit)) $((i * commit + 400)) > file$i; i=$((i + 1)); done
  $PRELOADED git add . && $PRELOADED git commit -q -m "commit $commit"
done
$PRELOADED git log --stat --format='%H %s' | tail -n 50
$PRELOADED git gc -q --prune=now && $PRELOADED git fsck --full --strict && $PRELOADED git rev-list --objects --all | sort
$PRELOADED git grep -c 399 | sort | tail -n 5; git status --short
'''

SQL = r'''
$PRELOADED sqlite3 data.db <<'SQL'
PRAGMA mmap_size=268435456; PRAGMA journal_mode=WAL; PRAGMA cache_size=-8000;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60000)
  INSERT INTO t SELECT i, printf('name%d', i*7919%60000), i*i%10007 FROM n;
CREATE INDEX by_name ON t(name); CREATE INDEX by_value ON t(value);
UPDATE t SET value=value+1 WHERE id%3=0; DELETE FROM t WHERE id%7=0;
SELECT count(*), sum(value), min(name), max(name) FROM t;
SELECT a.name, count(*) FROM t a JOIN t b ON a.value=b.value GROUP BY a.value ORDER BY 2 DESC, 1 LIMIT 5;
VACUUM; PRAGMA integrity_check; SELECT count(*) FROM t WHERE name>'name5';
SQL
$PRELOADED sqlite3 data.db 'SELECT sum(id) FROM t'
'''

REDIS = r'''
mkdir data; sock=$PWD/redis.sock
$PRELOADED redis-server --port 0 --unixsocket "$sock" --dir "$PWD/data" --daemonize no --appendonly yes \
  --loglevel warning > server.log 2>&1 & server=$!
while ! redis-cli -s "$sock" ping 2>/dev/null | grep -q PONG; do kill -0 $server || { cat server.log; exit 3; }; done
redis-benchmark -s "$sock" -n 3000 -c 10 -q -t set,get,incr,lpush,lpop,sadd,hset,mset -d 1000 > bench.log 2>&1
echo "benchmark $?"
redis-cli -s "$sock" flushall
seq 1 5000 | sed 's/.*/SET key:& value-&/' | redis-cli -s "$sock" --pipe > /dev/null
redis-cli -s "$sock" debug digest; redis-cli -s "$sock" bgsave
while [ "$(redis-cli -s "$sock" info persistence | tr -d '\r' | sed -n 's/^rdb_bgsave_in_progress://p')" != 0 ]; do :; done
redis-cli -s "$sock" info persistence | grep rdb_last_bgsave_status
redis-cli -s "$sock" debug reload; redis-cli -s "$sock" debug digest; redis-cli -s "$sock" dbsize
redis-cli -s "$sock" shutdown nosave; wait $server; echo "server $?"
'''


def stress(name, options):
    """A stress-ng run of a fixed amount of work; it checks its own memory and says what failed."""
    return Row(f"stress-ng-{name}", "stress-ng",
               f"$PRELOADED stress-ng {options} --verify --timeout 120 2>&1",
               keep=r"(successful run|unsuccessful|passed:|failed:|skipped:|fail:|error:).*", drop=(r" in .*", r"\[\d+\]"))


def python_tests(name, ignored=()):
    """Python's own tests of a module: the same ones fail, if any."""
    ignore = "".join(f" -i {test}" for test in ignored)
    return Row(f"python-{name}", "python3", f"$PRELOADED /usr/bin/python3 -m test -q{ignore} test_{name} 2>&1",
               keep=r"^((FAIL|ERROR): \w+|Ran \d+ tests|test \w+ (failed|crashed))|^Tests result: \w+", may_fail=True)


SHORT = [
    Row("python", "python3", f"cat > t.py <<'EOF'\n{PYTHON}\nEOF\nPYTHONHASHSEED=1 $PRELOADED /usr/bin/python3 t.py"),
    Row("perl", "perl", f"cat > t.pl <<'EOF'\n{PERL}\nEOF\nPERL_HASH_SEED=1 $PRELOADED perl t.pl"),
    Row("compiler", "gcc", "seq 1 400 | sed 's/.*/int f&(int x) { return x * & + (x >> 3); }/' > t.c\n"
        "$PRELOADED gcc -O2 -pipe -c t.c -o t.o && objdump -d t.o | cksum"),
    Row("pipeline", "gzip", "$PRELOADED seq 1 200000 | $PRELOADED sort -r -S 4M | $PRELOADED gzip -9n | "
        "$PRELOADED gzip -d | $PRELOADED sort -n -S 4M --parallel=2 | cksum"),
    Row("git", "git", GIT),
    Row("sqlite", "sqlite3", SQL),
]

LONG = [
    stress("vm", "--vm 2 --vm-bytes 32M --vm-ops 200 --vm-method all"),
    stress("mmap", "--mmap 2 --mmap-bytes 16M --mmap-ops 20"),
    stress("mremap", "--mremap 2 --mremap-bytes 16M --mremap-ops 30"),
    stress("mmapfork", "--mmapfork 1 --mmapfork-ops 5"),
    stress("munmap", "--munmap 1 --munmap-ops 3"),
    stress("malloc", "--malloc 2 --malloc-bytes 16M --malloc-ops 20000"),
    stress("brk", "--brk 1 --brk-ops 2000"),
    stress("bigheap", "--bigheap 1 --bigheap-growth 1M --bigheap-ops 500"),
    stress("stack", "--stack 1 --stack-ops 5"),
    stress("mprotect", "--mprotect 2 --mprotect-ops 2000"),
    stress("madvise", "--madvise 1 --madvise-ops 20"),
    # stress-ng's own mlock stressor locks until the machine has no memory left.
    Row("processes", "python3", f"cat > t.py <<'EOF'\n{PROCESSES}\nEOF\n$PRELOADED /usr/bin/python3 t.py"),
    Row("mlock", "python3", f"cat > t.py <<'EOF'\n{MLOCK}\nEOF\n$PRELOADED /usr/bin/python3 t.py"),
    stress("fork", "--fork 2 --fork-ops 300"),
    stress("vfork", "--vfork 1 --vfork-ops 300"),
    stress("clone", "--clone 1 --clone-ops 200"),
    stress("pthread", "--pthread 2 --pthread-ops 300"),
    stress("shm", "--shm-sysv 1 --shm-sysv-ops 20 --shm-sysv-bytes 8M"),
    stress("sigsegv", "--sigsegv 1 --sigsegv-ops 2000"),
    stress("userfaultfd", "--userfaultfd 1 --userfaultfd-ops 2000"),
    stress("memrate", "--memthrash 1 --memthrash-ops 20"),
    python_tests("mmap"),
    python_tests("threading"),
    # The two compare all descriptors of a child, and in this one the opener and the engine have theirs.
    python_tests("subprocess", ("test_close_fds_when_max_fd_is_lowered", "test_pass_fds_redirected")),
    Row("redis", "redis-server", REDIS, drop=(r"^OK.*AOF.*",)),
    *runtimes.ROWS,
]
