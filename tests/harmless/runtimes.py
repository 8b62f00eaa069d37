"""Programs of the long list that bring a world of their own: allocators, virtual machines, browsers, servers.

Rows as in programs.py.
"""
from rows import Row

ALLOCATED = r'''
import hashlib, os, random, subprocess, threading
random.seed(7)
def churn(seed, out):
    rng, live = random.Random(seed), {}
    for step in range(30000):
        key = rng.randrange(500)
        live[key] = bytearray(b"%d" % (seed + step)) * rng.choice((1, 7, 100, 3000, 40000))
        if key % 5 == 0: live.pop(rng.choice(list(live)))
    out[seed] = hashlib.sha256(b"".join(bytes(live[key]) for key in sorted(live))).hexdigest()
for turn in range(2):
    out = {}
    threads = [threading.Thread(target=churn, args=(seed, out)) for seed in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(sorted(out.items()))
    pid = os.fork()
    if pid == 0:
        churn(99, out)
        os._exit(int(out[99][:2], 16))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), subprocess.check_output(["/bin/echo", "child"]))
big = [bytearray(os.urandom(1)) * (1 << 20) for _ in range(100)]
big = [bytearray(b"x") * (3 << 20) for _ in range(30)]
print(sum(map(len, big)), len({b[-1] for b in big}))
'''

JAVA = r'''
import java.io.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*; import java.security.*;
import java.util.*; import java.util.concurrent.*; import java.util.zip.*;
public class T {
  static String hex(byte[] b) { StringBuilder s = new StringBuilder(); for (byte x : b) s.append(String.format("%02x", x)); return s.toString(); }
  static long work(int seed) {
    Map<Integer, byte[]> m = new HashMap<>(); Random r = new Random(seed); long sum = 0;
    for (int i = 0; i < 60000; i++) { byte[] b = new byte[r.nextInt(2000)]; if (b.length > 0) b[b.length / 2] = (byte) i; m.put(r.nextInt(3000), b); }
    for (byte[] b : m.values()) for (byte x : b) sum += x * 31L + 1;
    return sum;
  }
  public static void main(String[] a) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(6); List<Future<Long>> f = new ArrayList<>();
    for (int i = 0; i < 12; i++) { int s = i; f.add(pool.submit(() -> work(s))); }
    for (Future<Long> x : f) System.out.println(x.get());
    pool.shutdown();
    ByteBuffer d = ByteBuffer.allocateDirect(20 << 20); for (int i = 0; i < d.capacity(); i += 8) d.putLong(i, i * 7919L);
    MessageDigest h = MessageDigest.getInstance("SHA-256"); h.update(d); System.out.println(hex(h.digest()));
    Path p = Path.of("data.bin");
    try (FileChannel c = FileChannel.open(p, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      MappedByteBuffer m = c.map(FileChannel.MapMode.READ_WRITE, 0, 4 << 20); for (int i = 0; i < m.capacity(); i += 4) m.putInt(i, i); m.force(); }
    CRC32 crc = new CRC32(); crc.update(Files.readAllBytes(p)); System.out.println(crc.getValue());
    Process q = new ProcessBuilder("/bin/sh", "-c", "echo from a child; exit 4").redirectErrorStream(true).start();
    System.out.print(new String(q.getInputStream().readAllBytes())); System.out.println(q.waitFor());
    try { Object[] o = null; System.out.println(o[1]); } catch (NullPointerException e) { System.out.println("null pointer"); }
    try { recurse(0); } catch (StackOverflowError e) { System.out.println("stack overflow"); }
    List<byte[]> keep = new ArrayList<>(); try { for (;;) keep.add(new byte[8 << 20]); } catch (OutOfMemoryError e) { keep.clear(); System.out.println("out of memory"); }
    System.gc(); System.out.println(work(77));
  }
  static int recurse(int n) { return n > 1 << 30 ? n : recurse(n + 1) + 1; }
}
'''


def java(collector):
    return Row(f"java-{collector}", "javac",
               f"cat > T.java <<'EOF'\n{JAVA}\nEOF\njavac T.java && $PRELOADED java -XX:+Use{collector} -Xmx256m -Xshare:off T")


