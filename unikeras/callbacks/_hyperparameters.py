"""Hyperparameters as TensorBoard's table of runs shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unikeras.callbacks._event_file import tensorboardx
from unikeras.errors import ArgumentError


def hyperparameter_summaries(values: Mapping[str, Any], metrics: Sequence[str]) -> list[Any]:
    """Return the summaries that begin and end a run in the table.

    Args:
        values: hyperparameters by name: bool, str or number; None is left out.
        metrics: the tags of the results.

    Raises:
        ArgumentError: a value is of another type, or a name no text.
    """
    plain = {_name(name): _plain(name, value) for name, value in values.items() if value is not None}
    experiment, start, end = tensorboardx("summary").hparams(plain, {})
    if metrics:
        experiment = _with_metrics(experiment, metrics)
    return [experiment, start, end]


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"a hyperparameter's name must be a str; received {name!r}")
    return name


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bool | str | int | float):
        return value
    raise ArgumentError(
        f"hyperparameter {name!r} is a {type(value).__name__}; expected bool, str or a number"
    )


def _with_metrics(experiment: Any, metrics: Sequence[str]) -> Any:
    api, plugin = tensorboardx("proto.api_pb2"), tensorboardx("proto.plugin_hparams_pb2")
    metadata = experiment.value[0].metadata
    data = plugin.HParamsPluginData.FromString(metadata.plugin_data.content)
    for metric in metrics:
        data.experiment.metric_infos.append(api.MetricInfo(name=api.MetricName(tag=metric)))
    metadata.plugin_data.content = data.SerializeToString()
    return experiment
