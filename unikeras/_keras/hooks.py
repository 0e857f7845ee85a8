"""Every lasting patch of Keras: which attribute, why, what is known upstream, and when it may go.

The table is data. What a replacement does comes from the package that needs it, which calls `use` before its own work
begins; a query never does. `uninstall` puts all originals back.
"""

from __future__ import annotations

import inspect
import pkgutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Hook:
    """An attribute of Keras that is replaced.

    Attributes:
        attribute: its full name; the owner is a class or a module.
        why: what Keras does not do by itself.
        upstream: the issue or pull request, or "none filed".
        until: what makes the patch removable.
    """

    attribute: str
    why: str
    upstream: str
    until: str


_NONE_FILED = "none filed"
_CONTROL_FLOW = (
    "on JAX, what a body assigns to a variable is lost, or a tracer is left in it",
    "https://github.com/keras-team/keras/issues/20724",
    "Keras carries state through its control flow on JAX",
)
_CHOICES = (
    "on PyTorch, Python chooses by a tensor's value, which a trace does not have",
    _NONE_FILED,
    "Keras uses torch.cond and torch.while_loop, with variables that bodies assign to",
)
_APPLY = (
    "gradients are checked against their variables; a failing step gets its variables back",
    _NONE_FILED,
    "Keras checks gradients and calls a hook before it changes variables",
)
_TRACKING = (
    "on PyTorch, a layer that is built under a tape must register its own parameters",
    _NONE_FILED,
    "TorchLayer registers variable._value instead of variable.value",
)
_DRAWS = (
    "on PyTorch, a traced program draws anew at every run, where Keras needs the seed's number; and for "
    "uk.random.portable",
    "https://github.com/pytorch/pytorch/issues/88576",  # no generators in traces: what Keras names in its code
    "Keras' torch backend draws by operators that take the seed's tensor",
)

_PORTABLE = (
    "uk.random.portable draws the same numbers on every backend",
    _NONE_FILED,
    "Keras has a generator of its own, the same on every backend",
)
_DRAWN = (
    *("uniform", "normal", "truncated_normal", "randint", "categorical"),
    *("dropout", "shuffle", "gamma", "beta", "binomial"),
)

