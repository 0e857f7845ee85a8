"""A torch module as a Keras layer runs it: its parameters and buffers are Keras variables of the same memory."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from keras import KerasTensor, Variable, tree
from keras.backend import standardize_dtype
from keras.src.backend.common.variables import AutocastScope
from keras.src.backend.torch.core import get_device, to_torch_dtype
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.lazy import LazyModuleMixin

from unikeras.backends._contract import NativeModule
from unikeras.backends.torch._flags import flags
from unikeras.backends.torch._modules import traceable_kernels
from unikeras.errors import ArgumentValueError

# Sizes that stand for a dynamic axis, in pairs: an axis of the output that differs between the two is dynamic. They
# are far apart, so that both are not rounded to one size; a module with a largest size takes a later pair.
_SIZES = ((32, 320), (256, 1024), (8, 64), (2, 6))
_BATCHES = (2, 3)
# What torch raises where there are shapes only, and a module asks for values.
_OF_VALUES = ("DataDependentOutputException", "DynamicOutputShapeException", "GuardOnDataDependentSymNode")


class WrappedModule(NativeModule):
    """A `torch.nn.Module`, moved to Keras' device."""

    def __init__(self, module: torch.nn.Module) -> None:
        _check_initialized(module)
        self.module = module.to(get_device())
        self.variables: dict[str, Any] = {}
        self.aliases: dict[str, str] = {}
        first: dict[int, str] = {}
        for name, tensor in _named_tensors(module):
            known = first.setdefault(id(tensor), name)
            if known == name:
                self.variables[name] = _variable(name, tensor)
            else:
                self.aliases[name] = known
        for name, _ in module.named_buffers(remove_duplicate=False):
            _set_buffer(module, name, self.variables[self.aliases.get(name, name)]._value)
        saved = module.state_dict(keep_vars=True)
        self.unsaved = frozenset(self.variables) - saved.keys()
        self.dtype = _dtype(self.variables)
        self._frozen = {name for name, variable in self.variables.items() if not variable.trainable}

    @contextlib.contextmanager
    def unfrozen(self) -> Iterator[None]:
        flags_now = {name: parameter.requires_grad for name, parameter in self.module.named_parameters()}
        try:
            for name, parameter in self.module.named_parameters():
                parameter.requires_grad_(name not in self._frozen)
            yield
        finally:
            for name, parameter in self.module.named_parameters():
                parameter.requires_grad_(flags_now[name])

    def call(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], training: bool, compute_dtype: str | None
    ) -> Any:
        if any(_is_meta(leaf) for leaf in tree.flatten((args, dict(kwargs)))):
            return self._shapes_only(args, kwargs, compute_dtype)
        self._follow()
        values = self._values()
        before = {name: value for name, value in values.items() if name in self._buffers()}
        if training:
            # Copies, so that what a tape or a snapshot holds stays as it is, and a traced program sees the change.
            values.update({name: value.clone() for name, value in before.items()})
        given = {name: values[name] for name in before}
        result = self._run(values, args, kwargs, training, compute_dtype)
        for name in before:
            if training or values[name] is not given[name]:
                self.variables[name].assign(values[name].detach())
        return result

    def output_spec(self, args: Sequence[Any], kwargs: Mapping[str, Any], compute_dtype: str | None) -> Any:
        try:
            return self._output_spec(args, kwargs, compute_dtype)
        except Exception as error:  # whatever the module raises
            if type(error).__name__ not in _OF_VALUES:
                raise
            raise ArgumentValueError(
                f"what the module {type(self.module).__name__} returns cannot be inferred from shapes, because it asks "
                "for the values of a tensor; compute with torch.where and masks, or call the layer in the call() of a "
                "subclassed model"
            ) from error

    def _output_spec(self, args: Sequence[Any], kwargs: Mapping[str, Any], compute_dtype: str | None) -> Any:
        has_dynamic = any(
            isinstance(leaf, KerasTensor) and None in leaf.shape
            for leaf in tree.flatten((args, dict(kwargs)))
        )
        if not has_dynamic:
            return tree.map_structure(_spec, self._fake_run(args, kwargs, compute_dtype, _BATCHES[0], 1))
        failure: Exception | None = None
        for sizes in _SIZES:
            try:
                small, large = (
                    self._fake_run(args, kwargs, compute_dtype, batch, size)
                    for batch, size in zip(_BATCHES, sizes, strict=True)
                )
                return tree.map_structure(_dynamic_spec, small, large)
            except Exception as error:  # of the module, or of an operator that does not take the size
                failure = failure or error
        assert failure is not None
        raise failure

    def module_copy(self) -> Any:
        with self.unfrozen():
            return copy.deepcopy(self.module)

    def _buffers(self) -> dict[str, Any]:
        return {
            name: self.variables[name] for name, _ in self.module.named_buffers() if name in self.variables
        }

    def _values(self) -> dict[str, torch.Tensor]:
        # Mixed precision is torch's own: it knows which operators stay in float32.
        with AutocastScope(None):
            return {name: variable.value for name, variable in self.variables.items()}

    def _follow(self) -> None:
        """Take over `requires_grad`, with which users of PyTorch freeze a parameter, and buffers that were replaced."""
        for name, parameter in self.module.named_parameters():
            variable = self.variables[name]
            if parameter.requires_grad != variable.trainable and not flags.holds(parameter):
                variable.trainable = parameter.requires_grad
        for name, buffer in list(self.module.named_buffers()):
            variable = self.variables.get(name)
            if variable is not None and variable._value is not buffer:
                variable._value = torch.nn.Parameter(buffer, requires_grad=False)
                _set_buffer(self.module, name, variable._value)

    def _run(
        self,
        values: dict[str, torch.Tensor],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        training: bool,
        compute_dtype: str | None,
    ) -> Any:
        with _mode_of(self.module, training), _precision(compute_dtype), traceable_kernels():
            result = torch.func.functional_call(self.module, values, tuple(args), dict(kwargs))
        return _plain(result)

    def _fake_run(self, args: Any, kwargs: Any, compute_dtype: str | None, batch: int, size: int) -> Any:
        mode = FakeTensorMode(allow_non_fake_inputs=True)

        def fake(leaf: Any) -> Any:
            if not (isinstance(leaf, KerasTensor) or _is_meta(leaf)):
                return leaf
            dtype = to_torch_dtype(standardize_dtype(leaf.dtype))
            sizes = [
                (size if axis else batch) if length is None else length
                for axis, length in enumerate(leaf.shape)
            ]
            with mode:
                return torch.empty(sizes, dtype=dtype, device=_real_device(self.variables))

        values = {
            name: mode.from_tensor(variable._value.detach()) for name, variable in self.variables.items()
        }
        fake_args, fake_kwargs = tree.map_structure(fake, (tuple(args), dict(kwargs)))
        with mode, torch.no_grad():
            return self._run(values, fake_args, fake_kwargs, False, compute_dtype)

    def _shapes_only(self, args: Any, kwargs: Any, compute_dtype: str | None) -> Any:
        """Return tensors without numbers, which is what Keras infers the shapes of a layer around this one with."""
        result = self._fake_run(args, kwargs, compute_dtype, 1, 1)
        return tree.map_structure(
            lambda leaf: (
                torch.empty(leaf.shape, dtype=leaf.dtype, device="meta") if _is_tensor(leaf) else leaf
            ),
            result,
        )


