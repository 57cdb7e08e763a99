"""A notebook in JupyterLab, as a reader has it: opened, run, looked at, saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from conftest import ROOT, Lab
from nbformat import NotebookNode
from playwright.sync_api import Browser, ConsoleMessage, Page, Route

CHART = "application/vnd.vegalite.v5+json"
SCREENSHOTS = ROOT / "_build" / "screenshots" / "live"
TALLEST = 16_000  # pixels, a picture that Chromium takes
#: What JupyterLab says on its own account, and not about a notebook of ours.
ITS_OWN = ("Could not restore the debugger state",)  # when a kernel restarts
#: The extension that draws MyST: it names the references that lead out of a notebook, as errors.
MYST = "/lab/extensions/jupyterlab-myst/"
#: Milliseconds: for a notebook to appear, and for it to run to its end.
PATIENCE, RUN = 60_000, 300_000


@dataclass
class Notebook:
    """One notebook in a page of its own; what it asked elsewhere, and what it complained about."""

    page: Page
    path: Path
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def run_all(self) -> None:
        """Restart the kernel and run all cells, as the button does; wait for the end."""
        self.page.evaluate(
            "() => { window.ran = null; jupyterapp.commands.execute('notebook:restart-run-all')"
            ".then(done => window.ran = done, error => window.ran = String(error)) }"
        )
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.wait_for_function("window.ran !== null", timeout=RUN)
        ran = self.page.evaluate("window.ran")
        if ran is not True:
            outputs = [o for cell in self.saved().cells for o in cell.get("outputs", ())]
            errors = [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]
            raise AssertionError(f"not every cell ran ({ran}): {errors}")

    def saved(self) -> NotebookNode:
        """Save the notebook, and return what lies on the disk."""
        self.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
        return nbformat.read(self.path, as_version=4)

    def draws_its_charts(self, number: int) -> None:
        """There are so many charts, and something is seen in each."""
        drawn = """() => [...document.querySelectorAll('.jp-RenderedVegaLite')].map(chart => {
            const canvas = chart.querySelector('canvas');
            const size = canvas && [canvas.width, canvas.height];
            return Boolean(canvas && size[0] && size[1] && canvas.getContext('2d')
                .getImageData(0, 0, ...size).data.some((value, at) => at % 4 === 3 && value));
        })"""
        try:
            self.page.wait_for_function(f"({drawn})().every(seen => seen)", timeout=20_000)
        finally:
            seen = self.page.evaluate(drawn)
            assert seen == [True] * number, f"which of the {number} charts are seen: {seen}"

    def asks_no_other_host(self) -> None:
        assert not self.elsewhere, f"asked elsewhere: {self.elsewhere}"

    def complains_about_nothing(self) -> None:
        assert not self.complaints, f"in the console: {self.complaints}"

    def picture(self) -> None:
        """Leave a picture of the whole notebook, in parts where it is very tall."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        wide = self.page.viewport_size
        left = self.page.locator(".jp-WindowedPanel-inner").evaluate("e => e.scrollHeight")
        for part in range(-(-left // TALLEST)):
            # The panel is somewhat lower than the window.
            self.page.set_viewport_size({**wide, "height": min(left + 150, TALLEST)})
            self.page.locator(".jp-WindowedPanel-outer").evaluate(
                "(panel, top) => panel.scrollTo(0, top)", part * (TALLEST - 150)
            )
            left -= TALLEST - 150
            self.page.wait_for_timeout(300)  # the paint
            name = f"{self.path.stem}-{part + 1}.jpeg" if part else f"{self.path.stem}.jpeg"
            self.page.screenshot(path=SCREENSHOTS / name, quality=80, timeout=PATIENCE)
        self.page.set_viewport_size(wide)


@contextmanager
def opened(browser: Browser, lab: Lab, name: str, width: int = 1280) -> Iterator[Notebook]:
    """Open the notebook in a fresh workspace and wait for its kernel; end the kernel afterwards."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.set_default_timeout(PATIENCE)
    notebook = Notebook(context.new_page(), lab.folder / name)

    def guard(route: Route) -> None:
        if route.request.url.startswith((f"{lab.url}/", "data:", "blob:")):
            route.continue_()
        else:
            notebook.elsewhere.append(route.request.url)
            route.abort()

    def hear(said: ConsoleMessage) -> None:
        its_own = MYST in said.location["url"] or said.text.startswith(ITS_OWN)
        if said.type == "error" and not its_own:
            notebook.complaints.append(f"{said.text} ({said.location['url']})")

    context.route("**/*", guard)
    notebook.page.on("console", hear)
    notebook.page.on("pageerror", lambda error: notebook.complaints.append(str(error)))
    try:
        notebook.page.goto(f"{lab.url}/lab/tree/{name}?reset")
        notebook.page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for()
        notebook.page.wait_for_function(
            "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )
        yield notebook
    finally:
        context.close()
        lab.shut_down_kernels()
