"""A Chromium for the page's tests: from the PATH, or where `ops/setup/get-tools chromium` unpacks Debian's."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / "build/tools/usr/lib"
AXE = ROOT / "build/tools/axe/package/axe.min.js"
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser; skips, saying why, where there is none."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="SKIPPED: no playwright, so nobody tries the trading page"
    )
    unpacked = TOOLS / "chromium/chromium"
    program = str(unpacked) if unpacked.exists() else shutil.which("chromium")
    if program is None:
        pytest.skip("SKIPPED: no chromium, so nobody tries the trading page: ops/setup/get-tools chromium")
    environment: dict[str, str | float | bool] = dict(os.environ)
    if program == str(unpacked):
        libraries = sorted({str(found.parent) for found in TOOLS.glob("*-linux-gnu/**/*.so*")})
        environment["LD_LIBRARY_PATH"] = ":".join(libraries)
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(_ARGUMENTS), env=environment)
        try:
            yield browser
        finally:
            browser.close()


def axe() -> str:
    """The accessibility checker; skips, saying why, where there is none."""
    if not AXE.exists():
        pytest.skip("SKIPPED: no axe-core, so nobody judges the page's accessibility: ops/setup/get-tools axe")
    return AXE.read_text()
