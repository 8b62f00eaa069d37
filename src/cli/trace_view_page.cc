#include "cli/trace_view_page.h"

namespace softxe::trace {

const char* const kViewPageHead = R"page(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>softxe trace</title>
<style>
:root { color-scheme: light dark; --back: #fcfcfb; --ink: #22262a; --soft: #6b7379; --line: #d9dcdf; --panel: #f1f2f2; }
@media (prefers-color-scheme: dark) {
  :root { --back: #17191b; --ink: #e4e6e8; --soft: #969da3; --line: #363b40; --panel: #202427; } }
body { margin: 0; height: 100vh; display: flex; flex-direction: column; background: var(--back); color: var(--ink); font: 14px/1.4 system-ui, sans-serif; }
header { padding: 8px 12px; border-bottom: 1px solid var(--line); display: flex; gap: 18px; flex-wrap: wrap; align-items: baseline; }
header b { font-size: 15px; } header span { color: var(--soft); }
#legend label { margin-right: 12px; white-space: nowrap; cursor: pointer; }
#legend i { display: inline-block; width: 10px; height: 10px; margin-right: 4px; }
main { display: grid; grid-template: minmax(0, 1fr) / minmax(0, 1fr) 380px; flex: 1; min-height: 0; }
#charts { position: relative; overflow: hidden; } canvas { display: block; width: 100%; }
#side { border-left: 1px solid var(--line); overflow: auto; padding: 10px 12px; background: var(--panel); }
#story { white-space: pre-wrap; font: 12px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
#tip { position: absolute; pointer-events: none; background: var(--panel); border: 1px solid var(--line); padding: 4px 8px;
  font: 12px/1.4 ui-monospace, monospace; max-width: 460px; display: none; white-space: pre-wrap; }
</style></head><body>
<header><b id="title"></b><span id="facts"></span><span id="legend"></span></header>
<main><div id="charts"><canvas id="pages"></canvas><canvas id="use"></canvas><div id="tip"></div></div>
<div id="side"><div id="story">Click a page to read its story. Wheel zooms, dragging moves, double click shows all.</div></div></main>
)page";

const char* const kViewPageScript = R"page(<script>
"use strict";
// --- data: one typed array per field (Packed in trace_view.cc) ---------------------------------------------------------
const RECORD = 56;
function unpack(text) {
  const raw = Uint8Array.from(atob(text), c => c.charCodeAt(0)), v = new DataView(raw.buffer), n = raw.length / RECORD | 0;
  const e = { n, time: new Float64Array(n), address: new Float64Array(n), size: new Float64Array(n), seq: new Uint32Array(n),
    parent: new Uint32Array(n), low: new Uint32Array(n), high: new Uint32Array(n), thread: new Uint32Array(n),
    process: new Uint16Array(n), err: new Uint16Array(n), kind: new Uint8Array(n), cause: new Uint8Array(n),
    from: new Uint8Array(n), to: new Uint8Array(n), asid: new Uint32Array(n) };
  for (let i = 0, o = 0; i < n; ++i, o += RECORD) {
    e.time[i] = v.getFloat64(o, true); e.address[i] = v.getFloat64(o + 8, true); e.size[i] = v.getFloat64(o + 16, true);
    e.seq[i] = v.getUint32(o + 24, true); e.parent[i] = v.getUint32(o + 28, true); e.low[i] = v.getUint32(o + 32, true);
    e.high[i] = v.getUint32(o + 36, true); e.thread[i] = v.getUint32(o + 40, true); e.process[i] = v.getUint16(o + 44, true);
    e.err[i] = v.getUint16(o + 46, true); e.kind[i] = raw[o + 48]; e.cause[i] = raw[o + 49]; e.from[i] = raw[o + 50];
    e.to[i] = raw[o + 51]; e.asid[i] = v.getUint32(o + 52, true);
  }
  return e;
}
const E = unpack(DATA), KIND = Object.fromEntries(FACTS.kinds.map((name, i) => [name, i]));
const hex = x => "0x" + x.toString(16);
const bytes = b => b >= 1073741824 && b % 1073741824 === 0 ? b / 1073741824 + "G" : b >= 1048576 && b % 1048576 === 0 ?
  b / 1048576 + "M" : b >= 1024 && b % 1024 === 0 ? b / 1024 + "K" : b + " B";
const place = p => p === 1 ? "system memory" : p >= 2 ? "VRAM of tile " + (p - 2) : "?";

// --- address axis: 2 MiB blocks that anything happened to, one after the other ------------------------------------------
const BLOCK = 2097152, PAGE = 4096;
const MARKS = { "fault": ["#d9822b", "GPU faults"], "cpu-fault": ["#8e4ec6", "CPU faults"], "eviction": ["#c2410c", "evictions"],
  "reset": ["#d6336c", "resets"], "unmap": ["#495057", "unmaps"], "range-die": ["#868e96", "ranges that die"] };
const PLACED = new Set(["migrate", "home", "fault", "cpu-fault", "reset", "range", "range-die"].map(k => KIND[k]));
const key = (process, block) => process * 4294967296 * 64 + block;
const rows = new Map();
{
  const found = new Map();
  for (let i = 0; i < E.n; ++i) {
    if (!PLACED.has(E.kind[i]) || E.size[i] === 0 || E.size[i] > 16 * BLOCK) continue;
    for (let b = Math.floor(E.address[i] / BLOCK); b * BLOCK < E.address[i] + E.size[i]; ++b)
      found.set(key(E.process[i], b), [E.process[i], b]);
  }
  [...found.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]).forEach(([p, b], i) => rows.set(key(p, b), { p, b, i }));
}
const ROWS = [...rows.values()];
const rowOf = (process, address) => {
  const row = rows.get(key(process, Math.floor(address / BLOCK)));
  return row === undefined ? -1 : row.i + (address % BLOCK) / BLOCK;
};

// --- where pages are: intervals in VRAM, from their move to their return or their end ---------------------------------------
const stays = [];  // row, rows, from, to, tile
const use = { time: [], vram: [] };
{
  const open = new Map();
  let vram = 0;
  const end = (p, at, size, time) => {
    for (const [k, s] of open) {
      if (s.p !== p || s.address >= at + size || at >= s.address + s.size) continue;
      s.left -= Math.min(s.left, Math.min(at + size, s.address + s.size) - Math.max(at, s.address));
      if (s.left <= 0) { s.to = time; open.delete(k); }
    }
  };
  const byStart = new Map();
  for (let i = 0; i < E.n; ++i) {
    const k = E.kind[i], t = E.time[i];
    if (k === KIND.migrate && E.err[i] === 0) {
      const s = { p: E.process[i], address: E.address[i], size: E.size[i], left: E.size[i], from: t, to: Infinity,
        row: rowOf(E.process[i], E.address[i]), tile: E.to[i] - 2 };
      stays.push(s); open.set(key(s.p, s.address / PAGE), s); vram += E.size[i];
    } else if (k === KIND.home || k === KIND["range-die"]) {
      const s = open.get(key(E.process[i], E.address[i] / PAGE));
      if (k === KIND.home) vram = Math.max(0, vram - E.size[i]);
      else if (s) vram = Math.max(0, vram - s.left);
      if (s && s.size <= E.size[i]) { s.to = t; s.left = 0; open.delete(key(s.p, s.address / PAGE)); }
      else if (open.size < 4096) end(E.process[i], E.address[i], E.size[i], t);
    } else continue;
    use.time.push(t); use.vram.push(vram);
  }
}
const LAST = E.n ? E.time[E.n - 1] : 1, FIRST = E.n ? E.time[0] : 0;
for (const s of stays) if (s.to === Infinity) s.to = LAST;

// --- view -------------------------------------------------------------------------------------------------------------------
const pages = document.getElementById("pages"), low = document.getElementById("use"), tip = document.getElementById("tip");
const shown = Object.fromEntries(Object.keys(MARKS).map(k => [k, true]));
let view = {};
const all = () => { view = { t0: FIRST, t1: Math.max(LAST, FIRST + 1), r0: 0, r1: Math.max(ROWS.length, 1) }; };
const X = t => (t - view.t0) / (view.t1 - view.t0) * pages.width, Y = r => (r - view.r0) / (view.r1 - view.r0) * pages.height;
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name);
const firstAt = t => { let a = 0, b = E.n; while (a < b) { const m = a + b >> 1; if (E.time[m] < t) a = m + 1; else b = m; } return a; };
const TILE = ["#2f7ed8", "#1ba39c", "#6a9f3f", "#b0892c"];

