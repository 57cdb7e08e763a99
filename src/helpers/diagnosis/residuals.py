"""The fault of residual networks: branches without normalizer or scale, each of which adds as much
as there is, so that the sum doubles block by block."""

import math

from helpers.diagnosis import remedies, shortcuts
from helpers.diagnosis.findings import Analysis, Finding, listed, names
from helpers.diagnosis.shortcuts import Addition

#: Second moments that grow by more than this over all blocks in a row, and by more per block: a
#: branch scaled by 1/√depth adds 2/depth at most under He's variance, e² over all blocks.
GROWTH, EACH = 6.0, 1.7
#: Enough over all blocks, however little per block.
MUCH = 50.0


def additions(analysis: Analysis) -> list[Finding]:
    """Rows of blocks that carry one another's sum on, and multiply it together by `GROWTH`."""
    found = []
    by_node = {a.node: a for a in analysis.additions}
    carried = {a.previous for a in analysis.additions}
    for end in (a for a in analysis.additions if a.node not in carried):
        row: list[Addition] = []
        while end is not None:
            row.append(end)
            end = by_node.get(end.previous)
        grown = [(a, _growth(analysis, a)) for a in reversed(row) if not a.normalized]
        grown = [(a, g) for a, g in grown if g > 1.25]
        if len(grown) < 3:
            continue
        total = math.prod(g for _, g in grown)
        each = total ** (1 / len(grown))
        if not (total > MUCH or (total > GROWTH and each > EACH)):
            continue
        ends = [a.layers[-1] for a, _ in grown]
        layers = names(ends)
        found.append(
            Finding(
                "residual",
                layers,
                f"{len(grown)} residual blocks add a branch as large as their shortcut, with no "
                f"normalizer and no small factor in it: each multiplies the second moment by about "
                f"{each:.2g}, all together by {total:.2g}. The branches end in {listed(layers)}; "
                "let them start at zero or 1/√depth, or normalize them.",
                {"growth": total, "growth per block": each, "blocks": float(len(grown))},
                remedies.zero_branch_ends(analysis, ends),
            )
        )
        analysis.explained |= {u.layer for a, _ in grown for u in a.layers}
    return found


def _growth(analysis: Analysis, addition: Addition) -> float:
    """Second moment of the sum in units of the shortcut's; of the parts where it is not known."""
    places = analysis.record.places
    total = places.get((addition.node, 0))
    before = None
    for node in shortcuts.origin(analysis.graph, addition.shortcut):
        before = before or places.get((node, 0))
    branch = addition.layers[-1].output
    if before is None:
        used = addition.layers[0].input  # the branch starts from what the shortcut carries
        before = used
    if before is None or not before.second_moment > 0:
        return 1.0
    whole = total.second_moment if total else before.second_moment + branch.second_moment
    return whole / before.second_moment if math.isfinite(whole) else 2.0
