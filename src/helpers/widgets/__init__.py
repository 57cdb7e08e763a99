"""Live controls for notebooks: what `helpers.laboratory` computes, shown with ipywidgets.

In a chapter the laboratory stands behind the chapter's main chart: the page of the book shows the
chart, which needs no kernel, and a live notebook shows the laboratory in its place.
"""

from helpers.laboratory import Settings
from helpers.widgets.laboratory_view import Laboratory

__all__ = ["Laboratory", "laboratory"]


def laboratory(twin, **settings) -> Laboratory:
    """Return a laboratory that shows ``twin``, a chart, where there is no kernel.

    ``settings`` are those of `helpers.laboratory.Settings`, where the controls stand at first; they
    raise its ValueErrors. In a notebook it gives two outputs: the chart, as ``display`` gives it,
    and the controls. Nothing is computed before a front end shows them.
    """
    return Laboratory(twin, Settings(**settings))
