"""Tables: CSV files and pandas' data frames."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unikeras._base.printable import printable
from unikeras._base.suggestions import did_you_mean
from unikeras.data._data_source import Source
from unikeras.data._image_folders import Pictures, Reading
from unikeras.data._images import MAX_PIXELS
from unikeras.data._made_sources import source_of
from unikeras.data._origins import Arrays
from unikeras.data.transforms import Resize
from unikeras.data.transforms._ranges import check_size
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError


@dataclass(frozen=True)
class Table:
    """Columns by name.

    Attributes:
        name: what error messages call it.
        columns: the values of each column.
        folder: what relative paths in it start from.
    """

    name: str
    columns: dict[str, Sequence[Any]]
    folder: Path

    def column(self, name: Any) -> Sequence[Any]:
        """Return a column.

        Raises:
            DatasetError: there is none of this name.
        """
        if name not in self.columns:
            names = [str(one) for one in self.columns]
            close = did_you_mean(str(name), names)
            raise DatasetError(
                f"{self.name} has no column {name!r}; it has {', '.join(names)}. {close}".rstrip(". ")
            )
        return self.columns[name]


def from_table(
    table: Any,
    *,
    label: str | None = None,
    features: str | Sequence[str] | None = None,
    path: str | None = None,
    weight: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int | None = 3,
    max_pixels: int = MAX_PIXELS,
) -> Source:
    """Return a source of the rows of a table.

    Args:
        table: the path of a CSV file with a first line of names; or a pandas DataFrame.
        label: the column of y. Texts become numbers, in the order of the texts; `classes` has them.
        features: the columns of x, which hold numbers: a list for x of shape (columns,), one name for a number. None
            for all columns but the label and the weight.
        path: the column with paths of pictures, where x is a picture; they start from the folder of the CSV file, or
            from the working directory for a DataFrame.
        weight: the column of sample_weight.
        size: (height, width) in pixels that each picture is resized to, or one number for both.
        channels: of pictures: 1 (grey), 3 (RGB), 4 (RGBA), or None for what each file has.
        max_pixels: a picture that has more, by its header, is not decoded.

    Returns:
        A source of x, (x, y) or (x, y, sample_weight). Features and weights are float32, pictures uint8, labels int64,
        or float32 where they are no whole numbers.

    Raises:
        ArgumentError: the table is neither a path nor a DataFrame.
        ArgumentValueError: features and path are both given, or a weight without a label.
        DatasetError: the file cannot be read, there is no such column, or a value is missing or no number; it names row
            and column. Or a picture is not in the folder.

    Source: keras.utils.FeatureSpace and pandas.read_csv; `label` and `path` as in torch examples of custom data sets.

    Example:
        >>> import pathlib, unikeras as uk
        >>> _ = pathlib.Path("iris.csv").write_text("length,width,kind\\n5.1,3.5,setosa\\n7.0,3.2,versicolor\\n")
        >>> source = uk.data.from_table("iris.csv", label="kind")
        >>> x, y = source[1]
        >>> x.tolist(), int(y), source.classes
        ([7.0, 3.200000047683716], 1, ('setosa', 'versicolor'))
    """
    if features is not None and path is not None:
        raise ArgumentValueError("features and path are two ways to say what x is; give one")
    if weight is not None and label is None:
        raise ArgumentValueError("weight needs label: a weight without a target has no loss to weigh")
    read = _read(table)
    labels, classes = (None, None) if label is None else _labels(read, label)
    weights = None if weight is None else _numbers(read, weight)
    if path is not None:
        resize = None if size is None else Resize(*check_size(size))
        root, files = _files(read, path)
        pictures = TablePictures(
            root, Reading(resize, channels, max_pixels), files, labels=labels, classes=classes
        )
        pictures.name, pictures.weights = read.name, weights
        return source_of(pictures)
    if features is None:
        features = [name for name in read.columns if name not in (label, weight)]
    if isinstance(features, str):
        x = _numbers(read, features)
    elif features:
        x = np.stack([_numbers(read, name) for name in features], axis=1)
    else:
        raise DatasetError(f"{read.name} has no columns for x: {', '.join(map(str, read.columns))}")
    origin = Arrays(tuple(part for part in (x, labels, weights) if part is not None))
    origin.name, origin.classes = read.name, classes
    return source_of(origin)


def _read(table: Any) -> Table:
    if isinstance(table, str | os.PathLike):
        return _read_csv(Path(table))
    if hasattr(table, "columns") and hasattr(table, "to_numpy"):
        if not table.columns.is_unique:
            raise DatasetError(f"the table has two columns of one name: {', '.join(map(str, table.columns))}")
        columns = {name: table[name].to_numpy() for name in table.columns}
        found = Table("the table", columns, Path.cwd())
    else:
        raise ArgumentError(
            f"from_table takes the path of a CSV file or a pandas DataFrame; received {type(table).__name__}"
        )
    if len(table) == 0:
        raise DatasetError("the table has no rows; at least one is needed")
    return found


def _read_csv(path: Path) -> Table:
    name = printable(str(path))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file, strict=True)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"cannot read {name}: {reason}; a CSV file in UTF-8 is expected") from error
    rows = [row for row in rows if row]
    if not rows:
        raise DatasetError(f"{name} has no rows below its first line, which has the names of the columns")
    if len(set(header)) < len(header):
        raise DatasetError(f"{name} has two columns of one name: {', '.join(header)}")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise DatasetError(
                f"row {number} of {name} has {len(row)} values, and there are {len(header)} columns"
            )
    columns: dict[str, Sequence[Any]] = dict(zip(header, zip(*rows, strict=True), strict=True))
    return Table(name, columns, path.parent)


def _numbers(table: Table, name: Any) -> np.ndarray:
    """Return a column as float32, shape (rows,).

    Raises:
        DatasetError: a value is missing or no number.
    """
    values = table.column(name)
    numbers = np.empty(len(values), np.float32)
    for row, value in enumerate(values):
        try:
            numbers[row] = float(value)
        except (TypeError, ValueError):
            numbers[row] = np.nan
        if np.isnan(numbers[row]):
            raise DatasetError(_bad_value(table, name, row, value, "a number is needed"))
    return numbers


def _bad_value(table: Table, name: Any, row: int, value: Any, need: str) -> str:
    missing = value is None or value == "" or value != value
    shown = "is missing" if missing else f"is {printable(str(value))!r:.60}"
    return f"row {row + 1} of {table.name}: column {name!r} {shown}; {need}"


def _labels(table: Table, name: Any) -> tuple[np.ndarray, tuple[str, ...] | None]:
    values = table.column(name)
    for row, value in enumerate(values):
        if value is None or value == "" or value != value:
            raise DatasetError(_bad_value(table, name, row, value, "each row needs a label"))
    try:
        numbers = np.array([float(value) for value in values])
    except (TypeError, ValueError):
        classes, labels = np.unique([str(value) for value in values], return_inverse=True)
        return labels.reshape(-1).astype(np.int64), tuple(classes.tolist())
    is_whole = bool(np.all(numbers == np.rint(numbers))) and bool(np.all(np.abs(numbers) < 2**53))
    return (numbers.astype(np.int64) if is_whole else numbers.astype(np.float32)), None


class TablePictures(Pictures):
    """Pictures whose paths stand in a table.

    Attributes:
        weights: sample_weight of each, float32, shape (pictures,), or None.
    """

    weights: np.ndarray | None = None

    def example(self, index: int) -> Any:
        example = super().example(index)
        return example if self.weights is None else (*example, self.weights[index])


def _files(table: Table, name: Any) -> tuple[Path, list[Path]]:
    """Return the folder and the pictures of a column, in the order of the rows.

    Raises:
        DatasetError: a path is missing, leads out of the folder, or to no file.
    """
    root = Path(os.path.realpath(table.folder))
    files = []
    for row, value in enumerate(table.column(name)):
        if not isinstance(value, str | os.PathLike) or not os.fspath(value):
            raise DatasetError(_bad_value(table, name, row, value, "the path of a picture is needed"))
        file = root / value
        if not Path(os.path.realpath(file)).is_relative_to(root):
            below = f"pictures have to be below {printable(str(root))}"
            raise DatasetError(_bad_value(table, name, row, value, below))
        if not file.is_file():
            raise DatasetError(_bad_value(table, name, row, value, "there is no such file"))
        files.append(file)
    return root, files
