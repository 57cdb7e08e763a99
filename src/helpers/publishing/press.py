"""Run LaTeX over the book, and let no clipped line or lost character pass.

`make pdf` calls it twice: `check` says at once what this machine lacks, and the second call makes
the PDF of what the LaTeX builder wrote. Only the standard library is imported.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copy2, which

DEBIAN = {
    "latexmk": "latexmk",
    "xelatex": "texlive-xetex",
    "tabulary.sty": "texlive-latex-extra",
    "texgyrepagella-regular.otf": "fonts-texgyre",
    "texgyrepagella-math.otf": "fonts-texgyre-math",
    "FreeSansBold.otf": "fonts-freefont-otf",
    "DejaVuSansMono.ttf": "fonts-dejavu-core",
}
"""What the printed book needs, and the Debian package that has it."""

TOO_WIDE = 5.0
"""Points by which a box may stand out before it is an error: no eye sees less in a margin."""


def _found(name: str) -> bool:
    if "." not in name:
        return which(name) is not None
    if which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", name], capture_output=True).returncode == 0


def lacking(found: Callable[[str], bool] = _found) -> str:
    """Say what is missing on this machine and how to get it; "" where nothing is."""
    missing = {name: package for name, package in DEBIAN.items() if not found(name)}
    if not missing:
        return ""
    packages = " ".join(dict.fromkeys(missing.values()))
    return (
        f"the PDF cannot be made, for lack of {', '.join(missing)}. "
        f"On Debian or Ubuntu: apt-get install {packages}. "
        "Elsewhere, a full TeX Live has the programs and the TeX Gyre fonts; FreeSans and "
        "DejaVu Sans Mono are to be installed beside it."
    )


def complaints(log: str) -> list[str]:
    """Return what a reader would see of the trouble in LaTeX's `log`, one line for each."""
    wide = [
        line
        for line in re.findall(r"^Overfull .*$", log, re.MULTILINE)
        if float(re.search(r"\(([\d.]+)pt", line)[1]) > TOO_WIDE
    ]
    lost = re.findall(r"^Missing character.*$", log, re.MULTILINE)
    dangling = re.findall(r"^LaTeX Warning: .*undefined.*$", log, re.MULTILINE)
    return list(dict.fromkeys(wide + lost + dangling))


def print_book(source: Path, folder: Path) -> Path:
    """Make the PDF of the LaTeX file `source`, and return its path in `folder`.

    Raises `RuntimeError` where LaTeX fails, or where something is clipped, lost or dangling.
    """
    command = ["latexmk", "-xelatex", "-quiet", "-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([*command, source.name], cwd=source.parent, capture_output=True)
    log = source.with_suffix(".log")
    told = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if done.returncode:
        errors = re.findall(r"^!.*(?:\n.*){0,3}", told, re.MULTILINE)
        said = "\n".join(errors[:3]) or done.stderr.decode(errors="replace")[-1000:]
        raise RuntimeError(f"LaTeX stopped; all it said is in {log}.\n{said}")
    if found := complaints(told):
        raise RuntimeError(f"not fit to print; line numbers are of {source}:\n" + "\n".join(found))
    folder.mkdir(parents=True, exist_ok=True)
    return Path(copy2(source.with_suffix(".pdf"), folder))


def main(arguments: list[str]) -> str | None:
    """`check`, or the LaTeX file and the folder for its PDF; return what went wrong."""
    if missing := lacking():
        return f"make pdf: {missing}"
    if arguments != ["check"]:
        source, folder = map(Path, arguments)
        try:
            made = print_book(source, folder)
        except RuntimeError as error:
            return f"make pdf: {error}"
        print(f"{made}: {os.path.getsize(made) / 1e6:.1f} MB")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
