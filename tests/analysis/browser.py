"""A headless Chromium over the WebDriver protocol, spoken with urllib: no package beside the browser and its driver."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which WebDriver names an element (W3C WebDriver, section 12)."""

ACCESSIBLE = """
const wrong = [];
const say = (what, e) => wrong.push(what + ': ' + e.outerHTML.slice(0, 80));
const every = (selector, check) => document.querySelectorAll(selector).forEach(check);
const label = (e) => e.labels && e.labels[0] ? e.labels[0].innerText : '';
const name = (e) => (e.getAttribute('aria-label') || e.innerText || e.textContent || label(e)).trim();
every('a[href], button, select', (e) => { if (!name(e)) say('no name', e); });
every('table', (e) => { if (!e.caption) say('no caption', e); });
every('th', (e) => { if (!e.scope) say('no scope', e); });
every('svg', (e) => { if (e.getAttribute('role') !== 'img' || !e.getAttribute('aria-label')) say('no label', e); });
if (!document.documentElement.lang) wrong.push('no language');
if (document.querySelectorAll('h1').length !== 1) wrong.push('not one h1');
if (!document.querySelector('main')) wrong.push('no main');
let level = 1;
every('h1, h2, h3, h4', (e) => { const own = +e.tagName[1]; if (own > level + 1) say('skips a level', e); level = own; });
const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
if (new Set(ids).size !== ids.length) wrong.push('an id twice');
return wrong;
"""
"""Script that lists what a screen reader would stumble over; [] where it finds nothing."""

FOCUSED = """
const e = document.activeElement;
return e.tagName + ':' + (e.innerText || e.name || '').trim().split('\\n')[0];
"""


def require_browser() -> None:
    """Skips with the reason where there is no browser, except in CI, where a missing one is a fault."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{', '.join(missing)} missing in CI; apt-get install -y chromium chromium-driver")
        pytest.skip(f"{', '.join(missing)} not installed; apt-get install -y chromium chromium-driver")


class Browser:
    """One session: what the tests need of a page."""

    def __init__(self, address: str) -> None:
        self.address = address
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
        ]  # fmt: skip
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": flags, "binary": shutil.which("chromium")},
                  "goog:loggingPrefs": {"browser": "ALL"}}  # fmt: skip
        self.session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            self.address + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the driver is on this machine
        try:
            with opener.open(request, timeout=120) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()[:400]}") from None

    def __getitem__(self, path: str) -> str:
        return f"/session/{self.session}{path}"

    def open(self, page: Path, *, fragment: str = "") -> None:
        self._call("POST", self["/url"], {"url": page.resolve().as_uri() + fragment})

    def script(self, code: str, *arguments: Any) -> Any:
        return self._call("POST", self["/execute/sync"], {"script": code, "args": list(arguments)})

    def resize(self, width: int, height: int) -> None:
        self._call("POST", self["/window/rect"], {"width": width, "height": height})

    def keys(self, text: str) -> None:
        """Types into whatever has the focus."""
        active = self._call("GET", self["/element/active"])[ELEMENT]
        self._call("POST", self[f"/element/{active}/value"], {"text": text})

    def focused(self) -> str:
        return self.script(FOCUSED)

    def complaints(self) -> list[str]:
        """What the page wrote to the browser's console as an error, failed loads included."""
        return [
            entry["message"] for entry in self._call("POST", self["/se/log"], {"type": "browser"}) if entry["level"] == "SEVERE"
        ]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", self["/screenshot"])))

    def close(self) -> None:
        self._call("DELETE", self[""])


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser on a free port of the driver's own choice."""
    require_browser()
    log = folder / "chromedriver.log"
    process = subprocess.Popen(
        ["chromedriver", "--port=0", "--allowed-ips=127.0.0.1"], stdout=log.open("w"), stderr=subprocess.STDOUT
    )
    try:
        deadline, address = time.monotonic() + 60, ""
        while not address and time.monotonic() < deadline and process.poll() is None:
            for line in log.read_text().splitlines():
                if "started successfully on port" in line:
                    address = f"http://127.0.0.1:{line.rstrip('.').split()[-1]}"
            time.sleep(0.05)
        assert address, f"chromedriver did not start: {log.read_text()[-400:]}"
        page = Browser(address)
        try:
            yield page
        finally:
            page.close()
    finally:
        process.terminate()
        process.wait(timeout=30)
