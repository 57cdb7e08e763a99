import gzip
import json
import math

import pandas as pd
import pytest

from helpers import results

PROVENANCE = {
    "command": "python -m helpers run tiny",
    "configuration": {"epochs": 1},
    "data": {"name": "digits", "checksums": {}},
    "seeds": [0],
    "device": "CPU",
    "threads": 1,
    "seconds": 0.5,
}
TABLE = pd.DataFrame(
    {
        "scheme": ["zeros", "normal", "normal", "article-he"],
        "sigma": [math.nan, 0.4, 0.4, math.nan],
        "step": [1, 2, 3, 4],
        "value": [math.pi * 1e6, math.inf, math.nan, 1.23456789e-9],
    }
)


@pytest.fixture
def stored(tmp_path):
    results.write("tiny", TABLE, PROVENANCE, tmp_path)
    return tmp_path


def edit_record(folder, **changes):
    path = folder / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_table_comes_back_to_six_digits(stored):
    expected = TABLE.assign(value=[3141590.0, math.inf, math.nan, 1.23457e-9])
    pd.testing.assert_frame_equal(results.read("tiny", stored), expected, check_exact=True)
    record = results.provenance("tiny", stored)
    assert record["columns"] == list(TABLE.columns)
    assert record["rows"] == 4
    assert record.items() >= PROVENANCE.items()
    assert record["versions"]["pandas"] == pd.__version__
    assert sorted(path.name for path in stored.iterdir()) == ["tiny.csv.gz", "tiny.json"]


def test_equal_tables_are_equal_bytes(stored, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    results.write("tiny", TABLE.copy(), PROVENANCE | {"seconds": 99.0}, other)
    assert (stored / "tiny.csv.gz").read_bytes() == (other / "tiny.csv.gz").read_bytes()
    results.write("tiny", results.read("tiny", stored), PROVENANCE, other)
    assert (stored / "tiny.csv.gz").read_bytes() == (other / "tiny.csv.gz").read_bytes()


def test_another_torch_is_no_reason_to_refuse(stored):
    edit_record(stored, versions={"torch": "9.9"})
    assert len(results.read("tiny", stored)) == 4


def change_one_digit(folder):
    path = folder / "tiny.csv.gz"
    text = gzip.decompress(path.read_bytes())
    assert text.count(b"3.14159e+06") == 1
    path.write_bytes(gzip.compress(text.replace(b"3.14159e+06", b"3.14158e+06"), mtime=0))


@pytest.mark.parametrize(
    "harm, reason",
    [
        (change_one_digit, r"tiny\.csv\.gz was altered: SHA-256 .*, expected"),
        (lambda f: (f / "tiny.csv.gz").write_bytes(b"\x1f\x8b"), r"tiny\.csv\.gz was altered"),
        (lambda f: (f / "tiny.csv.gz").unlink(), r"tiny\.csv\.gz is missing"),
        (lambda f: (f / "tiny.json").unlink(), r"tiny\.json is missing"),
        (lambda f: (f / "tiny.json").write_text("{"), r"tiny\.json is not a provenance"),
        (lambda f: (f / "tiny.json").write_text("[]"), r"tiny\.json is not a provenance"),
        (lambda f: edit_record(f, format=2), "it has format 2, expected 1"),
        (lambda f: edit_record(f, columns=["scheme", "value"]), "expected 4 rows of scheme, value"),
        (lambda f: edit_record(f, rows=5), "expected 5 rows of"),
    ],
)
def test_a_result_that_does_not_fit_is_refused(stored, harm, reason):
    harm(stored)
    expected = rf"(?s)Stored result 'tiny' refused: .*{reason}.*: python -m helpers run tiny$"
    with pytest.raises(results.Refused, match=expected):
        results.read("tiny", stored)


def test_a_provenance_must_say_how_the_table_was_made(tmp_path):
    short = {key: value for key, value in PROVENANCE.items() if key != "seeds"}
    with pytest.raises(ValueError, match="provenance of 'tiny' lacks seeds"):
        results.write("tiny", TABLE, short, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    with pytest.raises(TypeError):
        results.write("tiny", TABLE, PROVENANCE | {"seeds": object()}, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "../secret", "Figure 1", "a--b"])
def test_bad_names(name, tmp_path):
    with pytest.raises(ValueError, match="expected lower-case letters"):
        results.read(name, tmp_path)
