"""Data frames on paper: the HTML that an output holds, as tables that LaTeX can set."""

from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform


def table_of(html: str) -> list[nodes.Element]:
    """Return pandas' HTML as a table of docutils, behind its columns' alignment: index, numbers.

    Raises `ValueError` where there is no table with a head and a body.
    """
    found = BeautifulSoup(html, "html.parser").select_one("table.dataframe")
    if not (found and found.thead and found.tbody):
        raise ValueError(f"expected the HTML of a data frame, got {html[:60]!r}")
    leading = max(len(row.find_all("th")) for row in found.tbody.find_all("tr"))
    head, body = (_rows(part) for part in (found.thead, found.tbody))
    columns = sum(1 + entry.get("morecols", 0) for entry in head[0])
    group = nodes.tgroup("", *[nodes.colspec(colwidth=1) for _ in range(columns)], cols=columns)
    group += [nodes.thead("", *head), nodes.tbody("", *body)]
    spec = "l" * leading + "R" * (columns - leading)  # R breaks lines where all is too wide
    return [addnodes.tabular_col_spec(spec=spec), nodes.table("", group)]


def _rows(part: Any) -> list[nodes.row]:
    """Return the rows of a head or a body; a cell over many rows stands in its first of them."""
    made, below = [], {}  # below: how many rows are still to come under the cell at a column
    for row in part.find_all("tr"):
        entries, cells, column = nodes.row(), iter(row.find_all(["th", "td"])), 0
        while True:
            if below.get(column, 0):
                below[column] -= 1
                entries += nodes.entry()
                column += 1
                continue
            cell = next(cells, None)
            if cell is None:
                break
            text, wide = cell.get_text().strip(), int(cell.get("colspan", 1))
            entry = nodes.entry("", *([nodes.paragraph("", text)] if text else []))
            if wide > 1:
                entry["morecols"] = wide - 1
            below[column] = int(cell.get("rowspan", 1)) - 1
            entries += entry
            column += wide
        made.append(entries)
    return made


def words_of(html: str) -> list[nodes.Element]:
    """Return what a report says in front of its table: paragraphs, and code as it stands.

    pandas' HTML has nothing there.
    """
    found = BeautifulSoup(html, "html.parser")
    before = found.select_one("table.dataframe")
    said = before.find_all_previous(["p", "pre"])[::-1] if before else []
    return [
        nodes.literal_block("", part.get_text())
        if part.name == "pre"
        else nodes.paragraph("", part.get_text())
        for part in said
    ]


class FrameTables(SphinxPostTransform):
    """Set data frames as tables. MyST-NB would choose their text, which breaks wide ones in two."""

    formats = ("latex",)
    default_priority = 3  # before MyST-NB chooses, at 4

    def run(self, **kwargs: Any) -> None:
        """Put a table in the place of each output that has one in HTML."""
        for raw in list(self.document.findall(nodes.raw)):
            bundle = raw.parent.parent
            if raw["format"] == "html" and bundle.get("nb_element") == "mime_bundle":
                bundle.replace_self([*words_of(raw.astext()), *table_of(raw.astext())])
