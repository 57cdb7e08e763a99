"""What `probes.js` measures in a page."""

from pathlib import Path

from playwright.sync_api import Page

SCRIPT = Path(__file__).with_name("probes.js").read_text(encoding="utf-8")


def prepare(page: Page) -> None:
    """Give the page its `probes`. No policy of the page's own forbids that."""
    page.evaluate(SCRIPT)


def find_nothing(page: Page, *names: str) -> None:
    """Fail with every sentence that the probes called `names` return."""
    prepare(page)
    found = [wrong for name in names for wrong in page.evaluate(f"probes.{name}()")]
    assert not found, "\n".join(found)
