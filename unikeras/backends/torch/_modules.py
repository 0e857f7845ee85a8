"""Torch modules inside Keras models (`keras.layers.TorchModuleWrapper`): their parameters are read as variables.

Keras wraps each parameter in a variable, and the module then reads the parameter itself, unseen by whoever watches
variables. While a tape records, or a scope holds other values, the module is called on what its variables return.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from keras.backend import standardize_dtype
from keras.layers import TorchModuleWrapper
from keras.ops import convert_to_tensor
from keras.src.backend import get_stateless_scope

from unikeras._keras import hooks
from unikeras._keras.scopes import RecordingScope, TransformScope, recording_scope
from unikeras.backends import variable_reads
from unikeras.backends.torch._flags import flags

# Called with buffers, each as an object whose `_value` it is, before a module in training changes them.
listeners: dict[Callable[[list[Any]], None], None] = {}


def install() -> None:
    """Let `TorchModuleWrapper` call its module on the values of its variables, where these are watched."""
    hooks.use("keras.layers.TorchModuleWrapper.call", _on_values)


def _on_values(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def call(self: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        _follow_flags(self)
        if training is not False:
            _tell_of_buffers(self)
        if not _is_seen() or torch.compiler.is_compiling():
            return own(self, *args, training=training, **kwargs)
        self.train(training is not False)
        if recording_scope() is None:
            return torch.func.functional_call(self.module, _values(self), args, kwargs)
        buffers = _copied_buffers(self)
        with traceable_kernels():
            result = torch.func.functional_call(self.module, {**_values(self), **buffers}, args, kwargs)
        _assign_changed(self, buffers)
        return result

    return call


@contextlib.contextmanager
def traceable_kernels() -> Iterator[None]:
    """Let a traced `nn.LSTM` take steps of its own on a CPU.

    oneDNN's backward pass takes an undefined tensor, which a graph cannot hold.
    """
    enabled = torch._C._get_mkldnn_enabled()
    if recording_scope() is None or not enabled:
        yield
        return
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)


class _Buffer:
    """A buffer with what a Keras variable has, for those who watch, save or restore it."""

    def __init__(self, value: torch.Tensor, path: str) -> None:
        self._value = value
        self.path = path

    @property
    def value(self) -> torch.Tensor:
        return self._value

    def assign(self, value: Any) -> None:
        """Change it in place, since the module has it too."""
        with torch.no_grad():
            self._value.copy_(convert_to_tensor(value, dtype=standardize_dtype(self._value.dtype)))


def native_buffers(model: Any) -> list[Any]:
    """Return the buffers of all torch modules inside a Keras model."""
    wrappers = [layer for layer in model._flatten_layers() if isinstance(layer, TorchModuleWrapper)]
    return list({id(buffer._value): buffer for w in wrappers for buffer in _buffers(w).values()}.values())


def _tell_of_buffers(wrapper: Any) -> None:
    holders = list(_buffers(wrapper).values())
    for listener in tuple(listeners):
        listener(holders)


def _buffers(wrapper: Any) -> dict[str, Any]:
    """Return for each buffer, by name, the one object that stands for it as a variable."""
    known = vars(wrapper).setdefault("_unikeras_buffers", {})
    for name, buffer in wrapper.module.named_buffers():
        if id(buffer) not in known:
            known[id(buffer)] = _Buffer(buffer, f"{wrapper.path}/{name}")
    return {name: known[id(buffer)] for name, buffer in wrapper.module.named_buffers()}


def _copied_buffers(wrapper: Any) -> dict[str, torch.Tensor]:
    """Return copies of the buffers for a traced module to change: the program writes them at its end."""
    scope = get_stateless_scope()
    return {name: scope.get_current_value(holder).clone() for name, holder in _buffers(wrapper).items()}


def _assign_changed(wrapper: Any, buffers: dict[str, torch.Tensor]) -> None:
    scope = get_stateless_scope()
    for name, holder in _buffers(wrapper).items():
        scope.add_update((holder, buffers[name]))


def _is_seen() -> bool:
    scope = get_stateless_scope()
    # Keras' own scopes infer shapes, on tensors without numbers; buffers have none of that kind.
    if isinstance(scope, TransformScope | RecordingScope):
        return True
    return scope is None and bool(variable_reads.tapes())


def _values(wrapper: Any) -> dict[str, torch.Tensor]:
    variables = {id(variable._value): variable for variable in wrapper.variables}
    return {
        name: variables[id(parameter)].value
        for name, parameter in wrapper.module.named_parameters()
        if id(parameter) in variables
    }


def _follow_flags(wrapper: Any) -> None:
    """Take over `requires_grad`, with which users of PyTorch freeze a parameter."""
    for variable in wrapper._trainable_variables + wrapper._non_trainable_variables:
        parameter = variable._value
        if (
            parameter is not None
            and parameter.requires_grad != variable.trainable
            and not flags.holds(parameter)
        ):
            variable.trainable = parameter.requires_grad
