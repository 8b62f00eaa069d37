#!/usr/bin/env python3
"""Loads the page of `softxe view` in headless Chromium: zooms, clicks a page, reads the story.

  page.py SOFTXE FOLDER_OF_THIS_FILE SCRATCH       status 77 where there is no Chromium
  page.py SOFTXE FOLDER_OF_THIS_FILE SCRATCH --pictures EXAMPLES
                                                   pages and screenshots of three runs instead (make pictures)
"""
import html
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOFTXE, HERE, SCRATCH = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])

# What a hand would do. The page knows nothing of it: it is put behind the page's end in a copy.
HAND = """<script>
const canvas = document.getElementById("pages"), box = canvas.getBoundingClientRect();
const at = (x, y) => ({ clientX: box.left + box.width * x, clientY: box.top + box.height * y, bubbles: true, cancelable: true });
const before = view.t1 - view.t0;
canvas.dispatchEvent(new WheelEvent("wheel", { ...at(.5, .5), deltaY: -400 }));
const zoomed = view.t1 - view.t0 < before;
canvas.dispatchEvent(new MouseEvent("dblclick", at(.5, .5)));
const row = ROWS.findIndex(r => r.b * BLOCK === 0x10200000);
canvas.dispatchEvent(new MouseEvent("mousemove", at(.5, (row + .1) / ROWS.length)));
canvas.dispatchEvent(new MouseEvent("mousedown", at(.5, (row + .1) / ROWS.length)));
canvas.dispatchEvent(new MouseEvent("mouseup", at(.5, (row + .1) / ROWS.length)));
const said = document.createElement("pre");
said.id = "said";
said.textContent = JSON.stringify({ zoomed, drawn: document.body.dataset.drawn, tip: tip.textContent, events: E.n, stays: stays.length });
document.body.append(said);
</script>"""


def chromium(*words):
    program = shutil.which("chromium")
    if program is None:
        print("skipped: there is no chromium")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as profile:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
                   "--virtual-time-budget=5000", "--window-size=1400,800", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=200, env={**os.environ, "HOME": profile})


def make_page(trace, page):
    done = subprocess.run([SOFTXE, "view", trace, "-o", page], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)


def check():
    trace, page = SCRATCH / "story.sxt", SCRATCH / "story.html"
    subprocess.run([SOFTXE, "scenario", "--trace", trace, HERE / "story.softxe"], check=True, capture_output=True)
    make_page(trace, page)
    copy = SCRATCH / "story_used.html"
    copy.write_text(page.read_text() + HAND)
    shown = chromium("--dump-dom", copy.as_uri())
    story = re.search(r'<div id="story">(.*?)</div>', shown.stdout, re.S)
    said = re.search(r'<pre id="said">(.*?)</pre>', shown.stdout, re.S)
    if not story or not said:
        sys.exit(f"the page's script did not run\n{shown.stdout[-2000:]}\n{shown.stderr[-2000:]}")
    text = html.unescape(story.group(1))
    for wanted in ("page 0x10232000", "reset 0x10200000+2M", "<- range-die (whole) 0x10200000+2M", "<- call 0x10200000+4M"):
        if wanted not in text:
            sys.exit(f"the story does not say '{wanted}':\n{text}")
    facts = html.unescape(said.group(1))
    if '"zoomed":true' not in facts or "0x10232000 at" not in facts:
        sys.exit(f"the page did not zoom, or shows no record: {facts}")
    print(facts)


def pictures(examples):
    runs = {"madvise_reset": ["run"], "svm_stores": ["run", "--vram", "8M"], "saxpy": ["run"]}
    for name, command in runs.items():
        trace, page = SCRATCH / f"{name}.sxt", SCRATCH / f"{name}.html"
        subprocess.run([SOFTXE, *command, "--trace", trace, "--", examples / name], check=True, capture_output=True)
        make_page(trace, page)
        picture = SCRATCH / f"{name}.png"
        chromium(f"--screenshot={picture}", page.as_uri())
        if not picture.exists():
            sys.exit(f"no picture of {page}")
        print(page, picture)


SCRATCH.mkdir(parents=True, exist_ok=True)
if sys.argv[4:5] == ["--pictures"]:
    pictures(pathlib.Path(sys.argv[5]))
else:
    check()
