import pandas as pd
import pytest

from helpers import charts

POINTS = pd.DataFrame({"layer": [1, 2, 1, 2], "q": [1.23456, 0.5, 2.0, 4.0], "s": [1, 1, 2, 2]})
DESCRIPTION = "two lines, one rising and one falling, over two layers"


def spreads(sigmas=(0.1, 0.2, 0.3)):
    return pd.DataFrame(
        [
            {"sigma": s, "position": layer, "center": center, "width": 1.0, "density": density}
            for s in sigmas
            for layer in (1, 2)
            for center, density in ((-1.0, 0.25), (0.0, 0.5), (1.0, 0.25))
        ]
    )


def profiles(sigmas=(0.1, 0.2, 0.3)):
    return pd.DataFrame(
        [
            {"sigma": s, "panel": panel, "position": layer, "predicted": s, "measured": 1.1 * s}
            for s in sigmas
            for panel in ("forward", "backward")
            for layer in (1, 2)
        ]
    )


def data(chart):
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def test_curves_lay_measurements_over_predictions():
    chart = charts.curves(POINTS, POINTS, x="layer", y="q", color="s", description=DESCRIPTION)
    spec = chart.to_dict()
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["line", "point"]
    assert spec["description"] == DESCRIPTION
    assert data(chart)[0]["q"] == 1.235
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == [1, 2]
    with pytest.raises(ValueError, match="No table to draw"):
        charts.curves(x="layer", y="q", description=DESCRIPTION)


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show():
    # The last of them is rounded to zero.
    table = POINTS.assign(q=[0.0, 0.5, -1.0, 1e-13])
    chart = charts.curves(table, x="layer", y="q", log_y=True, description=DESCRIPTION)
    assert [row["q"] for row in data(chart)] == [0.5]


def test_an_error_bar_stays_above_zero_on_a_logarithmic_axis():
    table = POINTS.assign(e=9.0)
    options = {"x": "layer", "y": "q", "error": "e", "description": DESCRIPTION}
    for log_y, lower in ((False, "datum['q'] - datum['e']"), (True, "max(")):
        bar = charts.curves(measured=table, log_y=log_y, **options).to_dict()["layer"][0]
        assert bar["transform"][0]["calculate"].startswith(lower)


def test_more_series_than_colors_are_refused():
    table = pd.DataFrame({"x": range(9), "y": range(9), "name": range(9)})
    with pytest.raises(ValueError, match=r"9 colors in 'name'; a figure can tell 6 apart"):
        charts.curves(table, x="x", y="y", color="name", description=DESCRIPTION)


def test_training_curves_band_spans_the_runs():
    table = pd.DataFrame({"step": [1, 1, 2, 2], "loss": [1.0, 3.0, 0.5, 0.7], "scheme": "he"})
    rows = data(charts.training_curves(table, description=DESCRIPTION))
    assert rows[0] | {"scheme": "he"} == {
        "scheme": "he", "step": 1, "mean": 2.0, "lowest": 1.0, "highest": 3.0
    }  # fmt: skip


def test_ranges_reach_from_the_lowest_to_the_highest():
    table = POINTS.assign(low=0.12341, high=9.0, unit="ms")
    names = {"y": "layer", "x": "q", "low": "low", "high": "high", "color": "s", "panel": "unit"}
    chart = charts.ranges(table, **names, rules={"ms": 3.0}, description=DESCRIPTION)
    aim, reach, mark = chart.to_dict()["concat"][0]["layer"]
    assert aim["encoding"]["x"]["datum"] == 3
    assert (reach["encoding"]["x"]["field"], reach["encoding"]["x2"]["field"]) == ("low", "high")
    assert mark["encoding"]["x"] | {"field": "q"} == mark["encoding"]["x"]
    assert {row["low"] for row in data(chart) if row} == {0.1234}
    assert chart.to_dict()["description"] == DESCRIPTION


def test_violins_have_a_row_for_each_panel():
    chart = charts.violins(spreads(), panel="sigma", label="σ = {}", description=DESCRIPTION)
    spec = chart.to_dict()
    assert [row["title"] for row in spec["vconcat"]] == ["σ = 0.1", "σ = 0.2", "σ = 0.3"]
    # A violin is one row: its reach, and half its width at every bin, the widest 0.44.
    assert data(chart)[0] == {"position": 1, "reach": 1.5, "half": [0.22, 0.44, 0.22]}


def test_the_slider_steps_through_every_value_and_no_other():
    chart = charts.slider(profiles(), spreads(), start=0.2, description=DESCRIPTION)
    (parameter,) = chart.to_dict()["params"]
    assert parameter["name"] == "sigma" and parameter["value"] == 0.2
    bind = parameter["bind"]
    assert (bind["input"], bind["min"], bind["max"], bind["step"]) == ("range", 0.1, 0.3, 0.1)


def test_a_slider_wants_an_even_grid_and_a_start_on_it():
    with pytest.raises(ValueError, match="not evenly spaced"):
        charts.slider(profiles((0.1, 0.2, 0.4)), start=0.1, description=DESCRIPTION)
    with pytest.raises(ValueError, match=r"start is 0\.15; expected a value of 'sigma'"):
        charts.curve_slider(
            profiles(), x="position", y="measured", start=0.15, description=DESCRIPTION
        )


def test_a_matrix_is_centered_at_zero():
    table = pd.DataFrame({"i": [0, 1], "j": [0, 0], "w": [-2.0, 1.0]})
    chart = charts.matrix(table, x="i", y="j", value="w", description=DESCRIPTION)
    assert chart.to_dict()["encoding"]["color"]["scale"]["domain"] == [-2.0, 0, 2.0]