function draw() {
  const ratio = devicePixelRatio || 1, box = document.getElementById("charts").getBoundingClientRect();
  pages.width = low.width = Math.max(50, box.width * ratio);
  pages.height = Math.max(50, (box.height - 120) * ratio); low.height = 120 * ratio;
  pages.style.height = box.height - 120 + "px"; low.style.height = "120px";
  const c = pages.getContext("2d");
  c.fillStyle = css("--back"); c.fillRect(0, 0, pages.width, pages.height);
  c.fillStyle = css("--panel");
  for (let r = Math.floor(view.r0); r < view.r1; r += 2) c.fillRect(0, Y(r), pages.width, Math.max(1, Y(r + 1) - Y(r)));
  for (const s of stays) {
    if (s.row < 0 || s.to < view.t0 || s.from > view.t1 || s.row > view.r1 || s.row + s.size / BLOCK < view.r0) continue;
    c.fillStyle = TILE[s.tile % TILE.length];
    c.fillRect(X(s.from), Y(s.row), Math.max(1, X(s.to) - X(s.from)), Math.max(1, Y(s.row + s.size / BLOCK) - Y(s.row)));
  }
  drawMarks(c); drawUse();
  document.body.dataset.drawn = String(1 + Number(document.body.dataset.drawn || 0));
}
// An eviction is a way home.
const EVICTION = FACTS.causes.indexOf("eviction");
const markOf = i => E.kind[i] === KIND.home ? (E.cause[i] === EVICTION ? "eviction" : "") : FACTS.kinds[E.kind[i]];
// Marks go into bins of two pixels: however many events there are, a bin is drawn once per kind.
function drawMarks(c) {
  const bin = 2 * (devicePixelRatio || 1), wide = Math.ceil(pages.width / bin), high = Math.ceil(pages.height / bin);
  const colors = {}, seen = {};
  for (const k in MARKS) if (shown[k]) { colors[k] = MARKS[k][0]; seen[k] = new Uint8Array(wide * high); }
  for (let i = firstAt(view.t0), end = firstAt(view.t1 + 1e-9); i < end; ++i) {
    const mark = markOf(i), bins = seen[mark];
    if (bins === undefined) continue;
    const row = rowOf(E.process[i], E.address[i]);
    if (row < view.r0 || row > view.r1) continue;
    const x = Math.min(wide - 1, X(E.time[i]) / bin | 0), y = Math.min(high - 1, Y(row) / bin | 0), at = y * wide + x;
    if (bins[at]) continue;
    bins[at] = 1;
    c.fillStyle = colors[mark]; c.fillRect(x * bin - bin / 2, y * bin - bin / 2, bin * 2, bin * 2);
  }
}
function drawUse() {
  const c = low.getContext("2d"), W = low.width, H = low.height, ratio = devicePixelRatio || 1;
  c.fillStyle = css("--back"); c.fillRect(0, 0, W, H);
  c.strokeStyle = css("--line"); c.beginPath(); c.moveTo(0, .5); c.lineTo(W, .5); c.stroke();
  const columns = Math.ceil(W / (3 * ratio)), faults = new Float64Array(columns);
  for (let i = firstAt(view.t0), end = firstAt(view.t1); i < end; ++i)
    if (E.kind[i] === KIND.fault) faults[Math.min(columns - 1, X(E.time[i]) / (3 * ratio) | 0)]++;
  const most = Math.max(1, ...faults), seconds = (view.t1 - view.t0) / columns / 1e6;
  c.fillStyle = MARKS.fault[0] + "88";
  for (let x = 0; x < columns; ++x) c.fillRect(x * 3 * ratio, H - faults[x] / most * H * .8, 3 * ratio, H);
  let top = 1; for (const v of use.vram) if (v > top) top = v;
  c.strokeStyle = TILE[0]; c.lineWidth = 1.5 * ratio; c.beginPath();
  let y = H;
  for (let i = 0; i < use.time.length; ++i) {
    const x = X(use.time[i]); c.lineTo(x, y); y = H - use.vram[i] / top * H * .8; c.lineTo(x, y);
  }
  c.lineTo(W, y); c.stroke();
  c.fillStyle = css("--soft"); c.font = 12 * ratio + "px system-ui";
  c.fillText(`VRAM of migrated pages, up to ${(top / 1048576).toFixed(1)} MiB; GPU faults, up to ${Math.round(most / seconds)} per second`, 8 * ratio, 16 * ratio);
  c.fillText((view.t0 / 1e6).toFixed(6) + " s", 8 * ratio, H - 6 * ratio);
  const right = (view.t1 / 1e6).toFixed(6) + " s"; c.fillText(right, W - c.measureText(right).width - 8 * ratio, H - 6 * ratio);
}

