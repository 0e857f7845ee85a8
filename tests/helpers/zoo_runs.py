"""A module of the zoo in torch, and its import on any backend: outputs, gradients, running statistics, three steps.

`write` runs in a process of PyTorch: it imports a module there, saves it, and computes torch's own answers with inputs
of a batch and a length that the import has not seen. `gaps` loads the file under any backend and compares.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

EXPORTED, NEW = (3, 7), (5, 11)
STEPS = 3
Answers = dict[str, Any]


def write(name: str, folder: str) -> Answers:
    """Import a module, save it as FOLDER/NAME.keras, and return torch's answers at new sizes.

    Returns:
        `inputs`; `eval` and `train`: flat lists of outputs; `gradients` and `buffers` by name, of the first step in
        train mode; `losses` of all steps.
    """
    import torch

    import unikeras as uk

    one, module = make(name)
    model = uk.interop.from_torch(module, one.inputs(*EXPORTED), dynamic=one.dynamic, verify=False)
    model.save(Path(folder) / f"{name}.keras")
    inputs = one.inputs(*NEW)
    with torch.no_grad():
        evaluated = flat(module.eval()(*inputs))
    found = {"inputs": _numpy(inputs), "eval": _numpy(evaluated), **_train(one, module, inputs)}
    return found | {
        "is_random": one.is_random,
        "is_half": one.is_half,
        "tolerance": one.tolerance,
        "gradient_tolerance": one.tolerance if one.is_half else one.gradients,
        "formats": one.formats,
    }


def make(name: str) -> Any:
    """Return what the zoo says of a module, and the module with weights of a fixed seed."""
    import torch

    from helpers import torch_zoo

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    one = torch_zoo.find(name)
    return one, one.build()


def _train(one: Any, module: Any, inputs: Any) -> Answers:
    import torch

    found: Answers = {"losses": []}
    module.train(not one.is_random)
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    optimizer = (
        torch.optim.SGD(parameters.values(), 1e-2)
        if one.is_half
        else torch.optim.Adam(parameters.values(), 1e-3, eps=1e-12)
    )
    for step in range(STEPS):
        optimizer.zero_grad()
        outputs = flat(module(*inputs))
        losses = [
            ((y.float() - torch.from_numpy(target(y.shape, at))) ** 2).mean()
            for at, y in enumerate(outputs)
            if y.is_floating_point()
        ]
        sum(losses).backward()
        found["losses"].append(float(sum(losses)))
        if step == 0:
            zeros = {
                name: p.grad if p.grad is not None else torch.zeros_like(p) for name, p in parameters.items()
            }
            found |= {
                "train": _numpy(outputs),
                "gradients": _numpy(zeros),
                "buffers": _numpy(dict(module.named_buffers())),
            }
        optimizer.step()
    return found


def target(shape: Any, at: int) -> np.ndarray:
    """Return what an output is drawn to."""
    return np.random.default_rng(at).normal(size=tuple(shape)).astype("float32")


def flat(value: Any) -> list[Any]:
    """Return the tensors of nested outputs, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for part in value for leaf in flat(part)] if isinstance(value, (list, tuple)) else [value]


