"""A module of PyTorch as a Keras layer: the module itself under PyTorch, its program elsewhere."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from unikeras import backends
from unikeras._keras import hooks
from unikeras._keras.saving import add_unsaved_layer
from unikeras.errors import ArgumentValueError, CannotSave, WeightsMismatch
from unikeras.interop._module_calls import ModuleCalls
from unikeras.interop._module_programs import dtype_of, import_called
from unikeras.interop._module_runs import ImportedRun, NativeRun
from unikeras.interop._module_source import SavedSource, copied, read_source, source_of


@keras.saving.register_keras_serializable(package="unikeras")
class TorchModule(keras.layers.Layer):
    """A `torch.nn.Module` as a Keras layer, on every backend.

    On PyTorch the layer runs the module itself, which is shared and not copied: its parameters and buffers are Keras
    variables of the same memory, and it moves to Keras' device. On TensorFlow and JAX the first call imports it by
    `from_torch`, with an example of the shapes and dtypes of that call; torch must be installed for that.

    `training=` chooses between `module.train()` and `module.eval()` for one call; without it, Keras says which. A layer
    with `trainable = False` stays in eval mode. Parameters without `requires_grad` are not trained.

    A saved model has the module's program as data beside its weights. It loads on every backend, and the layer then
    runs the program, without torch. A module that cannot be exported is saved only as `"package:function"`, and loading
    imports that function only with `safe_mode=False`.

    Args:
        module: the module, or `"package:function"`, a function without arguments that builds it.
        dynamic: the dynamic axes of the module's inputs, as for `from_torch`. None: the first axis of each input, and
            axes that have no size in Keras.
        verify: whether the program is compared with the module when it is made: at the first call on TensorFlow and
            JAX, at saving on PyTorch.
        name: the layer's name.
        dtype: a dtype policy of Keras. PyTorch computes a mixed one by `torch.autocast`; elsewhere the module computes
            in its own dtypes, and its outputs are cast. None: the global policy where it is mixed, else the module's
            dtype.
        trainable: False freezes the layer.
        **settings: those of every Keras layer.

    Raises:
        ArgumentError: `module` is no module of PyTorch.
        ArgumentValueError: its parameters have no values, or `dtype` is not theirs.

    Source: keras.layers.TorchModuleWrapper, for a torch module as a layer.

    Example:
        >>> import keras, torch
        >>> import unikeras as uk
        >>> module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
        >>> layer = uk.interop.TorchModule(module, verify=False)
        >>> model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(2)])
        >>> model.output_shape, len(model.trainable_variables)
        ((None, 2), 4)
    """

    def __init__(
        self,
        module: Any,
        *,
        dynamic: Any = None,
        verify: bool = True,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **settings: Any,
    ) -> None:
        source = source_of(module)
        own = None if source.module is None else dtype_of(source.module)
        super().__init__(name=name, dtype=_policy(dtype, own), autocast=False, **settings)
        if own is not None and self.variable_dtype != own:
            raise ArgumentValueError(
                f"the module's parameters are {own}, and dtype={self.dtype_policy.name!r} wants {self.variable_dtype}; "
                f"call module.to(torch.{self.variable_dtype}) first"
            )
        hooks.use("keras.src.saving.saving_lib.save_model", _after_exports)
        self.dynamic, self.verify = dynamic, verify
        self._source = source
        self._calls = ModuleCalls(source.module)
        # In a tuple: Keras' saving walks attributes, and the layer saves all weights itself.
        self._run: tuple[Any, ...] = ()
        self._exported: dict[str, Any] | None = None
        if source.imported is not None:
            self._use_imported(source.imported)
        else:
            self._use_native()
        self.trainable = trainable

    @property
    def module(self) -> Any:
        """The torch module; None where the layer was loaded and runs a program."""
        return self._source.module

    @property
    def named_variables(self) -> dict[str, Any]:
        """The Keras variables of parameters and buffers, by the module's names; tied names have one variable."""
        return dict(self._run[0].variables) if self._run else {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module on tensors, nested as it takes them, by position or by name.

        Several inputs may also come in one list or dict, as Keras gives them.
        """
        training = {"training": kwargs.pop("training")} if "training" in kwargs else {}
        args, kwargs = self._calls.arguments(args, kwargs)
        if not self._run:
            self._calls.note((args, kwargs))
            self._use_imported(import_called(self._source.module, self._calls, self.dynamic, self.verify))
        return super().__call__(*args, **kwargs, **training)

    def call(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Run the module in the mode that `training` says."""
        self._calls.note((args, kwargs))
        return self._run[0].call(args, kwargs, bool(training) and self.trainable, self._mixed_dtype)

    def compute_output_spec(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Return the shapes of the outputs; nothing is computed."""
        self._calls.note((args, kwargs))
        return self._run[0].output_spec(args, kwargs, self._mixed_dtype)

    def save_own_variables(self, store: Any) -> None:
        """Save parameters and buffers under the module's names."""
        for name, variable in self.saved_variables().items():
            store[name] = np.asarray(ops.convert_to_numpy(variable))

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved, on whichever backend.

        Raises:
            WeightsMismatch: names or shapes differ; all of them are named.
        """
        keys = store.keys()  # Keras' stores are no mappings
        found = {key.decode() if isinstance(key, bytes) else key: store[key] for key in keys}
        wanted, known = self.saved_variables(), self.named_variables
        problems = [f"no value for {name}" for name in wanted if name not in found]
        problems += [f"nothing is called {name}" for name in found if name not in known]
        problems += [
            f"{name} has shape {tuple(value.shape)}, and must have {tuple(known[name].shape)}"
            for name, value in found.items()
            if name in known and tuple(value.shape) != tuple(known[name].shape)
        ]
        if problems:
            raise WeightsMismatch(f"the weights do not fit layer {self.name!r}: {'; '.join(problems)}")
        for name, value in found.items():
            known[name].assign(value)

    def get_config(self) -> dict[str, Any]:
        """Return the config; Keras writes the module in it as data when it saves."""
        return {**super().get_config(), "source": SavedSource(self)}

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None, safe_mode: bool | None = None) -> Any:
        """Return the layer of a config.

        Raises:
            UnsafeArtifact: a function would be imported and run.
            CorruptArtifact: the config is damaged.
        """
        config = dict(config)
        source = config.pop("source", None)
        if not isinstance(source, SavedSource):
            return cls(read_source(source, safe_mode), **config)
        layer = source.layer
        return cls(layer.copied_source(), dynamic=layer.dynamic, verify=layer.verify, **config)

    def get_build_config(self) -> None:
        """Return None: the module has all weights from the beginning."""

    def copied_source(self) -> Any:
        """Return a copy of the module or of its program, with its numbers.

        Returns:
            What a new layer takes for its module.
        """
        native = self._native
        module = None if native is None else native.module_copy()
        return copied(self._source, module)

    def module_data(self) -> dict[str, Any]:
        """Return what is saved of the module: its program, or the name of the function that builds it.

        Returns:
            Data that JSON takes.

        Raises:
            CannotSave: it has neither.
        """
        if self._exported is not None:
            return self._exported
        if self._native is None and self._run:
            return {"builder": self._source.builder, "program": self._run[0].imported.get_config()}
        try:
            program = self._import().get_config()
        except Exception as error:  # torch's exporter raises whatever it meets, and what the module raises
            if not self._source.builder:
                raise CannotSave(
                    f"layer {self.name!r} cannot be saved, because its torch module has no program: {error}\n"
                    f'TorchModule("package:function"), with a function that builds the module, is saved by that name'
                ) from error
            program = None
        return {"builder": self._source.builder, "program": program}

    def to_torch_module(self) -> Any:
        """Return a copy of the module with the layer's numbers, for `lowering`; None where there is no such module.

        Returns:
            A `torch.nn.Module`; None after loading, and in mixed precision.
        """
        if self.module is None or self._mixed_dtype is not None:
            return None
        if self._native is not None:
            return self._native.module_copy()
        from unikeras.lowering import tensors_of

        module = copy.deepcopy(self.module)
        arrays = {name: np.array(ops.convert_to_numpy(one)) for name, one in self.saved_variables().items()}
        module.load_state_dict(tensors_of(arrays), strict=False)  # tied weights are there under one name
        return module

    @contextmanager
    def exported(self) -> Iterator[None]:
        """Export the module now, so that an error comes before a file is opened."""
        self._exported = self.module_data()
        try:
            yield
        finally:
            self._exported = None

    @property
    def _native(self) -> Any:
        return self._run[0].native if self._run and isinstance(self._run[0], NativeRun) else None

    @property
    def _mixed_dtype(self) -> str | None:
        return str(self.compute_dtype) if self.compute_dtype != self.variable_dtype else None

    def _use_native(self) -> None:
        with keras.name_scope(self.name, caller=self):
            native = backends.current().wrap_module(self._source.module)
        if native is not None:
            self._run = (NativeRun(native),)
            self._own_variables = list(native.variables.values())
            self.built = True

    def _use_imported(self, imported: Any) -> None:
        self._run = (ImportedRun(imported),)
        add_unsaved_layer(self, imported)
        self.built = True
        if not self.trainable:
            self.trainable = False  # tells the new variables

    def _import(self) -> Any:
        native = self._native
        if native is None:
            return import_called(self._source.module, self._calls, self.dynamic, self.verify)
        with native.unfrozen():
            return import_called(native.module, self._calls, self.dynamic, self.verify)

    def saved_variables(self) -> dict[str, Any]:
        """Return what a state_dict of the module has, each variable once under the first of its names.

        Returns:
            Keras variables by torch's names.
        """
        names: dict[int, str] = {}
        for name, variable in self.named_variables.items():
            if name not in self._run[0].unsaved:
                names.setdefault(id(variable), name)
        return {name: self.named_variables[name] for name in names.values()}


def _policy(dtype: Any, own: str | None) -> Any:
    """Return the dtype policy of a layer: what is asked for, else a global one that is mixed, else the module's."""
    everywhere = keras.config.dtype_policy()
    if dtype is not None or own is None:
        return dtype
    is_mixed = everywhere.compute_dtype != everywhere.variable_dtype == own
    return everywhere if is_mixed else own


def _after_exports(own: Callable[..., Any]) -> Callable[..., Any]:
    """Export all torch modules of a model before Keras opens its file, which is empty after an error."""

    @functools.wraps(own)
    def save_model(model: Any, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as exports:
            for layer in model._flatten_layers():
                if isinstance(layer, TorchModule):
                    exports.enter_context(layer.exported())
            return own(model, *args, **kwargs)

    return save_model
