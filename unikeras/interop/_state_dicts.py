"""Weights between a state_dict of torch and a Keras model, in both ways."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from unikeras.errors import ArgumentError, ArgumentValueError, ParityError, UnikerasError, WeightsMismatch
from unikeras.interop._imported_module import ImportedModule
from unikeras.interop._imported_weights import imported_state_dict, load_imported_state_dict
from unikeras.interop._layer_places import Places
from unikeras.interop._module_layer import TorchModule
from unikeras.interop._module_links import take_named
from unikeras.interop._tensor_files import read_weights
from unikeras.interop._unit_matches import Matches
from unikeras.interop._unit_rules import units_of
from unikeras.interop._weight_exchange import (
    Mapped,
    Shapes,
    checked_places,
    loaded_values,
    match_weights,
    problems_left,
    report_of,
    tied_to,
)
from unikeras.interop._weight_links import Array, Unit
from unikeras.interop._weights_report import WeightsReport


def load_state_dict(
    model: Any,
    state_dict: Any,
    *,
    mapping: Mapped | None = None,
    strict: bool = True,
    verify: Any = None,
    flatten: Shapes | None = None,
) -> WeightsReport:
    """Give a Keras model the weights of a torch module; torch is needed for its own tensors and `.pt` files only.

    Layers and modules are matched by name, by structure and shape, then by order; a model of `from_torch` has torch's
    own names. Everything is checked before anything is assigned. Where settings differ that change numbers, such as
    epsilon, there is a warning.

    Args:
        model: a built `keras.Model`, on any backend.
        state_dict: a mapping of tensors or arrays, a torch module, or a path: `.safetensors`, the `.index.json` of
            shards or their folder, or `.pt`, `.bin` or `.ckpt`, which are read without unpickling objects.
        mapping: Keras paths, such as `"encoder/dense"`, by names of torch modules, for what the rest does not tell.
            None leaves a module out.
        strict: whether all weights of both sides must find a place. False assigns what fits.
        verify: the torch module itself. Both run on seeded inputs, and their layers are compared.
        flatten: by the path of a layer, the shape (height, width, channels) that its inputs were flattened from,
            where the graph does not tell, or None where torch has the same order.

    Returns:
        A `WeightsReport`: what went where, what is left, and the warnings.

    Raises:
        WeightsMismatch: weights do not fit, or could go to several places; all problems are named.
        ParityError: the outputs differ after loading; the message has the first layer that does. The weights are what
            they were.
        ArgumentError: the model is not built, or an argument is of another type.
        UnikerasError: the file cannot be read: `ArtifactNotFound`, `CorruptArtifact`, `UnsafeArtifact`.

    Source: torch.nn.Module.load_state_dict, for the name and `strict`.

    Example:
        >>> import keras, numpy as np
        >>> import unikeras as uk
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="out")])
        >>> weights = {"fc.weight": np.ones((2, 3), "float32"), "fc.bias": np.zeros(2, "float32")}
        >>> report = uk.interop.load_state_dict(model, weights)
        >>> report.rows[0].layer, report.rows[0].module, report.complete
        ('out', 'fc', True)
    """
    if verify is not None and not callable(getattr(verify, "named_modules", None)):
        raise ArgumentError(f"verify= takes the torch module; received {type(verify).__qualname__}")
    if isinstance(model, ImportedModule):
        _check_unused(mapping=mapping, verify=verify, flatten=flatten)
        return load_imported_state_dict(model, state_dict, strict)
    places = checked_places(model, flatten)
    named, rows, places.found, state = take_named(places.found, read_weights(state_dict))
    found = match_weights(places, state, mapping)
    values, problems = loaded_values(found)
    values += named
    report = report_of(model, state, found, places, verify if verify is not None else state_dict)
    report.rows.extend(rows)
    problems = [*found.problems, *problems, *problems_left(found, report, strict)]
    if problems:
        raise WeightsMismatch(
            "\n".join([f"the weights do not fit model {model.name!r}:", *(f"  {one}" for one in problems)]),
            report,
        )
    with _undone_after_errors([variable for variable, _ in values]):
        for variable, value in values:
            variable.assign(value)
        if verify is not None:
            report = _verified(model, verify, report)
    for text in report.warnings:
        warnings.warn(text, stacklevel=2)
    return report


def state_dict(
    model: Any, like: Any = None, *, mapping: Mapped | None = None, flatten: Shapes | None = None
) -> dict[str, Any]:
    """Return the weights of a Keras model under torch's names and in torch's layout.

    What `load_state_dict` has loaded comes back bit for bit, but for the two biases of torch's LSTM and RNN: Keras has
    their sum, which comes back as the first of them, beside zeros.

    Args:
        model: a built `keras.Model`, on any backend.
        like: a torch module, a state_dict or the path of one: its names are used, and its counters returned. None:
            names are those of the Keras layers, with dots.
        mapping: as for `load_state_dict`.
        flatten: as for `load_state_dict`.

    Returns:
        Arrays by name; tensors where `like` is a torch module or has tensors, so that its `load_state_dict` takes them.

    Raises:
        WeightsMismatch: weights have no place in torch, or in `like`; all of them are named.
        ArgumentError: the model is not built, or `like` is of another type.
        UnikerasError: the file cannot be read.

    Source: torch.nn.Module.state_dict, for the name.

    Example:
        >>> import keras
        >>> import unikeras as uk
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="out")])
        >>> {name: array.shape for name, array in uk.interop.state_dict(model).items()}
        {'out.weight': (2, 3), 'out.bias': (2,)}
    """
    if isinstance(model, ImportedModule):
        _check_unused(mapping=mapping, flatten=flatten)
        return _as_tensors(imported_state_dict(model), like)
    places = checked_places(model, flatten)
    if like is None:
        return _named_by_layers(model, places)
    state = read_weights(like)
    found = match_weights(places, state, mapping)
    problems = [*found.problems, *problems_left(found, report_of(model, state, found, places, None), True)]
    result = dict(state)
    for unit, group, _ in found.pairs:
        for name, array in _dumped(unit, problems).items():
            # The counters of `like` stay what they are.
            keys = () if name in unit.ignored else group.keys.get(name, ())
            if len(keys) > 1:
                problems.append(
                    f"{group.path}.{name} is made of {' and '.join(keys)}; remove weight_norm there"
                )
            result.update({key: _of_shape(array, state[key].shape) for key in keys})
    _refuse(model, problems)
    _repeat_tied(result, state, found)
    return _as_tensors(result, like)


def _as_tensors(arrays: dict[str, Any], like: Any) -> dict[str, Any]:
    """Return tensors of torch where `like` is a module or has tensors."""
    holds_tensors = any(callable(getattr(one, "detach", None)) for one in getattr(like, "values", list)())
    if callable(getattr(like, "named_modules", None)) or holds_tensors:
        from unikeras.lowering import tensors_of

        return dict(tensors_of(arrays))
    return arrays


def _check_unused(**arguments: Any) -> None:
    """Refuse arguments that an imported module, which knows torch's names and layout, has no use for."""
    given = [f"{name}=" for name, value in arguments.items() if value is not None]
    if given:
        raise ArgumentValueError(
            f"{', '.join(given)} is not for a model of from_torch: it has torch's own names"
        )


