import subprocess
import sys

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
    upper = "datum['q'] + datum['e']"
    for log_y, lower in (
        (False, "datum['q'] - datum['e']"),
        (True, f"datum['q'] * datum['q'] / ({upper})"),
    ):
        bar = charts.curves(measured=table, log_y=log_y, **options).to_dict()["layer"][0]
        assert {step["as"]: step["calculate"] for step in bar["transform"]} == {
            "lower": lower, "upper": upper
        }  # fmt: skip


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
    # A row of violins is one of data: what each reaches, and half its width at every bin, the
    # widest 440 thousandths.
    assert data(chart)[0] == {
        "position": "1 2", "reach": "1.5 1.5", "half": "220 440 220/220 440 220"
    }  # fmt: skip


def test_one_networks_violins_serve_for_all_factors():
    one = spreads()
    one = one[one["sigma"] == one["sigma"].iloc[0]]
    chart = charts.passage(
        one, {"small": 0.5, "large": 2.0}, limits=(-1, 1), description=DESCRIPTION
    ).to_dict()
    assert len(chart["datasets"]) == 1
    assert [panel["title"]["text"] for panel in chart["hconcat"]] == ["small", "large"]
    for panel, factor in zip(chart["hconcat"], ("0.5", "2.0")):
        assert f"pow({factor}, datum.place - 1)" in str(panel["transform"])
    assert chart["usermeta"]["controls"]["passed"]["play"] == "onward"
    assert chart["params"][0]["value"] == one["position"].max() and "title" not in chart


def test_the_slider_steps_through_every_value_and_no_other():
    chart = charts.slider(profiles(), spreads(), start=0.2, description=DESCRIPTION)
    (parameter,) = chart.to_dict()["params"]
    assert parameter["name"] == "sigma" and parameter["value"] == 0.2
    bind = parameter["bind"]
    assert (bind["input"], bind["min"], bind["max"], bind["step"]) == ("range", 0.1, 0.3, 0.1)


SIGMAS = (0.01, 0.03162, 0.1, 0.3162, 1.0)


def test_a_logarithmic_slider_steps_evenly_through_the_exponents():
    chart = charts.slider(
        profiles(SIGMAS), start=0.3, log=True, play="at once", description=DESCRIPTION
    )
    spec = chart.to_dict()
    (parameter,) = spec["params"]
    bind = parameter["bind"]
    assert parameter["name"] == "log10_sigma" and parameter["value"] == -0.5  # the nearest
    assert (bind["min"], bind["max"], bind["step"]) == (-2.0, 0.0, 0.5)
    assert spec["usermeta"]["controls"] == {
        "log10_sigma": {"label": "σ", "log": True, "play": "at once"}
    }
    (row,) = [row for row in data(chart) if row]
    assert row["log10_sigma"] == "-2|-1.5|-1|-0.5|0"
    assert row["predicted"].startswith("0.01 0.01|0.03162 0.03162|")


def test_a_rounded_step_still_reaches_the_last_value():
    sevenths = [step / 6 for step in range(7)]
    bind = charts.slider(profiles(sevenths), start=0.5, description=DESCRIPTION)
    bind = bind.to_dict()["params"][0]["bind"]
    assert bind["min"] + 6 * bind["step"] <= bind["max"] < bind["min"] + 7 * bind["step"]


def with_menu(table):
    return pd.concat([table.assign(activation=name) for name in ("tanh", "relu")])


def test_menus_and_marks():
    chart = charts.slider(
        with_menu(profiles(SIGMAS)),
        with_menu(spreads(SIGMAS)),
        start=0.1,
        log=True,
        menus={"activation": "activation"},
        chosen={"activation": "relu"},
        marks={"1/√n": 0.1, "He": lambda activation: 0.1414 if activation == "relu" else None},
        description=DESCRIPTION,
    )
    spec = chart.to_dict()
    menu = spec["params"][1]
    assert (menu["name"], menu["value"]) == ("menu_activation", "relu")
    assert menu["bind"]["options"] == ["tanh", "relu"]
    assert spec["usermeta"]["controls"]["log10_sigma"]["marks"] == [
        ["1/√n", 0.1],
        ["He", 0.1414, {"menu_activation": "relu"}],
    ]


