"""Data of PyTorch, TensorFlow, grain and pandas: what has examples by number is a source, and what has none."""

from __future__ import annotations

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, DatasetError


def _torch():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.arange(6.0).reshape(3, 2), torch.arange(3))
    return torch, data


def test_a_dataset_of_torch_is_a_source():
    torch, data = _torch()
    for dataset in (data, torch.utils.data.Subset(data, [0, 1, 2])):
        ((x, y),) = uk.data.from_source(dataset).batch(3)
        assert x.tolist() == [[0, 1], [2, 3], [4, 5]]
        assert (x.dtype, y.tolist()) == (np.float32, [0, 1, 2])


@pytest.mark.filterwarnings("error")
def test_a_loader_of_torch_reads_a_source():
    torch, _ = _torch()
    loader = torch.utils.data.DataLoader(uk.data.from_arrays(np.arange(6.0).reshape(3, 2)), batch_size=3)
    assert next(iter(loader)).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_tensors_of_torch_become_arrays():
    torch, _ = _torch()
    with_gradient = torch.ones(2, requires_grad=True)
    assert uk.data.from_arrays(with_gradient).batch(2)[0].tolist() == [1, 1]
    half = uk.data.from_arrays(torch.full((2,), 1.5, dtype=torch.bfloat16)).batch(2)[0]
    assert (half.dtype, half.tolist()) == (np.float32, [1.5, 1.5])
    with pytest.raises(DatasetError, match="cannot be made an array"):
        uk.data.from_arrays(torch.eye(2).to_sparse())


def _without_numbers():
    torch, data = _torch()

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield 1

    tf = pytest.importorskip("tensorflow")
    return {
        "DataLoader": (torch.utils.data.DataLoader(data), r"from_source\(loader.dataset\)"),
        "Stream": (Stream(), r"from_source\(list\(dataset\)\)"),
        "tf.data": (tf.data.Dataset.range(3), r"has no examples by number; uk.Model.fit takes it as it is"),
        "DataFrame": (pytest.importorskip("pandas").DataFrame({"a": [1]}), "from_table"),
    }


@pytest.mark.parametrize("name", ["DataLoader", "Stream", "tf.data", "DataFrame"])
def test_what_has_no_examples_by_number_is_refused_with_advice(name):
    data, advice = _without_numbers()[name]
    with pytest.raises(ArgumentError, match=advice):
        uk.data.from_source(data)


def test_grain_is_a_source_where_it_has_numbers():
    grain = pytest.importorskip("grain")
    numbers = grain.MapDataset.range(5)
    assert [batch.tolist() for batch in uk.data.from_source(numbers).batch(3)] == [[0, 1, 2], [3, 4]]
    with pytest.raises(ArgumentError, match="pass its MapDataset"):
        uk.data.from_source(numbers.to_iter_dataset())
    with pytest.raises(ArgumentError, match="has no end"):
        uk.data.from_source(numbers.repeat())


def test_tensors_of_tensorflow_and_frames_are_arrays():
    tf, pandas = pytest.importorskip("tensorflow"), pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0]})
    ((x, y),) = uk.data.from_arrays({"t": tf.ones((2, 3)), "f": frame}, pandas.Series([0, 1])).batch(2)
    assert (x["t"].shape, x["f"].tolist(), y.tolist()) == ((2, 3), [[1], [2]], [0, 1])
    with pytest.raises(DatasetError, match="RaggedTensor"):
        uk.data.from_arrays(tf.ragged.constant([[1], [1, 2]]))