def _named_by_layers(model: Any, places: Places) -> dict[str, Any]:
    problems: list[str] = []
    result: dict[str, Any] = {}
    for place in places.found:
        for unit in units_of(place):
            if unit.refusal:
                problems.append(f"{unit.path} {unit.refusal}")
                continue
            path = unit.path.replace("/", ".")
            tensors = _dumped(unit, problems)
            recurrent = unit.kind in ("LSTM", "GRU", "RNN")
            result.update({_torch_name(path, name, recurrent): array for name, array in tensors.items()})
        if isinstance(place.layer, TorchModule):
            result.update(_repeated(place))
    _refuse(model, problems)
    return result


def _repeated(place: Any) -> dict[str, Any]:
    """Return the arrays of a torch module's tied weights, under all of their names."""
    saved = {id(variable) for variable in place.layer.saved_variables().values()}
    return {
        f"{place.path.replace('/', '.')}.{name}": np.array(keras.ops.convert_to_numpy(variable))
        for name, variable in place.layer.named_variables.items()
        if id(variable) in saved
    }


def _torch_name(path: str, name: str, recurrent: bool) -> str:
    if recurrent:
        name = f"{name.removesuffix('_reverse')}_l0{'_reverse' if name.endswith('_reverse') else ''}"
    return f"{path}.{name}" if name else path


def _dumped(unit: Unit, problems: list[str]) -> dict[str, Array]:
    """Return the tensors of a unit, with those that torch's module has and the layer does not."""
    tensors: dict[str, Array] = {}
    for link in unit.links:
        values = [np.array(keras.ops.convert_to_numpy(variable)) for variable in link.variables]
        try:
            arrays = link.dump(*values)
        except UnikerasError as error:
            problems.append(str(error))
            continue
        tensors.update(zip(link.tensors, map(np.ascontiguousarray, arrays), strict=True))
    if {"weight", "bias"} & tensors.keys():
        tensors.update(
            {name: np.full(shape, value, "float32") for name, (shape, value) in unit.constants.items()}
        )
    return {**tensors, **unit.ignored}


def _repeat_tied(result: dict[str, Any], state: Mapping[str, Array], found: Matches) -> None:
    """Give tied weights, which have two names, their new values under the second one too."""
    keys = [key for _, group, _ in found.pairs for names in group.keys.values() for key in names]
    arrays = [state[key] for key in keys]
    for group in found.left_groups:
        for name, array in group.tensors.items():
            number = tied_to(array, arrays)
            if number is not None:
                result.update(dict.fromkeys(group.keys[name], result[keys[number]]))


def _of_shape(array: Array, shape: tuple[int, ...]) -> Array:
    """Return one number where torch has one, such as a slope, and Keras many that are equal."""
    is_one = shape == (1,) and array.size > 1 and (array == array.flat[0]).all()
    return array.reshape(-1)[:1] if is_one else array


def _refuse(model: Any, problems: Sequence[str]) -> None:
    if problems:
        lines = [f"the weights of model {model.name!r} do not fit torch:", *(f"  {one}" for one in problems)]
        raise WeightsMismatch("\n".join(lines))


@contextlib.contextmanager
def _undone_after_errors(variables: Sequence[Any]) -> Iterator[None]:
    """Put variables back to what they were if the block raises."""
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    try:
        yield
    except BaseException:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        raise


def _verified(model: Any, module: Any, report: WeightsReport) -> WeightsReport:
    """Compare the model with the module."""
    from unikeras.compare import parity

    found = parity(model, against=module, steps=0)
    if not found.equal:
        raise ParityError("\n".join([found.verdict, *report.warnings, "", str(report)]), found)
    return replace(report, parity=found)