def _numpy(value: Any) -> Any:
    """Return copies of tensors as arrays that every process reads; half precision becomes float32."""
    if isinstance(value, dict):
        return {key: _numpy(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numpy(part) for part in value]
    if value is None:
        return None
    value = value.detach()
    return (value.float() if value.is_floating_point() else value).numpy().copy()


def gaps(path: str, answers: Answers) -> dict[str, float]:
    """Compare a saved import with torch's answers, on the backend of this process.

    Returns:
        The largest relative difference of `eval`, `train`, `gradients`, `buffers` and `losses`.
    """
    import keras

    from unikeras.interop import ImportedModule

    model = keras.models.load_model(path)
    assert isinstance(model, ImportedModule)
    assert len(model.trainable_variables) == len(answers["gradients"])
    inputs = answers["inputs"]
    found = {"eval": _furthest(flat(model(*inputs, training=False)), answers["eval"])}
    return found | _step_gaps(model, inputs, answers)


def export(path: str, folder: str, formats: tuple[str, ...]) -> dict[str, str | None]:
    """Export a saved import, verified; return why a format has no artifact, or None, for each."""
    import keras

    import unikeras as uk
    from unikeras.interop import ImportedModule

    model = keras.models.load_model(path)
    assert isinstance(model, ImportedModule)
    if not formats:
        return {}
    try:
        report = uk.export_model(model, folder, list(formats))
    except uk.errors.ExportError as error:
        if error.report is None:
            raise
        report = error.report
    return {row["format"]: row["error"] for row in report.to_dict()["artifacts"]}


def chunks_gap(path: str, answers: Answers, time: int) -> float:
    """Run a recurrent module that takes and gives its states over a sequence in two chunks.

    Args:
        path: its file.
        answers: those of the whole sequence.
        time: the axis of time, of the first input and of the first output.
    """
    import keras

    from unikeras.interop import ImportedModule

    model = keras.models.load_model(path)
    assert isinstance(model, ImportedModule)
    x, *states = answers["inputs"]
    parts = []
    for chunk in np.split(x, [4], axis=time):
        y, *states = flat(model(chunk, *states))
        parts.append(_array(y))
    return _furthest([np.concatenate(parts, axis=time), *states], answers["eval"])


def _step_gaps(model: Any, inputs: Any, answers: Answers) -> dict[str, float]:
    import keras
    from keras import ops

    names = list(answers["gradients"])
    variables = [model.named_variables[name] for name in names]
    optimizer = (
        keras.optimizers.SGD(1e-2) if answers["is_half"] else keras.optimizers.Adam(1e-3, epsilon=1e-12)
    )
    step = _step(model, optimizer, variables, training=not answers["is_random"])
    losses, found = [], {}
    for number in range(STEPS):
        outputs, loss, gradients = step(inputs)
        losses.append(float(ops.convert_to_numpy(loss)))
        if number == 0:
            found["train"] = _furthest(outputs, answers["train"])
            found["gradients"] = _gradient_gap(gradients, list(answers["gradients"].values()))
            buffers = [model.named_variables[name] for name in answers["buffers"]]
            found["buffers"] = _furthest(buffers, list(answers["buffers"].values()))
    return found | {"losses": _furthest(losses, answers["losses"])}


def _step(model: Any, optimizer: Any, variables: Any, training: bool) -> Any:
    from keras import ops

    import unikeras as uk

    @uk.function
    def step(inputs):
        with uk.GradientTape() as tape:
            outputs = flat(model(*inputs, training=training))
            loss = sum(
                ops.mean(ops.square(ops.cast(y, "float32") - ops.convert_to_tensor(target(y.shape, at))))
                for at, y in enumerate(outputs)
                if "float" in str(y.dtype)
            )
        gradients = tape.gradient(loss, variables)
        gradients = [
            ops.zeros_like(v.value) if g is None else g for g, v in zip(gradients, variables, strict=True)
        ]
        optimizer.apply(gradients, variables)
        return outputs, loss, gradients

    return step


def _array(value: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(value)).astype("float64")


def _furthest(found: Any, expected: Any) -> float:
    assert len(found) == len(expected)
    return max(
        (_far(_array(x), np.asarray(y, "float64")) for x, y in zip(found, expected, strict=True)), default=0.0
    )


def _far(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, relative to the number or, where that is smaller, to 1."""
    assert found.shape == expected.shape
    is_equal = (found == expected) | np.isnan(found) & np.isnan(expected)
    with np.errstate(invalid="ignore"):
        far = np.where(is_equal, 0, np.abs(found - expected) / np.maximum(1, np.abs(expected)))
    return float(np.max(np.nan_to_num(far, nan=np.inf), initial=0))


def _gradient_gap(found: Any, expected: Any) -> float:
    """Return the largest difference, relative to the largest number of a gradient, or to 10 % of that of all."""
    largest = max(np.max(np.abs(one), initial=0) for one in expected)
    scales = [max(np.max(np.abs(one), initial=0), largest / 10) for one in expected]
    differences = [np.max(np.abs(_array(x) - y), initial=0) for x, y in zip(found, expected, strict=True)]
    return float(max(far / scale for far, scale in zip(differences, scales, strict=True)))
