"""A headless Chromium that the tests of pages drive over a pipe, in its DevTools protocol."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",  # WebGL 2 without a graphics card
    "--enable-unsafe-swiftshader",
    "--remote-debugging-pipe",
)
PATIENCE_S = 60.0


def find_browser() -> str | None:
    """Return the path of a Chromium, if this machine has one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab; its console, its faults and what it asks of the network are kept."""

    def __init__(self, profile: Path, width: int = 1400, height: int = 1000) -> None:
        browser = find_browser()
        assert browser is not None
        self.events: list[dict[str, Any]] = []
        self._ids = itertools.count(1)
        self._buffer = b""
        flags = [*FLAGS, f"--user-data-dir={profile}", "about:blank"]
        ours, theirs = os.pipe(), os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (ours[0], theirs[1])]
        actions = [
            (os.POSIX_SPAWN_DUP2, ends[0], 3),  # where Chromium reads commands
            (os.POSIX_SPAWN_DUP2, ends[1], 4),  # and writes answers
            *((os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)),
        ]
        self._process = os.posix_spawn(browser, [browser, *flags], os.environ, file_actions=actions)
        for fd in (ours[0], theirs[1], *ends):
            os.close(fd)
        self._out, self._in = ours[1], theirs[0]
        self._session: str | None = None
        target = next(
            each["targetId"]
            for each in self.send("Target.getTargets")["targetInfos"]
            if each["type"] == "page"
        )
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        self.send("Browser.close")
        os.close(self._out)
        deadline = time.monotonic() + 10
        while os.waitpid(self._process, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self._process, signal.SIGKILL)
            time.sleep(0.05)
        os.close(self._in)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its answer; events on the way are kept."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def resize(self, width: int, height: int) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, path: Path) -> None:
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait(lambda: self.run("document.readyState") == "complete")

    def run(self, script: str) -> Any:
        """Return the value of an expression; a promise is waited for."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.faults()
            time.sleep(0.1)

    def click(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = "none" if kind == "mouseMoved" else "left"
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1)

    def picture(self, selector: str | None = None) -> bytes:
        """Return a PNG of the window, or of one element, which is scrolled to."""
        options: dict[str, Any] = {"format": "png"}
        if selector is not None:
            place = self.place(selector)
            top = self.run("window.scrollY")
            options["clip"] = {**place, "y": place["y"] + top, "scale": 1}
        return base64.b64decode(self.send("Page.captureScreenshot", **options)["data"])

    def place(self, selector: str) -> dict[str, float]:
        """Return where an element stands in the window, after it was scrolled to."""
        return self.run(
            f"(() => {{ const e = document.querySelector({selector!r});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect();"
            "return {x: b.x, y: b.y, width: b.width, height: b.height}; })()"
        )

    def faults(self) -> list[str]:
        """Return errors and warnings of the console, and faults that nobody caught."""
        self.run("0")  # takes in what is on the way
        found = []
        for event in self.events:
            values = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(json.dumps(values["exceptionDetails"])[:500])
            if event.get("method") == "Runtime.consoleAPICalled" and values["type"] in (
                "error",
                "warning",
                "assert",
            ):
                found.append(json.dumps(values["args"])[:500])
            # A driver's remarks on its speed come as warnings; they are no fault of the page.
            if event.get("method") == "Log.entryAdded" and values["entry"]["level"] == "error":
                found.append(values["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Return the addresses that the page asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], PATIENCE_S)
            chunk = os.read(self._in, 1 << 20) if ready else b""
            assert chunk, "the browser does not answer"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)
