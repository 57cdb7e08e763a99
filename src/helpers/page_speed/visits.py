"""One visit of one page by Chromium, with nothing kept from before: what came, and how soon."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from helpers.page_speed.serving import CDN

FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run "
    # Frames as soon as they are ready, not sixty a second: a wait for the next one is no latency.
    "--disable-frame-rate-limit --disable-gpu-vsync"
).split()
#: No page waits longer than this, in milliseconds.
PATIENCE = 180_000


@dataclass(frozen=True)
class Condition:
    """A reader's device and connection.

    ``slowdown`` divides the speed of the processor; ``megabits`` a second and ``delay`` in
    milliseconds are those of the connection, None for that of this machine to itself.
    """

    name: str
    width: int
    height: int
    slowdown: int = 1
    megabits: float | None = None
    delay: float = 0


CONDITIONS = (
    Condition("desktop", 1280, 900),
    Condition("phone", 360, 780, slowdown=4, megabits=10, delay=40),
)


def chromium() -> str:
    """Return the path of the browser; raises ValueError, telling how to get one, without."""
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    for name in filter(None, names):
        if path := shutil.which(name):
            return path
    raise ValueError(
        "no browser found: install Chromium (Debian: apt-get install chromium) or set CHROMIUM to "
        "the path of one."
    )


def playwright() -> Callable[[], Any]:
    """Return what starts Playwright; raises ValueError, telling how to get it, without."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise ValueError(
            "the package playwright is missing, which drives the browser: run this by "
            "`make bench`, or install the extra [test]."
        ) from None
    return sync_playwright


@contextmanager
def browser(server: str) -> Iterator[Any]:
    """A browser that reaches ``server`` alone (host and port), also by the CDN's name."""
    rules = f"MAP {CDN} {server}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with playwright()() as driver:
        opened = driver.chromium.launch(
            executable_path=chromium(), args=[*FLAGS, f"--host-resolver-rules={rules}"]
        )
        yield opened
        opened.close()


def visit(browser: Any, address: str, condition: Condition, moves: int) -> dict[str, Any]:
    """Open a page, see its first chart live, move its first slider so often.

    Returns ``requests``, ``elsewhere`` (of them, to other hosts), ``failed`` (addresses that gave
    nothing), ``files`` (bytes by address), ``first_paint`` and ``live`` (milliseconds from the
    start of the navigation), ``drawn`` and ``shown`` (milliseconds of each move of the slider).
    What a page doesn't have is None.
    """
    context = browser.new_context(
        viewport={"width": condition.width, "height": condition.height},
        reduced_motion="reduce",  # or what moves by itself would be taken for an answer
    )
    context.set_default_timeout(PATIENCE)
    context.add_init_script(files("helpers.page_speed").joinpath("browser.js").read_text("utf-8"))
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    traffic = _Traffic(devtools)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": condition.slowdown})
    if condition.megabits is not None:
        speed = condition.megabits * 1e6 / 8
        limits = {"downloadThroughput": speed, "uploadThroughput": speed}
        limits |= {"latency": condition.delay, "offline": False}
        devtools.send("Network.emulateNetworkConditions", limits)
    try:
        page.goto(address, wait_until="load")
        page.wait_for_function("!pageSpeed.hasChart() || pageSpeed.live !== null")
        page.wait_for_function("pageSpeed.settled()")
        traffic.wait_for_silence(page)
        loaded = page.evaluate("({ live: pageSpeed.live, first_paint: pageSpeed.firstPaint() })")
        loaded |= {"files": traffic.files(), "failed": traffic.failed()}
        moved = page.evaluate("moves => pageSpeed.moveSlider(moves)", moves)
    finally:
        context.close()
    home, asked = urlsplit(address).netloc, traffic.asked.values()
    return {
        "requests": len(asked),
        "elsewhere": sum(urlsplit(url).netloc != home for url in asked),
        **loaded,
        "drawn": moved and moved["drawn"],
        "shown": moved and moved["shown"],
    }


class _Traffic:
    """What a page asks of hosts, and what it gets, by the numbers that the browser gives."""

    def __init__(self, devtools: Any) -> None:
        self.asked: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._refused: set[str] = set()
        devtools.on("Network.requestWillBeSent", self._ask)
        devtools.on("Network.responseReceived", self._hear)
        devtools.on("Network.loadingFinished", self._get)
        devtools.on("Network.loadingFailed", lambda event: self._refused.add(event["requestId"]))
        devtools.send("Network.enable")

    def _ask(self, event: dict) -> None:
        url = event["request"]["url"]
        # The icon that no page names is the browser's own wish.
        if url.startswith(("http:", "https:")) and urlsplit(url).path != "/favicon.ico":
            self.asked[event["requestId"]] = url

    def _hear(self, event: dict) -> None:
        if event["response"]["status"] >= 400:
            self._refused.add(event["requestId"])

    def _get(self, event: dict) -> None:
        self._sizes[event["requestId"]] = event["encodedDataLength"]

    def wait_for_silence(self, page: Any, seconds: float = 0.5) -> None:
        """Wait until every request is answered and none was added for so long."""
        for _ in range(100):
            known = set(self.asked)
            page.wait_for_timeout(1000 * seconds)
            if known == set(self.asked) == known & (set(self._sizes) | self._refused):
                return

    def files(self) -> dict[str, int]:
        """Bytes by address, as they came, headers included."""
        return {url: self._sizes[key] for key, url in self.asked.items() if key in self._sizes}

    def failed(self) -> list[str]:
        """Addresses that gave nothing."""
        gave = set(self._sizes) - self._refused
        return [url for key, url in self.asked.items() if key not in gave]