// --- records and stories --------------------------------------------------------------------------------------------------------
function sentence(i) {
  const kind = FACTS.kinds[E.kind[i]], cause = FACTS.causes[E.cause[i]], at = E.address[i] || E.size[i] ? " " + hex(E.address[i]) +
    (E.size[i] ? "+" + bytes(E.size[i]) : "") : "";
  const way = E.to[i] ? ` from ${place(E.from[i])} to ${place(E.to[i])}` : "";
  return kind + (cause ? " (" + cause + ")" : "") + at + way + (E.err[i] ? " failed with errno " + E.err[i] : "");
}
const time = i => (E.time[i] / 1e6).toFixed(6);
const OWN = new Set(["bind-op", "advice", "fault", "fault-again", "migrate", "home", "range", "range-die", "range-collect",
  "range-remove", "reset", "vma-split", "vma-merge"].map(k => KIND[k]));
let bySeq = null;
function find(process, seq) {
  if (bySeq === null) { bySeq = new Map(); for (let i = 0; i < E.n; ++i) bySeq.set(E.process[i] * 4294967296 + E.seq[i], i); }
  return bySeq.get(process * 4294967296 + seq);
}
function story(process, address) {
  const lines = [];
  for (let i = E.n - 1; i >= 0 && lines.length < 400; --i) {
    if (E.process[i] !== process || !OWN.has(E.kind[i]) || address < E.address[i] || address >= E.address[i] + E.size[i]) continue;
    lines.push(time(i) + "  " + sentence(i));
    for (let p = find(process, E.parent[i]); p !== undefined; p = find(process, E.parent[p])) lines.push("    <- " + sentence(p));
  }
  const info = FACTS.processes[process] || {}, inside = (info.mappings || []).find(m => address >= m.start && address < m.start + m.size);
  return `page ${hex(address)}` + (info.pid ? ` of process ${info.pid}` : "") + (inside ? `, in ${inside.name}` : "") +
    "\nstory, newest first:\n" + (lines.join("\n") || "nothing was recorded");
}
const pointed = event => {
  const box = pages.getBoundingClientRect(), x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  const t = view.t0 + x * (view.t1 - view.t0), r = view.r0 + y * (view.r1 - view.r0), row = ROWS[Math.floor(r)];
  return { t, r, row, address: row ? row.b * BLOCK + Math.floor((r % 1) * BLOCK / PAGE) * PAGE : 0 };
};
function nearest(p) {
  const reach = (view.t1 - view.t0) / 150;
  let best = -1, least = Infinity;
  for (let i = firstAt(p.t - reach), end = firstAt(p.t + reach); i < end; ++i) {
    if (!PLACED.has(E.kind[i]) || E.process[i] !== p.row.p) continue;
    const row = rowOf(E.process[i], E.address[i]), far = Math.abs(E.time[i] - p.t) / reach + Math.max(0, Math.abs(row - p.r) - E.size[i] / BLOCK);
    if (far < least) { least = far; best = i; }
  }
  return best;
}
pages.addEventListener("mousemove", event => {
  const p = pointed(event);
  if (drag) { move(event); return; }
  const i = p.row ? nearest(p) : -1;
  tip.style.display = p.row ? "block" : "none";
  if (!p.row) return;
  tip.textContent = hex(p.address) + " at " + (p.t / 1e6).toFixed(6) + " s" + (i < 0 ? "" : "\n" + time(i) + " #" + E.seq[i] + " <- " + (E.parent[i] || "-") + " " + sentence(i));
  const box = pages.getBoundingClientRect();
  tip.style.left = Math.min(event.clientX - box.left + 14, box.width - 300) + "px"; tip.style.top = event.clientY - box.top + 14 + "px";
});
pages.addEventListener("mouseleave", () => { tip.style.display = "none"; });
let drag = null, moved = false;
pages.addEventListener("mousedown", event => { drag = { x: event.clientX, y: event.clientY, view: { ...view } }; moved = false; });
addEventListener("mouseup", event => {
  if (drag && !moved && event.target === pages) { const p = pointed(event); if (p.row) document.getElementById("story").textContent = story(p.row.p, p.address); }
  drag = null;
});
function move(event) {
  const box = pages.getBoundingClientRect(), v = drag.view, dt = (event.clientX - drag.x) / box.width * (v.t1 - v.t0), dr = (event.clientY - drag.y) / box.height * (v.r1 - v.r0);
  if (Math.abs(event.clientX - drag.x) + Math.abs(event.clientY - drag.y) > 3) moved = true;
  view = { t0: v.t0 - dt, t1: v.t1 - dt, r0: v.r0 - dr, r1: v.r1 - dr }; requestAnimationFrame(draw);
}
pages.addEventListener("wheel", event => {
  event.preventDefault();
  const p = pointed(event), f = Math.exp(event.deltaY / 400);
  if (!event.shiftKey) { view.t0 = p.t - (p.t - view.t0) * f; view.t1 = p.t + (view.t1 - p.t) * f; }
  if (event.shiftKey || event.ctrlKey) { view.r0 = p.r - (p.r - view.r0) * f; view.r1 = p.r + (view.r1 - p.r) * f; }
  requestAnimationFrame(draw);
}, { passive: false });
pages.addEventListener("dblclick", () => { all(); draw(); });
addEventListener("resize", draw);
document.getElementById("title").textContent = (FACTS.head.command || FACTS.head.scenarios || ["softxe"]).join(" ");
document.getElementById("facts").textContent = `${FACTS.events} events, ${ROWS.length} blocks of 2M` + (E.n < FACTS.events ? `, the first ${E.n} are drawn` : "") + (FACTS.cut_off ? "; " + FACTS.cut_off : "");
const legend = document.getElementById("legend");
for (const [k, [color, text]] of [["", [TILE[0], "in VRAM"]], ...Object.entries(MARKS)]) {
  const label = document.createElement("label"), dot = document.createElement("i");
  dot.style.background = color; label.append(dot, text); legend.append(label);
  if (k) label.addEventListener("click", () => { shown[k] = !shown[k]; label.style.opacity = shown[k] ? 1 : .4; draw(); });
}
all(); draw();
</script></body></html>
)page";

}  // namespace softxe::trace