def test_a_curve_for_each_color_at_the_readers_value():
    table = pd.concat([profiles().assign(scheme=name) for name in ("he", "glorot")])
    options = {"x": "position", "start": 0.2, "log_y": True, "description": DESCRIPTION}
    chart = charts.curve_slider(
        table, table.rename(columns={"measured": "y", "predicted": "p"}).assign(predicted=2.0),
        y="predicted", color="scheme", **options,
    )  # fmt: skip
    lines, points = chart.to_dict()["layer"]
    assert (lines["mark"]["type"], points["mark"]["type"]) == ("line", "point")
    assert lines["encoding"]["color"]["scale"]["domain"] == ["he", "glorot"]
    # The axis stays while the reader moves: it has room for all that will be seen.
    assert lines["encoding"]["y"]["scale"]["domain"] == [0.1, 2.0]
    for layer in (lines, points):
        assert any("- sigma" in step.get("filter", "") for step in layer["transform"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigmas": (0.1, 0.2, 0.4)}, "not evenly spaced"),
        ({"start": 0.15}, r"start is 0\.15; expected a value of 'sigma'"),
        ({"start": "he"}, "start is 'he'; expected a value"),
        ({"log": True}, "not evenly spaced in log10.*numpy.geomspace"),
        ({"sigmas": (0.0, 0.1, 0.2), "log": True}, r"'sigma' is 0\.0; .* log=False"),
        ({"marks": {"He": 0.9}}, r"'He' is at 0\.9; the slider runs from 0\.1 to 0\.3"),
        ({"play": "fast"}, "play is 'fast'; expected True"),
        ({"menus": {"depths": "layers"}}, "Unknown column of the table 'depths'"),
        ({"chosen": {"panel": "forward"}}, "Unknown menu 'panel'"),
        ({"parameter": "n·σ²"}, "cannot name a control; rename it"),
        ({"spreads": spreads((0.1, 0.2))}, r"spreads has no row for sigma = 0\.3"),
    ],
)
def test_a_slider_refuses_what_would_leave_a_reader_stuck(change, message):
    options = {"start": 0.2, "sigmas": (0.1, 0.2, 0.3), "spreads": None} | change
    table = profiles(options.pop("sigmas")).rename(
        columns={"sigma": change.get("parameter", "sigma")}
    )
    with pytest.raises(ValueError, match=message):
        charts.slider(table, description=DESCRIPTION, **options)


def test_every_combination_of_the_menus_must_be_there():
    table = with_menu(profiles())
    table = table[(table["activation"] == "tanh") | (table["sigma"] < 0.25)]
    with pytest.raises(
        ValueError, match=r"'forward' has no row for sigma = 0\.3, activation = 'relu'"
    ):
        charts.slider(table, start=0.2, menus={"activation": "activation"}, description=DESCRIPTION)


def test_a_matrix_is_centered_at_zero():
    table = pd.DataFrame({"i": [0, 1], "j": [0, 0], "w": [-2.0, 1.0]})
    chart = charts.matrix(table, x="i", y="j", value="w", description=DESCRIPTION)
    assert chart.to_dict()["encoding"]["color"]["scale"]["domain"] == [-2.0, 0, 2.0]


def test_on_colab_altair_draws_and_elsewhere_the_book_stores():
    """Colab shows no stored Vega-Lite; it is known by a module that its kernels have loaded."""
    script = (
        "import sys, types, altair; sys.modules |= {name: types.ModuleType(name) for name in %s};"
        "import helpers.charts.theme; chart = altair.Chart(altair.Data(values=[])).mark_point();"
        "print(*chart._repr_mimebundle_())"
    )

    def types_shown(modules):
        command = [sys.executable, "-c", script % modules]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert types_shown(["google.colab"]) == ["text/html"]
    assert types_shown([]) == ["application/vnd.vegalite.v5+json", "text/plain"]
