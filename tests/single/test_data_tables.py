"""Tables as sources: columns, labels, paths of pictures, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

TEXT = "length,width,kind,weight,count\n1.5,2,b,1,3\n3.5,4,a,0.5,4\n5.5,6,b,2,5\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TEXT)
    return path


def _frame(path):
    pandas = pytest.importorskip("pandas")
    return pandas.read_csv(path)


@pytest.mark.parametrize("form", [str, lambda path: path, _frame])
def test_columns_become_examples(table, form):
    source = uk.data.from_table(form(table), label="kind", features=["length", "width"], weight="weight")
    ((x, y, weight),) = source.batch(3)
    np.testing.assert_array_equal(x, np.array([[1.5, 2], [3.5, 4], [5.5, 6]], "float32"))
    assert (x.dtype, y.dtype, weight.dtype) == (np.float32, np.int64, np.float32)
    assert y.tolist() == [1, 0, 1]
    assert weight.tolist() == [1, 0.5, 2]
    assert source.classes == ("a", "b")
    assert source.class_weight() == {0: 1.5, 1: 0.75}


def test_labels_that_are_numbers_stay_numbers(table):
    ((x, y),) = uk.data.from_table(table, label="count", features="width").batch(3)
    assert (x.shape, y.tolist(), y.dtype) == ((3,), [3, 4, 5], np.int64)
    ((_, y),) = uk.data.from_table(table, label="length", features="width").batch(3)
    assert (y.tolist(), y.dtype) == ([1.5, 3.5, 5.5], np.float32)


def test_without_names_all_other_columns_are_features(table):
    text = TEXT.replace("kind", "class").replace("b,", "1,").replace("a,", "0,")
    table.write_text("\ufeff" + text)
    assert uk.data.from_table(table, label="class")[0][0].tolist() == [1.5, 2, 1, 3]
    assert uk.data.from_table(table)[0].shape == (5,)


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        (TEXT, {"label": "kinds"}, DatasetError, "has no column 'kinds'.*Did you mean 'kind'"),
        (TEXT, {"label": "count"}, DatasetError, "row 1 of .*: column 'kind' is 'b'; a number is needed"),
        (TEXT.replace("3.5", ""), {"label": "kind"}, DatasetError, "row 2 .*'length' is missing"),
        (
            TEXT.replace("a,", ","),
            {"label": "kind"},
            DatasetError,
            "row 2 .*'kind' is missing; each row needs",
        ),
        (TEXT + "1,2\n", {}, DatasetError, "row 4 .* has 2 values, and there are 5 columns"),
        (TEXT.replace("width", "length"), {}, DatasetError, "two columns of one name"),
        ("a,b\n", {}, DatasetError, "no rows"),
        ("", {}, DatasetError, "no rows"),
        ("a\n1\n", {"label": "a"}, DatasetError, "no columns for x"),
        (TEXT, {"features": ["width"], "path": "kind"}, ArgumentValueError, "two ways"),
        (TEXT, {"weight": "weight"}, ArgumentValueError, "needs label"),
        (TEXT, {"path": "kind"}, DatasetError, "row 1 .* is 'b'; there is no such file"),
        (TEXT.replace("b,", "/etc/passwd,"), {"path": "kind"}, DatasetError, "have to be below"),
        (TEXT.replace("b,", "../x.png,"), {"path": "kind"}, DatasetError, "have to be below"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(table, text, options, error, message):
    table.write_text(text)
    with pytest.raises(error, match=message):
        uk.data.from_table(table, **options)


def test_what_is_no_table_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read .*none\.csv: No such file"):
        uk.data.from_table(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(DatasetError, match="a CSV file in UTF-8 is expected"):
        uk.data.from_table(tmp_path / "bytes.csv")
    with pytest.raises(ArgumentError, match="received int"):
        uk.data.from_table(3)
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DatasetError, match="the table has no rows"):
        uk.data.from_table(pandas.DataFrame({"a": []}))


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for number in range(3):
        image.fromarray(np.full((6, 8, 3), number, "uint8")).save(tmp_path / f"{number}.png")
    return tmp_path


def test_a_column_of_paths_becomes_pictures(pictures):
    path = pictures / "table.csv"
    path.write_text("file,kind,weight\n2.png,dog,1\n0.png,cat,2\n")
    source = uk.data.from_table(path, path="file", label="kind", weight="weight", size=(3, 4))
    ((x, y, weight),) = source.batch(2)
    assert (x.shape, x.dtype) == ((2, 3, 4, 3), np.uint8)
    assert (x[:, 0, 0, 0].tolist(), y.tolist(), weight.tolist()) == ([2, 0], [1, 0], [1, 2])
    assert source.classes == ("cat", "dog")
    assert uk.data.from_table(path, path="file")[0].shape == (6, 8, 3)
