"""Make executed notebooks fit to be committed: ``python -m helpers.publishing.storing FILE...``

Running a notebook leaves in it what another run would leave differently, or what is of no use
without the kernel that left it: live widgets and their state, the times at which cells ran, and a
picture that JupyterLab takes of every chart it draws. All of that goes; everything else stays.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from helpers import files

WIDGET = "application/vnd.jupyter.widget-view+json"
"""The type of a live widget: a reference to a model in a kernel."""

CHARTS = ("application/vnd.vegalite.", "application/vnd.vega.")
"""How the types begin beside which JupyterLab puts a picture of its own."""


def strip(notebook: NotebookNode) -> list[str]:
    """Take out of `notebook` what must not be committed; return what that was, in words.

    The notebook is changed in place. An empty list says that it was fit as it stood. An output that
    holds a widget and nothing else disappears; one that holds more loses the widget alone.
    """
    removed = []
    if notebook.metadata.pop("widgets", None) is not None:
        removed.append("the state of widgets")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        if cell.metadata.pop("execution", None) is not None:
            removed.append(f"the times at which code cell {number} ran")
        for output in list(cell.outputs):
            dropped = [kind for kind in output.get("data", ()) if _is_left_over(kind, output.data)]
            for kind in dropped:
                del output.data[kind]
                output.metadata.pop(kind, None)
                what = "a live widget" if kind == WIDGET else "JupyterLab's picture of a chart"
                removed.append(f"{what} in code cell {number}")
            if dropped and not output.data:
                cell.outputs.remove(output)
    return removed


def _is_left_over(kind: str, data: NotebookNode) -> bool:
    return kind == WIDGET or (kind == "image/png" and any(k.startswith(CHARTS) for k in data))


def store(path: str | Path) -> list[str]:
    """Make the notebook at `path` fit to be committed; return what was removed, in words.

    It is written as nbconvert writes, whole or not at all, and only if something was removed.
    Raises ValueError where the file is no notebook in version 4 of the format.
    """
    path = Path(path)
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
        if notebook.nbformat != 4:
            raise ValueError(f"it has version {notebook.nbformat} of the format")
    except (ValueError, AttributeError, nbformat.ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} is no notebook in version 4 of the format: {reason}. "
            "Expected is a file that JupyterLab or `make run-notebooks` has written."
        ) from error
    removed = strip(notebook)
    if removed:
        files.replace(path, (nbformat.writes(notebook) + "\n").encode())
    return removed


def main(paths: Sequence[str]) -> int:
    """Store every notebook and print what was removed; return the exit status."""
    if not paths:
        print("name the notebooks to store, such as book/*.ipynb", file=sys.stderr)
        return 2
    for path in paths:
        try:
            for what in store(path):
                print(f"{path}: removed {what}")
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
