"""A module of PyTorch as a Keras model: its program, run with Keras' operations."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from unikeras._specs.program_reader import read_program
from unikeras._specs.torch_program import TorchProgram
from unikeras.errors import SignatureError
from unikeras.interop._array_text import read_array, write_array
from unikeras.interop._import_report import ImportReport
from unikeras.interop._imported_layer import ImportedLayer, add_variable, make_layers, owner_of
from unikeras.interop._program_inputs import read_inputs, signature_of, static_axes
from unikeras.interop._program_runner import Runner, check_operators


@keras.saving.register_keras_serializable(package="unikeras")
class ImportedModule(keras.Model):
    """A module of PyTorch as a Keras model that trains on every backend; `unikeras.interop.from_torch` makes it.

    It takes the module's own inputs in their layout (channels first), by position or by name, also in one list or dict
    as `fit` gives them, and returns the module's structure, with tuples for lists. `training=` chooses between the
    graphs of `module.train()` and `module.eval()`. It computes in torch's dtypes, whatever the dtype policy is.

    Args:
        program: what the module computes.
        arrays: the values of its variables, by torch's names; others start as in Keras' layers.
        name: the model's name.

    Attributes:
        program: what the module computes.
        named_variables: the Keras variables by torch's names; tied names have one variable.
        import_report: what `from_torch` found; None after loading.
    """

    def __init__(
        self, program: TorchProgram, arrays: Mapping[str, Any] | None = None, name: str | None = None
    ) -> None:
        check_operators(program)
        super().__init__(name=name or _name_of(program), dtype="float32", autocast=False)
        self.program = program
        self.import_report: ImportReport | None = None
        layers = make_layers(program)
        # A view: Keras would track the variables of a dict as the model's own.
        self._layers_by_path = MappingProxyType(layers)
        self.parts = [layer for path, layer in layers.items() if "." not in path]
        by_name = {}
        for variable in program.variables:
            value = None if arrays is None else arrays.get(variable.name)
            owner = owner_of(variable, layers, self)
            with contextlib.nullcontext() if owner is self else keras.name_scope(self.name):
                own = add_variable(owner, variable, value)
            by_name.update(dict.fromkeys((variable.name, *variable.aliases), own))
        self.named_variables = MappingProxyType(by_name)
        self._eval, self._train = Runner(program, program.eval), Runner(program, program.train)
        self.seed_generator = (
            keras.random.SeedGenerator() if self._eval.is_seeded or self._train.is_seeded else None
        )
        self.built = True

    def call(self, *inputs: Any, training: bool = False, **named: Any) -> Any:
        """Run the graph of one mode.

        Args:
            *inputs: the module's positional arguments, or one list or dict of all.
            training: whether it is the graph of train mode, which updates running statistics.
            **named: the module's arguments by name.

        Returns:
            Tensors, nested as the module's outputs.

        Raises:
            SignatureError: the inputs do not fit.
        """
        return self.run(read_inputs(self.program, inputs, named), training=training)[0]

    def run(
        self, inputs: Mapping[str, Any], *, training: bool, watched: Collection[str] = (), draws: bool = True
    ) -> tuple[Any, dict[str, Any]]:
        """Run the graph of one mode on inputs by name, and return values of its nodes besides.

        Args:
            inputs: tensors by the names of the program's inputs.
            training: whether it is the graph of train mode.
            watched: names of nodes.
            draws: whether dropout drops.

        Returns:
            The outputs, and the values of the nodes that are watched, by name.
        """
        runner = self._train if training else self._eval
        held = {
            node: ops.convert_to_tensor(self.named_variables[name]) for node, name in runner.graph.held.items()
        }
        values, kept = runner({**inputs, **held}, self.seed_generator, watched, draws)
        writes = runner.graph.writes
        for name, value in zip(writes, values, strict=False):
            self.named_variables[name].assign(value)
        return _nested(self.program.outputs_structure, values[len(writes) :]), kept

    def compute_output_spec(self, *inputs: Any, training: bool = False, **named: Any) -> Any:
        tensors = read_inputs(self.program, inputs, named, convert=False)
        problems = static_axes(self.program, tensors)
        if problems:
            raise SignatureError(f"the inputs do not fit {signature_of(self.program)}: {'; '.join(problems)}")
        return super().compute_output_spec(*inputs, training=training, **named)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """Return a layer by torch's path at any depth, such as `"encoder.0.attention"`, or as Keras does."""
        layer = self._layers_by_path.get(name) if name is not None else None
        return super().get_layer(name=name, index=index) if layer is None else layer

    def get_config(self) -> dict[str, Any]:
        """Return the program as JSON, with what is no parameter: buffers, constants, and what is frozen."""
        fixed = [one for one in self.program.variables if one.kind != "parameter"]
        return {
            "name": self.name,
            "program": json.dumps(self.program.to_json(), separators=(",", ":"), allow_nan=False),
            "arrays": {one.name: write_array(array_of(self.named_variables[one.name])) for one in fixed},
            "frozen": self._frozen(),
        }

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Any:
        """Return the model of a config: parameters start as Keras' layers do, and buffers and constants as they were.

        Raises:
            CorruptArtifact: the config is damaged.
            UnknownOperator: an operator has no rule here.
        """
        program = read_program(config["program"])
        arrays = {
            one.name: read_array(config["arrays"].get(one.name), one) for one in program.variables
            if one.kind != "parameter"
        }
        model = cls(program, arrays, name=config.get("name"))
        frozen = config.get("frozen", ())
        for path, layer in model._layers_by_path.items():
            layer.trainable = path not in frozen
        if "" in frozen:
            model.trainable = False
        return model

    def _frozen(self) -> list[str]:
        """Return the paths of layers that were frozen; "" is the model."""
        if not self.trainable:
            return [""]
        return [path for path, layer in self._layers_by_path.items() if not layer.trainable]


def array_of(variable: Any) -> np.ndarray[Any, Any]:
    """Return a copy of a variable's value."""
    return np.array(ops.convert_to_numpy(variable))


def _name_of(program: TorchProgram) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", program.name).lower().replace("/", "_") or "module"


def _nested(structure: Any, leaves: Sequence[Any]) -> Any:
    """Return outputs as torch nests them; its lists are tuples here."""
    if isinstance(structure, dict):
        return {key: _nested(inner, leaves) for key, inner in structure.items()}
    if isinstance(structure, list):
        return tuple(_nested(inner, leaves) for inner in structure)
    return leaves[structure] if isinstance(structure, int) else structure
