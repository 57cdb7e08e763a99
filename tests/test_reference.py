"""The pages of the helpers: all of the package, from its source alone."""

import re
import subprocess
import sys
from collections import Counter
from html import unescape
from pathlib import Path

import griffe

from helpers.publishing import source

BOOK = Path(__file__).parents[1] / "book"
OVERVIEW = (BOOK / "helpers.md").read_text(encoding="utf-8")
MODULES = list(source.modules())


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", OVERVIEW, re.DOTALL)[1]


def undocumented(module: griffe.Module) -> list[str]:
    """Public classes, functions and values without a word about them."""
    own = [m for m in module.members.values() if not m.is_alias and not m.is_module]
    own = [m for m in own if not m.name.startswith("_") and not excused(m)]
    return [m.name for m in own if not (source.comment(m) if m.is_attribute else m.docstring)]


def excused(member: griffe.Object) -> bool:
    """The settings of the extension are its own affair."""
    return member.is_attribute and member.path.startswith("helpers.publishing.")


def test_every_module_is_documented_on_one_page_and_in_the_overview():
    pages = "".join(page.read_text(encoding="utf-8") for page in BOOK.glob("helpers-*.md"))
    documented = Counter(re.findall(r"^\.\. documented:: (\S+)$", pages, re.MULTILINE))
    assert documented == Counter(module.path for module in MODULES)
    assert documented.keys() == set(re.findall(r"^## `(\S+)`$", pages, re.MULTILINE))
    mapped = set(re.findall(r"^- \{py:mod\}`~(\S+)`: ", OVERVIEW, re.MULTILINE))
    assert mapped == {path for path in documented if path.count(".") == 1}


def test_every_public_name_is_documented():
    assert {m.path: undocumented(m) for m in MODULES if undocumented(m)} == {}
    assert [m.path for m in MODULES if not m.docstring or not source.public(m)] == []


def test_a_name_without_a_docstring_is_found(tmp_path):
    text = '"""A module."""\n#: Said.\nX = 1\nY = 2\ndef f():\n    pass\ndef _g():\n    pass\n'
    (tmp_path / "careless.py").write_text(text)
    module = griffe.load("careless", search_paths=[tmp_path])
    assert undocumented(module) == ["Y", "f"]
    assert [what.name for what in source.public(module)] == ["X", "f"]


def test_the_example_prints_what_the_page_shows(capsys):
    exec(block("python"), {})
    assert capsys.readouterr().out == block("text")


def build(folder: Path, *modules: str) -> subprocess.CompletedProcess:
    """Build a page about `modules` into folder/out where torch, numpy and pandas are missing."""
    directives = "".join(f".. documented:: helpers.{module}\n" for module in modules)
    (folder / "index.md").write_text(f"# A page\n\n```{{eval-rst}}\n{directives}```\n")
    (folder / "conf.py").write_text(
        "extensions = ['myst_nb', 'helpers.publishing.reference']\nhtml_theme = 'basic'\n"
        "html_theme_options = {}\n"
    )
    script = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'numpy', 'pandas'])\n"
        "from sphinx.cmd.build import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "-q", "-W", str(folder), str(folder / "out")]
    return subprocess.run(command, capture_output=True, text=True)


def test_signatures_are_whole_and_names_are_links(tmp_path):
    built = build(tmp_path, "initializers", "born_dead", "configurations")
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    text = unescape(re.sub(r"<[^>]+>", "", page))
    for signature in (
        "initializers.variance(scheme: str | Scheme, fan_in: float, fan_out: float, *, "
        "sigma: float | None = None, gain: float | None = None) → float",
        "class initializers.Scheme(summary: str, fan: str | None = 'fan_in', gain: float = 1.0, ",
        "class born_dead.Bounds(low: float, high: float)",  # a NamedTuple
        "tests: int = 1000)",  # of a dataclass that inherits fields
        "born_dead.draw(widths: Sequence[int], scheme: str | initializers.Scheme, networks: int, "
        "*, generator: torch.Generator, **options) → Layers",
        "zeros: every weight zero",
    ):
        assert signature in text
    assert 'id="helpers.initializers.Scheme"' in page
    links = re.findall(r'href="#(helpers[^"]+)"[^>]*>(?:<code[^>]*>)?<span class="pre">', page)
    assert links.count("helpers.initializers.Scheme") > 5  # in signatures
    assert "helpers.born_dead.given_input" in links  # in a docstring
    assert "_draw_weight" not in text and "``" not in text


def test_an_unknown_module_is_named(tmp_path):
    built = build(tmp_path, "initialisers")
    assert built.returncode != 0
    assert "'helpers.initialisers' is no module of helpers, such as helpers.theory" in built.stderr
