"""The verification of an import: outputs alone prove little, so gradients and steps are compared with torch's too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unikeras import backends, workers
from unikeras._base.text import brief
from unikeras._specs.structure import put_together, take_apart
from unikeras._specs.torch_program import ProgramNode, TorchProgram
from unikeras.errors import ParityError
from unikeras.interop._import_comparison import (
    EPSILON,
    LEARNING_RATE,
    Array,
    Computed,
    compute_nodes,
    compute_trials,
)
from unikeras.interop._import_gaps import Tolerances, gap, gaps_of
from unikeras.interop._import_report import ImportTrial
from unikeras.interop._program_runner import drawing_operators, place_of
from unikeras.interop._trial_inputs import trial_inputs
from unikeras.interop.operators import find

TRIALS, STEPS = 2, 2


def check_import(
    module: Any, example_inputs: Any, program: TorchProgram, arrays: Mapping[str, Array]
) -> tuple[list[ImportTrial], list[str]]:
    """Compare a program with the module that it was exported from.

    torch answers in this process, because many modules cannot be pickled; Keras computes in a worker of the current
    backend, or here where the program needs rules that the worker does not have.

    Returns:
        One trial for each set of sizes, and notes on what was not compared.

    Raises:
        ParityError: they differ.
    """
    tolerances = Tolerances.of_program(program)
    steps = 0 if tolerances.is_half else STEPS
    asked = list(_asked(module, example_inputs, program, steps))
    text = json.dumps(program.to_json())
    trials = [(inputs, answers.weights) for inputs, answers in asked]
    computed = _run(program, compute_trials, text, arrays, trials, steps)
    drawn = sorted(drawing_operators(program.train))
    found, notes = [], [f"train mode draws by {', '.join(drawn)}: it was not compared"] if drawn else []
    notes += ["half precision: steps of an optimizer were not compared"] if tolerances.is_half else []
    for (inputs, answers), one in zip(asked, computed, strict=True):
        shapes = {tensor.name: array.shape for tensor, array in zip(program.inputs, inputs, strict=True)}
        gaps, problems = gaps_of(program, vars(answers), one, tolerances, with_train=not drawn)
        trial = ImportTrial(shapes, gaps)
        if problems:
            if any(problem.startswith("eval") for problem in problems):
                problems += _first_module(module, program, arrays, inputs, text, tolerances)
            raise ParityError(_message(program, trial, problems), trial)
        found.append(trial)
    return found, notes


def _asked(
    module: Any, example_inputs: Any, program: TorchProgram, steps: int
) -> Iterator[tuple[list[Array], Any]]:
    """Yield inputs with torch's answers, at the first sizes that the module takes."""
    from unikeras.lowering import arrays_of, module_answers

    nested = example_inputs if isinstance(example_inputs, list | tuple | Mapping) else [example_inputs]
    structure, leaves = take_apart(nested)
    places = [at for at, leaf in enumerate(leaves) if _is_tensor(leaf)]
    example = [np.array(one) for one in arrays_of({str(at): leaves[at] for at in places}).values()]
    count, failure = 0, None
    for inputs in trial_inputs(program, example):
        filled = list(leaves)
        for at, array in zip(places, inputs, strict=True):
            filled[at] = array
        try:
            answers = module_answers(
                module,
                put_together(structure, filled),
                steps=steps,
                learning_rate=LEARNING_RATE,
                epsilon=EPSILON,
            )
        except Exception as error:  # sizes that the module does not take: it may raise anything
            failure = error
            continue
        yield inputs, answers
        count += 1
        if count == TRIALS:
            return
    if not count:
        reason = f": {brief(failure)}" if failure else ""
        raise ParityError(
            f"{program.name} does not run at any size that was tried beside the example's{reason}. Say with dynamic= "
            "which axes are dynamic, or import it with verify=False"
        )


def _run(program: TorchProgram, compute: Any, *args: Any) -> Any:
    if _has_rules_of_users(program):
        return compute(*args)
    return workers.run_on(backends.current_name(), compute, *args)


def _has_rules_of_users(program: TorchProgram) -> bool:
    home = find.__module__.rpartition(".")[0]
    rules = [find(node.operator) for node in (*program.eval.nodes, *program.train.nodes)]
    return any(rule and not str(rule.compute.__module__).startswith(home) for rule in rules)


def _first_module(
    module: Any,
    program: TorchProgram,
    arrays: Mapping[str, Array],
    inputs: Sequence[Array],
    text: str,
    tolerances: Tolerances,
) -> list[str]:
    """Say which module is the first whose output differs; nothing where that cannot be told."""
    from unikeras.lowering import run_module

    if program.inputs_structure != list(range(len(inputs))):
        return []
    try:
        _, calls = run_module(module, inputs)
    except Exception:  # the module runs with hooks: what does not stand that is not looked at
        return []
    last: dict[str, ProgramNode] = {node.module[0]: node for node in program.eval.nodes}
    watched = [last[call.path].name for call in calls if call.path in last]
    values: Computed = _run(program, compute_nodes, text, arrays, inputs, watched)
    for call in calls:
        node = last.get(call.path)
        value = values.get(node.name) if node else None
        if node is None or value is None or not call.outputs or value.shape != call.outputs[0].shape:
            continue
        if gap(value, call.outputs[0]) > tolerances.outputs:
            return [
                f"the first module that differs is {place_of(node)}; its last operator is {node.operator}"
            ]
    return []


def _message(program: TorchProgram, trial: ImportTrial, problems: Sequence[str]) -> str:
    shapes = ", ".join(f"{name} {shape}" for name, shape in trial.shapes.items())
    head = f"the Keras model computes something else than {program.name}, at {shapes}:"
    return "\n".join([head, *(f"  {one}" for one in problems)])


def _is_tensor(value: Any) -> bool:
    """Say whether an example's leaf is a tensor of torch or an array, and no fixed value."""
    return isinstance(value, np.ndarray | np.generic) or callable(getattr(value, "detach", None))
