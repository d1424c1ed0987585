"""A page in a headless Chromium, and what went wrong there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# It asks no other host for anything.
ALONE = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

PROBE_HEAD = """<script nonce="probe">
window.problems = [];
window.addEventListener("error", (e) => problems.push(String(e.message || e.target.src)), true);
window.addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));
for (const name of ["error", "warn"]) console[name] = (...all) => problems.push(all.join(" "));
</script>"""
PROBE_END = """<script nonce="probe">
window.addEventListener("load", async () => {
  for (const d of document.querySelectorAll("details")) d.open = true;
  const width = document.documentElement.clientWidth;
  const escapes = (e) => !e.closest(".scroll, pre, .highlight, .jp-OutputArea-child, math") &&
    e.getBoundingClientRect().right > width + 1 && getComputedStyle(e).position !== "absolute";
  const report = {
    width, problems,
    attacked: window.attacked || 0,
    images: document.images.length,
    unseen: [...document.images].filter((i) => i.src && !i.naturalWidth).length,
    scroll: document.documentElement.scrollWidth,
    wide: [...document.querySelectorAll("body *")].filter(escapes)
      .map((e) => e.outerHTML.slice(0, 99)),
  };
  parent.postMessage(JSON.stringify(report), "*");
});
</script>"""
# A window cannot be narrower than 500 pixels, a frame can.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<iframe src="{source}" style="width: {width}px; height: 800px; border: 0"></iframe>
<pre id="probe"></pre>
<script>
window.addEventListener("message", (e) => {{
  document.getElementById("probe").textContent = e.data;
}});
</script>"""


def probe(page: Path, width: int, profile: Path, dark: bool = False) -> dict:
    """Open a page in a headless Chromium that reaches no host; returns what the probe saw."""
    text = page.read_text(encoding="utf-8")
    text = text.replace("<head>", f"<head>{PROBE_HEAD}", 1).replace(
        "</body>", f"{PROBE_END}</body>"
    )
    # Beside the page's own policy only the probe may run: without it, nothing would.
    text = re.sub(r"script-src (?='sha256)", "script-src 'nonce-probe' ", text)
    if "script-src" not in text:
        text = text.replace("default-src 'none';", "default-src 'none'; script-src 'nonce-probe';")
    copy, frame = page.with_name("probe.html"), page.with_name("frame.html")
    copy.write_text(text, encoding="utf-8")
    frame.write_text(FRAME.format(source=copy.name, width=width), encoding="utf-8")
    command = [
        *(CHROMIUM, "--headless", *ALONE, "--hide-scrollbars"),
        *(f"--user-data-dir={profile}", "--window-size=1400,900", "--virtual-time-budget=20000"),
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        *("--dump-dom", frame.as_uri()),
    ]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=600)
    finally:
        copy.unlink()
        frame.unlink()
    found = re.search(r'<pre id="probe">(.+?)</pre>', result.stdout, re.DOTALL)
    assert found, f"the page did not finish: {result.stderr[-2000:]}"
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
