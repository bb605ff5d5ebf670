"""A real browser: runs Chromium on a page, and measures the page at every width."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

MEASURE = """<!doctype html><body><script>
const widths = [320, 390, 820, 1280];
let left = widths.length, found = {};
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px";
  frame.style.height = "900px";
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement;
    const images = [...page.images];
    found[width] = {
      overflow: root.scrollWidth - root.clientWidth,
      images: images.length,
      broken: images.filter(image => !image.complete || !image.naturalWidth).length,
      beyond: [...page.body.querySelectorAll("*")].filter(x => !x.closest(".scroll, svg")
        && x.getBoundingClientRect().right > root.clientWidth + 1)
        .map(x => x.outerHTML.slice(0, 90)),
      requests: frame.contentWindow.performance.getEntriesByType("resource")
        .filter(entry => !entry.name.startsWith("data:")).length,
    };
    if (--left === 0) {
      const result = document.createElement("pre");
      result.id = "found";
      result.textContent = JSON.stringify(found);
      document.body.append(result);
    }
  };
  frame.src = "REPORT";
  document.body.append(frame);
}
</script>"""

Chromium = Callable[..., str]


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., str]:
    """Run headless Chromium on a page and return what it prints."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")

    def run(page: Path, *flags: str) -> str:
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [program, *FLAGS, profile, *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
        return done.stdout

    return run


@pytest.fixture
def measured(chromium: Chromium, tmp_path: Path) -> Callable[[Path], dict[str, dict[str, Any]]]:
    """Return what a page is like at four widths: too wide, broken pictures, requests."""

    def measure(page: Path) -> dict[str, dict[str, Any]]:
        frame = tmp_path / "measure.html"
        frame.write_text(MEASURE.replace("REPORT", page.as_uri()))
        shown = chromium(
            frame, "--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom"
        )
        match = re.search(r'<pre id="found">(.*?)</pre>', shown)
        assert match, shown[-500:]
        found: dict[str, dict[str, Any]] = json.loads(html.unescape(match[1]))
        assert list(found) == ["320", "390", "820", "1280"]
        return found

    return measure
