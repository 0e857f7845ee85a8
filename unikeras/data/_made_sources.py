"""Sources of arrays and of objects that have examples by number."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from unikeras.data import _examples
from unikeras.data._chain import Chain
from unikeras.data._data_source import Source
from unikeras.data._origins import Arrays, Items, Members, Origin, check_not_empty
from unikeras.errors import ArgumentError, ArgumentValueError


def source_of(origin: Origin) -> Source:
    """Return the source of all examples of an origin.

    Raises:
        DatasetError: there are none.
    """
    check_not_empty(len(origin), origin.name)
    return Source(Chain(origin, Members.of_all(origin)))


def from_arrays(x: Any, y: Any = None, sample_weight: Any = None) -> Source:
    """Return a source of the rows of arrays.

    Args:
        x: an array of shape (examples, ...) of numpy, a framework or pandas; or a dict, tuple or list of such.
        y: targets, likewise; None where there are none.
        sample_weight: a weight for each example, shape (examples,); needs y.

    Returns:
        A source of `x`, `(x, y)` or `(x, y, sample_weight)`; of `(x,)` where x alone is given, as a tuple or list. It
        reads the arrays in place and never changes them.

    Raises:
        ArgumentError: something is no array.
        ArgumentValueError: lengths differ, or there are weights without targets.
        DatasetError: there are no examples.

    Example:
        >>> import numpy as np, unikeras as uk
        >>> source = uk.data.from_arrays(np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]))
        >>> x, y = source[1]
        >>> x.tolist(), int(y)
        ([2.0, 3.0], 1)
    """
    if sample_weight is not None and y is None:
        raise ArgumentValueError("sample_weight needs y: a weight without a target has no loss to weigh")
    named = {"x": x, "y": y, "sample_weight": sample_weight}
    given = {name: _to_arrays(name, part) for name, part in named.items() if part is not None}
    if "x" not in given:
        raise ArgumentError("x has to be an array, or a dict, tuple or list of arrays; received None")
    lengths = {
        place: len(leaf)
        for name, part in given.items()
        for place, leaf in zip(_examples.names_of_leaves(part, name), _examples.leaves(part), strict=True)
    }
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{place} has {length}" for place, length in lengths.items())
        raise ArgumentValueError(f"x, y and sample_weight have to have a row for each example; {counts}")
    if not lengths:
        raise ArgumentError(f"x has to hold at least one array; received {x!r}")
    return source_of(Arrays(tuple(given.values())))


def _to_arrays(name: str, part: Any) -> Any:
    def convert(leaf: Any) -> np.ndarray:
        if leaf is None:
            raise ArgumentError(f"{name} holds None where an array is expected")
        array = _examples.to_array(leaf)
        if array.ndim == 0:
            raise ArgumentError(
                f"{name} has to be an array with a row for each example; received {leaf!r:.60}"
            )
        return array

    return _examples.map_leaves(convert, part)


# What has no examples by number, and what to do with it; looked for by name, so that nothing is imported.
_REFUSED = {
    "torch.utils.data.dataloader.DataLoader": (
        "gives batches one after the other; pass its dataset: from_source(loader.dataset).batch(loader.batch_size). "
        "uk.Model.fit takes the loader as it is, too"
    ),
    "torch.utils.data.dataset.IterableDataset": (
        "has no examples by number; uk.Model.fit takes a DataLoader of it, or collect it: from_source(list(dataset))"
    ),
    "tensorflow.python.data.ops.dataset_ops.DatasetV2": (
        "has no examples by number; uk.Model.fit takes it as it is, or collect one that fits in memory: "
        "from_source(list(dataset.as_numpy_iterator()))"
    ),
    "keras.src.trainers.data_adapters.py_dataset_adapter.PyDataset": (
        "has batches by number, not examples; uk.Model.fit takes it as it is, "
        "or pass an object whose items are examples"
    ),
    "grain._src.python.dataset.dataset.IterDataset": (
        "has no examples by number; uk.Model.fit takes it as it is, or pass its MapDataset, before .to_iter_dataset()"
    ),
    "grain._src.python.data_loader.DataLoader": (
        "has no examples by number; uk.Model.fit takes it as it is, or pass its data source"
    ),
    "datasets.iterable_dataset.IterableDataset": (
        "has no examples by number; load the data set without streaming=True"
    ),
    "pandas.core.frame.DataFrame": "is a table; use uk.data.from_table",
    "pandas.DataFrame": "is a table; use uk.data.from_table",
    "builtins.dict": "is a structure of arrays; use uk.data.from_arrays",
    "builtins.str": "is a text; uk.data.from_folder and uk.data.from_table take paths",
    "builtins.set": "has no order; pass a list",
}


_ENDLESS = 2**48  # what repeats without end calls its length sys.maxsize


def from_source(items: Any) -> Source:
    """Return a source of the items of any object that has a length and takes a number.

    Args:
        items: a torch Dataset, a grain source or MapDataset, a HuggingFace Dataset, a list, an array. An item is `x`,
            `(x, y)` or `(x, y, sample_weight)`: numbers, arrays, pictures and tensors in any nested structure. The same
            number has to give the same item; random transforms belong to `.augment`.

    Returns:
        A source. With `prefetch`, items are asked for from several threads.

    Raises:
        ArgumentError: it has no examples by number; the message says what to pass.
        DatasetError: there are no examples.

    Source: torch.utils.data.Dataset with a length and items ("map-style").

    Example:
        >>> import unikeras as uk
        >>> source = uk.data.from_source([([1.0, 2.0], 0), ([3.0, 4.0], 1)])
        >>> for x, y in source.batch(2):
        ...     print(x.tolist(), y.tolist())
        [[1.0, 2.0], [3.0, 4.0]] [0, 1]
    """
    name = type(items).__name__
    for base in type(items).__mro__:
        reason = _REFUSED.get(f"{base.__module__}.{base.__qualname__}")
        if reason is not None:
            raise ArgumentError(f"{name} {reason}")
    if isinstance(items, Source):
        return items
    if inspect.isgenerator(items) or hasattr(items, "__next__"):
        raise ArgumentError(
            f"{name} gives its items once, one after the other; collect them: from_source(list(items)). "
            "uk.Model.fit takes a generator of batches as it is"
        )
    if not hasattr(items, "__len__") or not hasattr(items, "__getitem__"):
        raise ArgumentError(
            f"from_source takes an object with __len__ and __getitem__; {name} has "
            f"{'no length' if hasattr(items, '__getitem__') else 'no items by number'}"
        )
    try:
        length = len(items)
    except (TypeError, NotImplementedError, ValueError) as error:
        raise ArgumentError(f"{name} has no length: {error}") from error
    if length >= _ENDLESS:
        raise ArgumentError(
            f"{name} has no end; pass it without its repetition, and use .repeat(n) of the source"
        )
    check_not_empty(length, name)
    return source_of(Items(items, name))