def _check_initialized(module: torch.nn.Module) -> None:
    lazy = [
        name or type(part).__name__
        for name, part in module.named_modules()
        if isinstance(part, LazyModuleMixin) and part.has_uninitialized_params()
    ]
    if lazy:
        raise ArgumentValueError(
            f"the module has parameters without a shape, in {', '.join(lazy)}; call it once on a tensor first"
        )
    without = [name for name, tensor in _named_tensors(module) if tensor.is_meta]
    if without:
        raise ArgumentValueError(
            f"the module has no values yet, in {', '.join(without)}; module.to_empty(device=...) and "
            "load_state_dict give it some"
        )


def _named_tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _variable(name: str, tensor: torch.Tensor) -> Any:
    # A path has slashes between its parts, and torch registers it under a name without dots.
    is_parameter = isinstance(tensor, torch.nn.Parameter)
    return Variable(
        tensor,
        dtype=standardize_dtype(tensor.dtype),
        trainable=is_parameter and tensor.requires_grad,
        name=name.replace(".", "__"),
    )


def _set_buffer(module: torch.nn.Module, name: str, buffer: torch.Tensor) -> None:
    """Let the module have a variable's own tensor: Keras makes a parameter of what it holds, in the same memory."""
    path, _, leaf = name.rpartition(".")
    module.get_submodule(path)._buffers[leaf] = buffer


def _dtype(variables: Mapping[str, Any]) -> str | None:
    kinds = [variable.dtype for variable in variables.values() if variable._value.is_floating_point()]
    return kinds[0] if kinds else None


def _real_device(variables: Mapping[str, Any]) -> torch.device:
    return next((variable._value.device for variable in variables.values()), torch.device("cpu"))


@contextlib.contextmanager
def _mode_of(module: torch.nn.Module, training: bool) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _precision(compute_dtype: str | None) -> contextlib.AbstractContextManager[Any]:
    if compute_dtype is None:
        return contextlib.nullcontext()
    # Without its cache, which would keep a traced program's tensors.
    dtype = to_torch_dtype(compute_dtype)
    return torch.autocast(torch.device(get_device()).type, dtype=dtype, cache_enabled=False)


def _plain(result: Any) -> Any:
    """Return a result as dicts and tuples: the outputs of a transformer, for one, are of a class of their own."""
    if isinstance(result, Mapping):
        return {key: _plain(value) for key, value in result.items()}
    if is_dataclass(result) and not isinstance(result, type):
        named = {field.name: getattr(result, field.name) for field in fields(result)}
        return {name: _plain(value) for name, value in named.items() if value is not None}
    return tuple(_plain(value) for value in result) if isinstance(result, (list, tuple)) else result


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _is_meta(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_meta


def _spec(value: Any) -> Any:
    return KerasTensor(tuple(value.shape), standardize_dtype(value.dtype)) if _is_tensor(value) else value


def _dynamic_spec(small: Any, large: Any) -> Any:
    if not _is_tensor(small):
        return small
    shape = [a if a == b else None for a, b in zip(small.shape, large.shape, strict=True)]
    return KerasTensor(tuple(shape), standardize_dtype(small.dtype))
