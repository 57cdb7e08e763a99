"""The files around the book: they parse, agree with each other, and name what exists."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCUMENTS = ["README.md", "CONTRIBUTING.md"]


def text(name):
    return (ROOT / name).read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow(path):
    lines = re.findall(r"uses: (.*)", path.read_text())
    assert lines
    for line in lines:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    writing = [name for name, job in workflow["jobs"].items() if "permissions" in job]
    assert writing == (["deploy"] if path.stem == "pages" else [])
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_one_version_of_an_action():
    pins = {line for path in WORKFLOWS for line in re.findall(r"uses: (.*)", path.read_text())}
    assert len({pin.split("@")[0] for pin in pins}) == len(pins)


def test_commands_that_are_named_exist():
    targets = set(re.findall(r"^([\w-]+):", text("Makefile"), re.MULTILINE))
    pages = [text(name) for name in DOCUMENTS] + [path.read_text() for path in WORKFLOWS]
    # A command stands in backticks, in an indented line, or behind `run:`.
    commands = re.findall(r"(?:`|^ {4}|run: )make ([^`#\n]+)", "\n".join(pages), re.MULTILINE)
    named = {word for command in commands for word in command.split() if "=" not in word}
    assert {"book", "test", "test-browser", "links"} <= named <= targets


def test_readme_is_one_screen_with_a_picture():
    readme = text("README.md")
    assert len(readme.splitlines()) <= 70
    for target in re.findall(r'src="(\S+)"|\]\(([\w./-]+)\)', readme):
        assert (ROOT / "".join(target)).exists(), target
    assert "make book" in readme and "make test" in readme and "TODO" not in readme


def test_one_address_everywhere():
    address = yaml.safe_load(text("_config.yml"))["repository"]["url"]
    owner, name = address.split("/")[-2:]
    pages = f"https://{owner}.github.io/{name}/"
    citation = yaml.safe_load(text("CITATION.cff"))
    assert (citation["repository-code"], citation["url"]) == (address, pages)
    assert f"git clone {address} " in text("README.md") and f"<{pages}>" in text("README.md")
    assert f"mybinder.org/v2/gh/{owner}/{name}/" in text("README.md")


def test_citation_and_license():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0" and citation["message"]
    assert citation["authors"] == [{"name": "The First Weights authors"}]
    assert citation["version"] == project["version"]
    assert citation["license"] == [project["license"], "CC-BY-4.0"]
    assert text("LICENSE").startswith("BSD 3-Clause License")


#: What conda-forge calls otherwise than the package index.
CONDA_NAMES = {"torch": "pytorch-cpu"}


def test_environment_is_in_step():
    """Binder gets what pyproject.toml asks for, in ranges that hold the versions of the outputs."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [Requirement(line) for line in project["optional-dependencies"]["run"]]
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", text("constraints.txt"), re.MULTILINE))
    *packages, pip = yaml.safe_load(text("environment.yml"))["dependencies"]
    assert pip == {"pip": ["-e ."]}
    ranges = dict(re.fullmatch(r"([\w-]+)(.*)", package).groups() for package in packages)
    assert ranges.pop("pip") == ""
    assert f">{ranges.pop('python')}" == project["requires-python"]
    names = {CONDA_NAMES.get(one.name, one.name): one for one in wanted}
    assert set(ranges) == set(names), "not the same packages as in pyproject.toml, [run]"
    for name, allowed in ranges.items():
        asked = names[name]
        assert SpecifierSet(allowed).contains(pinned[asked.name]), f"{name}: constraints.txt"
        assert oldest(SpecifierSet(allowed)) == oldest(asked.specifier), f"{name}: pyproject.toml"


def oldest(specifiers: SpecifierSet) -> str:
    [version] = (one.version for one in specifiers if one.operator == ">=")
    return version