NODE = r'''
const crypto = require('crypto'), zlib = require('zlib'), { execFileSync, spawnSync } = require('child_process');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads'), fs = require('fs');
const hash = b => crypto.createHash('sha256').update(b).digest('hex');
function work(seed) {
  const m = new Map(); let x = seed;
  for (let i = 0; i < 200000; i++) { x = (x * 1103515245 + 12345) & 0x7fffffff; m.set(x % 5000, 'v'.repeat(x % 60) + i); }
  return hash([...m.entries()].map(e => e.join('=')).join(','));
}
if (!isMainThread) { parentPort.postMessage(work(workerData)); } else (async () => {
  const results = await Promise.all([1, 2, 3].map(s => new Promise((ok, no) => {
    const w = new Worker(__filename, { workerData: s }); w.on('message', ok); w.on('error', no); })));
  console.log(results.join('\n'));
  const big = Buffer.alloc(24 << 20); for (let i = 0; i < big.length; i += 97) big[i] = i;
  console.log(hash(zlib.gunzipSync(zlib.gzipSync(big))), hash(big));
  const shared = new Int32Array(new SharedArrayBuffer(1 << 20)); for (let i = 0; i < 1000; i++) Atomics.add(shared, i % 7, i);
  console.log(shared.slice(0, 7).join());
  const wasm = new WebAssembly.Memory({ initial: 16, maximum: 600 }); new Uint8Array(wasm.buffer).fill(3); wasm.grow(256);
  console.log(hash(Buffer.from(wasm.buffer)));
  console.log(execFileSync('/bin/echo', ['from a child']).toString(), spawnSync('/bin/sh', ['-c', 'exit 7']).status);
  fs.writeFileSync('f', big); console.log(hash(fs.readFileSync('f')));
  let deep = 0; try { (function f() { deep++; f(); })(); } catch (e) { console.log(e instanceof RangeError); }
  console.log(await new Promise(ok => crypto.pbkdf2('a', 'b', 20000, 32, 'sha256', (e, k) => ok(k.toString('hex')))));
})();
'''

GO = r'''
package main
// #include <stdlib.h>
// #include <string.h>
// static unsigned sum(unsigned char *p, size_t n) { unsigned s = 0; while (n--) s = s * 31 + *p++; return s; }
import "C"
import ("bytes"; "compress/gzip"; "crypto/sha256"; "fmt"; "io"; "os"; "os/exec"; "os/signal"; "runtime"; "runtime/debug"; "sync"; "syscall"; "unsafe")
func work(seed int) [32]byte {
  m := map[int][]byte{}; x := seed
  for i := 0; i < 60000; i++ { x = (x*1103515245 + 12345) & 0x7fffffff; b := make([]byte, x%4000+1); b[len(b)/2] = byte(i); m[x%700] = b }
  h := sha256.New(); for i := 0; i < 700; i++ { h.Write(m[i]) }
  var r [32]byte; copy(r[:], h.Sum(nil)); return r
}
func faults() (s string) { defer func() { s = fmt.Sprint(recover()) }(); var p *int; *p = 1; return }
func main() {
  debug.SetGCPercent(20)
  out := make([][32]byte, 8); var wg sync.WaitGroup
  for i := range out { wg.Add(1); go func(i int) { defer wg.Done(); out[i] = work(i); p := C.malloc(3 << 20); C.memset(p, C.int(i), 3<<20); out[i][0] ^= byte(C.sum((*C.uchar)(p), 3<<20)); C.free(p) }(i) }
  wg.Wait(); for _, o := range out { fmt.Printf("%x\n", o) }
  runtime.GC(); debug.FreeOSMemory()
  big := make([]byte, 32<<20); for i := 0; i < len(big); i += 97 { big[i] = byte(i) }
  var z bytes.Buffer; w := gzip.NewWriter(&z); w.Write(big); w.Close(); r, _ := gzip.NewReader(&z); back, _ := io.ReadAll(r)
  fmt.Println(bytes.Equal(big, back), sha256.Sum256(back))
  o, err := exec.Command("/bin/sh", "-c", "echo child; exit 3").Output(); fmt.Println(string(o), err)
  fmt.Println(faults())
  c := make(chan os.Signal, 1); signal.Notify(c, syscall.SIGUSR1); syscall.Kill(os.Getpid(), syscall.SIGUSR1); fmt.Println(<-c)
  m, _ := syscall.Mmap(-1, 0, 4<<20, 3, syscall.MAP_ANON|syscall.MAP_PRIVATE); for i := range m { m[i] = byte(i) }
  syscall.Madvise(m[:2<<20], syscall.MADV_DONTNEED); fmt.Println(sha256.Sum256(m)); syscall.Munmap(m)
  _ = unsafe.Pointer(nil)
}
'''

PAGE = r'''
<!doctype html><title>before</title><body><p id=p>nothing</p><canvas id=c width=64 height=64></canvas><script>
const table = {}; for (let i = 0; i < 50000; i++) table['k' + i * 7919 % 10007] = i;
const c = document.getElementById('c').getContext('2d'); c.fillStyle = '#f80'; c.fillRect(3, 3, 40, 40);
const px = c.getImageData(0, 0, 64, 64).data; let sum = 0; for (const v of px) sum += v;
const buffer = new Uint32Array(1 << 20); for (let i = 0; i < buffer.length; i++) buffer[i] = i * 2654435761;
let x = 0; for (const v of buffer) x ^= v;
document.getElementById('p').textContent = Object.keys(table).length + ' ' + sum + ' ' + x; document.title = 'after';
</script>
'''