TABLE: tuple[Hook, ...] = (
    Hook(
        "keras.Variable._maybe_autocast",
        "tapes see which variable is read, and return a tensor of their own for it",
        _NONE_FILED,
        "Keras has a hook for reads of variables",
    ),
    Hook(
        "keras.Variable.__init__",
        "functions see which variables a run creates; on JAX, a value is a valid initializer in a traced function",
        _NONE_FILED,
        "Keras has a hook for new variables, and a StatelessScope takes initial values",
    ),
    Hook(
        "keras.Variable.assign",
        "a failing step gets back the values that it overwrote",
        _NONE_FILED,
        "Keras has a hook for writes of variables",
    ),
    Hook(
        "keras.Variable._direct_assign",
        "on PyTorch, an assignment must not overwrite what a tape has read",
        _NONE_FILED,
        "Keras' torch backend assigns out of place, or has a hook for writes",
    ),
    Hook(
        "keras.Variable.value",
        "on JAX, arrays that another thread reads are not donated",
        _NONE_FILED,
        "JAX refuses to donate an array that is still referenced",
    ),
    Hook(
        "keras.Variable.numpy",
        "set_weights(get_weights()) works while a function is traced",
        _NONE_FILED,
        "Keras copies weights between models without numpy",
    ),
    Hook("keras.Optimizer.apply", *_APPLY),
    Hook("keras.optimizers.LossScaleOptimizer.apply", *_APPLY),
    Hook("keras.optimizers.MultiOptimizer.apply", *_APPLY),
    Hook(
        "keras.Optimizer._backend_apply_gradients",
        "with accumulated gradients, moving averages change once for each update, and not once for each micro-batch",
        _NONE_FILED,
        "Keras updates the averages in the branch that updates the weights",
    ),
    Hook(
        "keras.Optimizer._get_current_learning_rate",
        "with accumulated gradients, a schedule counts updates, and not micro-batches",
        _NONE_FILED,
        "Keras asks a schedule for optimizer.iterations",
    ),
    Hook(
        "keras.Layer.__call__",
        "uk.debug(nans=True) names the layer that makes the first NaN",
        _NONE_FILED,
        "Keras has forward and backward hooks for layers",
    ),
    Hook(
        "keras.Loss.__call__",
        "uk.debug(nans=True) names the loss that makes the first NaN",
        _NONE_FILED,
        "Keras has hooks for losses",
    ),
    Hook(
        "keras.layers.RNN._create_state_variables",
        "on JAX, a stateful layer makes its state inside a traced function",
        _NONE_FILED,
        "a StatelessScope takes variables whose initial values are computed in it",
    ),
    Hook(
        "keras.Layer._get_regularization_losses",
        "a tape inside a traced function sees which weights are regularized",
        _NONE_FILED,
        "Keras reads variable.value in a StatelessScope too",
    ),
    Hook("keras.Layer._track_variables", *_TRACKING),
    Hook("keras.Layer._post_track_variable", *_TRACKING),
    Hook("keras.Layer._untrack_variable", *_TRACKING),
    Hook(
        "keras.layers.TorchModuleWrapper.call",
        "the module computes with the values of its variables, so that tapes and scopes see them",
        _NONE_FILED,
        "TorchModuleWrapper calls its module by torch.func.functional_call",
    ),
    Hook(
        "keras.src.saving.saving_lib.save_model",
        "a torch module that cannot be exported is an error before a file is opened, which Keras leaves empty",
        _NONE_FILED,
        "Keras serializes a model before it opens the file",
    ),
    Hook(
        "keras.src.backend.tensorflow.core.map",
        "on TensorFlow, the function is called once more than there are elements",
        "https://github.com/keras-team/keras/pull/19903",  # which brought in the extra call
        "Keras learns what the function returns from a trace",
    ),
    Hook("keras.src.backend.torch.random.torch_seed_generator", *_DRAWS),
    Hook("keras.src.backend.torch.random.normal", *_DRAWS),
    Hook("keras.src.backend.torch.random.uniform", *_DRAWS),
    Hook("keras.src.backend.torch.random.randint", *_DRAWS),
    Hook("keras.src.backend.torch.random.truncated_normal", *_DRAWS),
    Hook("keras.src.backend.torch.random.categorical", *_DRAWS),
    Hook("keras.src.backend.torch.random.dropout", *_DRAWS),
    Hook("keras.src.backend.torch.random.shuffle", *_DRAWS),
    Hook("keras.src.backend.torch.random.gamma", *_DRAWS),
    Hook("keras.src.backend.torch.random.binomial", *_DRAWS),
    Hook("keras.src.backend.torch.random.beta", *_DRAWS),
    *(
        Hook(f"keras.src.backend.{backend}.random.{name}", *_PORTABLE)
        for backend in ("tensorflow", "jax")
        for name in _DRAWN
    ),
    Hook("keras.random.SeedGenerator.__init__", *_PORTABLE),
    Hook("keras.src.initializers.random_initializers.RandomInitializer.__init__", *_PORTABLE),
    Hook("keras.src.random.seed_generator.global_seed_generator", *_PORTABLE),
    Hook("keras.src.random.seed_generator.python_random", *_PORTABLE),
    Hook(
        "keras.layers.RandomCrop.transform_images",
        "on PyTorch, a traced program crops where a tensor says",
        _NONE_FILED,
        "RandomCrop crops by ops.slice or ops.take on PyTorch",
    ),
    Hook(
        "keras.src.backend.torch.image.gaussian_blur",
        "on PyTorch, a trace needs the size of the kernel as Python numbers",
        _NONE_FILED,
        "gaussian_blur makes no tensor of its kernel_size",
    ),
    Hook(
        "keras.src.trainers.data_adapters.get_data_adapter",
        "keras.Model reads a data source in the source's own order, and only fit moves its epoch",
        _NONE_FILED,
        "Keras tells a PyDataset whether it is trained on, and does not shuffle one that has an order",
    ),
    *(
        Hook(f"keras.src.backend.torch.core.{name}", *_CHOICES)
        for name in ("cond", "switch", "while_loop", "fori_loop")
    ),
    Hook("keras.src.backend.jax.core.cond", *_CONTROL_FLOW),
    Hook("keras.src.backend.jax.core.switch", *_CONTROL_FLOW),
    Hook("keras.src.backend.jax.core.scan", *_CONTROL_FLOW),
    Hook("keras.src.backend.jax.core.map", *_CONTROL_FLOW),
    Hook("keras.src.backend.jax.core.fori_loop", *_CONTROL_FLOW),
    Hook("keras.src.backend.jax.core.while_loop", *_CONTROL_FLOW),
    Hook("keras.src.backend.jax.core.vectorized_map", *_CONTROL_FLOW),
)

# Takes what an attribute is; returns what takes its place.
Maker = Callable[[Any], Any]

_INHERITED = object()  # the owner had no such attribute of its own
_known = frozenset(hook.attribute for hook in TABLE)
_lock = threading.RLock()
_makers: dict[str, tuple[Maker, ...]] = {}
_originals: dict[str, tuple[Any, str, Any]] = {}


def use(attribute: str, make: Maker) -> None:
    """Replace an attribute of Keras, from now on, in the whole process; a second call changes nothing.

    Where two packages need one attribute, the second wraps what the first one made.

    Args:
        attribute: a name in the table.
        make: a module's function, so that it is known when it comes again.
    """
    if make in _makers.get(attribute, ()):
        return
    if attribute not in _known:
        raise LookupError(f"{attribute} is not in the table of hooks")
    with _lock:
        if make in _makers.get(attribute, ()):
            return
        path, _, name = attribute.rpartition(".")
        owner = pkgutil.resolve_name(path)
        replacement = make(inspect.getattr_static(owner, name))
        _originals.setdefault(attribute, (owner, name, vars(owner).get(name, _INHERITED)))
        setattr(owner, name, replacement)
        _makers[attribute] = (*_makers.get(attribute, ()), make)


def is_installed(attribute: str) -> bool:
    """Say whether an attribute is replaced in this process."""
    return attribute in _makers


def uninstall() -> None:
    """Put all originals back. What is made from now on installs what it needs again."""
    with _lock:
        for owner, name, original in _originals.values():
            if original is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
        _originals.clear()
        _makers.clear()
