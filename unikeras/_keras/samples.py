"""Seeded inputs that a model can take: of its dtypes, and within its vocabularies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras._keras.discovery import graph_of
from unikeras._specs.signature import Signature, TensorSpec, numpy_dtype
from unikeras._specs.structure import take_apart
from unikeras.errors import ExportError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sizes:
    """What the dynamic axes of all inputs are in one run.

    Attributes:
        batch: the first axis.
        length: the first dynamic axis after it.
        size_factor: how many times `length` the dynamic axes after that one are: height and width differ, so
            that the one is not taken for the other.
        apart: how much longer each input is than the one before it, so that two inputs whose lengths have
            nothing to do with each other are not taken for equally long.
    """

    batch: int
    length: int
    size_factor: int = 1
    apart: int = 0

    def of(self, spec: TensorSpec, number: int = 0) -> tuple[int, ...]:
        """Return the shape of one input, where `number` others come before it.

        Example:
            >>> Sizes(3, 8, 2).of(TensorSpec("image", (None, None, None, 5), "float32"))
            (3, 8, 16, 5)
        """
        free = [axis for axis, size in enumerate(spec.shape or ()) if size is None and axis]
        length = self.length + number * self.apart
        lengths = {axis: length * (self.size_factor if axis in free[1:] else 1) for axis in free}
        shape = enumerate(spec.shape or ())
        return tuple(lengths.get(axis, self.batch) if size is None else size for axis, size in shape)


def sample(
    spec: TensorSpec, high: int, sizes: Sizes, seed: int, words: Sequence[str] = (), number: int = 0
) -> Array:
    """Return one input, the same for the same arguments.

    Sequences hold steps of zeros, which masks take for padding.

    Args:
        spec: which input.
        high: integers come from [0, high); 0 for real numbers.
        sizes: those of the dynamic axes.
        seed: different seeds give different values.
        words: what text may be.
        number: how many inputs come before it.

    Raises:
        ExportError: nothing is known about values of its dtype.
    """
    shape = sizes.of(spec, number)
    rng = np.random.default_rng([seed, *spec.name.encode()])
    dtype = numpy_dtype(spec.dtype)
    if spec.dtype == "string":
        return np.asarray(rng.choice([*words, "", "unheard-of"], shape), object)
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    if high:
        return _padded(np.asarray(rng.integers(0, high, shape)).astype(dtype), 2)
    if dtype.kind in "fcV":  # V: bfloat16
        return _padded(np.asarray(rng.normal(size=shape)).astype(dtype), 3)
    raise ExportError(f"input {spec.name!r} is of dtype {spec.dtype}, for which no values can be made up")


def _padded(array: Array, rank: int) -> Array:
    """Set steps of a sequence to zero: the last third of the first example, one in the middle of the last."""
    if array.ndim < rank or array.shape[1] < 3:
        return array
    steps = array.shape[1]
    array[0, steps - steps // 3 :] = 0
    array[-1, steps // 2] = 0
    return array


def example(signature: Signature) -> list[Array]:
    """Return inputs to trace a model with: ones, and zeros where they may be indices.

    The batch is 2, because tracers take a size of 1 for a constant.
    """
    sizes = Sizes(2, signature.length, signature.stretch, signature.apart)
    values = [0 if str(spec.dtype).startswith(("int", "uint")) else 1 for spec in signature.inputs]
    return [
        np.full(sizes.of(spec, number), value, numpy_dtype(spec.dtype))
        for number, (spec, value) in enumerate(zip(signature.inputs, values, strict=True))
    ]


@dataclass(frozen=True)
class Sampler:
    """What is known of the values that a model takes; made once, by `of`.

    Attributes:
        smallest: the smallest vocabulary of the model, which bounds all integers: which of them reaches which
            embedding is more than the graph says; 0 where there is none.
        indices: the numbers of the inputs that feed an embedding.
        words: what text may be.
    """

    smallest: int
    indices: frozenset[int]
    words: tuple[str, ...]

    @classmethod
    def of(cls, model: Any, tensors: Sequence[Any]) -> Sampler:
        """Return the sampler of a model's inputs.

        Args:
            model: a Keras model.
            tensors: the tensors that its graph begins with, in the signature's order; none for a subclassed model.
        """
        return cls(*_vocabulary_and_indices(model, tensors), tuple(words_of(model)))

    def sample(
        self, specs: Sequence[TensorSpec], sizes: Sizes, seed: int, numbered: bool = True
    ) -> list[Array]:
        """Return a value for each input; see `sample`.

        Args:
            specs: the inputs.
            sizes: those of the dynamic axes.
            seed: different seeds give different values.
            numbered: whether `sizes.apart` counts: each input is that much longer than the one before it.
        """
        return [
            sample(
                spec,
                _range(spec, self.smallest, number in self.indices),
                sizes,
                seed,
                self.words,
                number if numbered else 0,
            )
            for number, spec in enumerate(specs)
        ]


def ranges(model: Any, specs: Sequence[TensorSpec], tensors: Sequence[Any] | None = None) -> list[int]:
    """Return for each input how many values an index in it may take, or 0 where it holds real numbers.

    Args:
        model: a Keras model.
        specs: its inputs.
        tensors: the model's own tensors for them; None where the specs stand in the signature's order.
    """
    smallest, indices = _vocabulary_and_indices(model, tensors)
    return [_range(spec, smallest, number in indices) for number, spec in enumerate(specs)]


def _vocabulary_and_indices(model: Any, tensors: Sequence[Any] | None) -> tuple[int, frozenset[int]]:
    layers = list(model._flatten_layers())
    smallest = min(filter(None, map(_vocabulary, layers)), default=0)
    return smallest, frozenset(_inputs_of_embeddings(model, layers, tensors))


def words_of(model: Any) -> list[str]:
    """Return text that a model may take: the words that its layers know, and pairs of them."""
    known = {
        str(word)
        for layer in model._flatten_layers()
        if type(layer).__name__ in ("TextVectorization", "StringLookup")
        for word in layer.get_vocabulary()
    }
    words = sorted(known)
    return [*words, *(f"{left} {right}" for left, right in itertools.pairwise(words))]


def _range(spec: TensorSpec, smallest: int, is_index: bool) -> int:
    if str(spec.dtype).startswith(("int", "uint")):
        return smallest or (256 if spec.dtype == "uint8" else 100)
    return smallest if is_index else 0


def _vocabulary(layer: Any) -> int:
    import keras

    if isinstance(layer, keras.layers.Embedding):
        return int(layer.input_dim)
    if vocabulary := getattr(layer, "declared_vocabulary", 0):
        return int(vocabulary)
    return int(layer.num_tokens or 0) if isinstance(layer, keras.layers.CategoryEncoding) else 0


def _inputs_of_embeddings(model: Any, layers: Sequence[Any], tensors: Sequence[Any] | None) -> set[int]:
    """Return the numbers of the inputs that feed an embedding; without `Input`, Keras calls them floats."""
    fed = {
        id(tensor)
        for layer in layers
        if _vocabulary(layer)
        for node in layer._inbound_nodes
        for tensor in node.input_tensors
    }
    if tensors is None:
        # Not `inputs`, which Keras sorts by name: numbers count in the signature's order.
        _, tensors = take_apart(getattr(graph_of(model), "_inputs_struct", []))
    return {number for number, tensor in enumerate(tensors) if id(tensor) in fed}