POSTGRES = r'''
bin=/usr/lib/postgresql/15/bin; sock=$PWD/s; mkdir "$sock"
$PRELOADED $bin/initdb -D data -A trust -N -E UTF8 --locale=C > initdb.log 2>&1 || { cat initdb.log; exit 3; }
$PRELOADED $bin/postgres -D data -k "$sock" -h '' -c shared_buffers=32MB > server.log 2>&1 & server=$!
while ! $bin/pg_isready -q -h "$sock"; do kill -0 $server || { cat server.log; exit 4; }; done
export PGHOST=$sock PGDATABASE=postgres
bench() { $PRELOADED $bin/pgbench "$@" > bench.log 2>&1 || cat bench.log; grep -e 'number of transactions actually' -e 'failed tr' bench.log; }
bench -i -s 1; bench -n -c 4 -j 2 -t 60; bench -n -S -c 4 -j 2 -t 200
$bin/psql -AtXc 'select count(*), sum(bid) from pgbench_accounts; select count(*) from pgbench_history'
$bin/psql -AtXc 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)'
$bin/psql -AtXc "set max_parallel_workers_per_gather=2; set min_parallel_table_scan_size=0; set parallel_setup_cost=0;
  select md5(string_agg(aid::text, ',' order by aid desc)) from pgbench_accounts where aid % 7 = 3" | tail -n 1
$bin/psql -AtXc 'vacuum full'; $bin/pg_ctl -D data -m fast -w stop > /dev/null; wait $server; echo "server $?"; grep -c PANIC server.log; $bin/pg_controldata data | grep 'cluster state'
'''

FFMPEG = r'''
src='-f lavfi -i testsrc2=size=320x240:rate=25:duration=1.5 -f lavfi -i sine=frequency=440:duration=1.5'
for how in "-c:v libx264 -threads 2 -preset fast" "-c:v mpeg4 -threads 2 -slices 2" "-c:v ffv1 -threads 2 -slices 4" \
           "-c:v libvpx-vp9 -threads 2 -cpu-used 8" "-vf scale=640:-1,hue=s=0,unsharp -c:v mjpeg -threads 2"; do
  $PRELOADED ffmpeg -nostdin -v error -fflags +bitexact $src $how -c:a flac -flags +bitexact -f framemd5 - | cksum
done
$PRELOADED ffmpeg -nostdin -v error -fflags +bitexact $src -c:v libx264 -threads 2 -flags +bitexact -y a.mkv && $PRELOADED ffmpeg -nostdin -v error -i a.mkv -f framemd5 - | cksum
'''

ROWS = [
    *(Row(f"{name}-{place}", f"/usr/lib/x86_64-linux-gnu/{library}",
          f"cat > t.py <<'EOF'\n{ALLOCATED}\nEOF\nPYTHONHASHSEED=1 PYTHONMALLOC=malloc $PRELOADED sh -c "
          f"'LD_PRELOAD={order} exec \"$@\"' sh /usr/bin/python3 t.py")
      for name, library in (("jemalloc", "libjemalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4"),
                            ("mimalloc", "libmimalloc.so.2"))
      for place, order in (("in-front", f"{library}:$LD_PRELOAD"), ("behind", f"$LD_PRELOAD:{library}"))),
    *(java(collector) for collector in ("SerialGC", "G1GC", "ZGC")),
    Row("node", "node", f"cat > t.js <<'EOF'\n{NODE}\nEOF\n$PRELOADED node t.js"),
    Row("go", "go", f"cat > t.go <<'EOF'\n{GO}\nEOF\nexport GOCACHE=/tmp/softxe-harmless-go GOFLAGS=-p=1 HOME=$PWD\n"
        "CGO_ENABLED=1 go build -o t t.go && $PRELOADED ./t"),
    # With its zygote processes it checks that it has one thread, and the engine's are more (docs/DEVIATIONS.md).
    Row("chromium", "chromium", f"cat > page.html <<'EOF'\n{PAGE}\nEOF\nHOME=$PWD $PRELOADED chromium --headless --no-sandbox "
        "--no-zygote --disable-gpu --disable-dev-shm-usage --user-data-dir=$PWD/profile --dump-dom file://$PWD/page.html "
        "2>/dev/null", keep=r"<title>.*|<p id.*?</p>"),
    Row("postgres", "/usr/lib/postgresql/15/bin/postgres", POSTGRES, as_nobody=True),
    Row("ffmpeg", "ffmpeg", FFMPEG),
]
