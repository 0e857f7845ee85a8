"""What a .pt2 archive may hold, so that loading it can run no code.

PyTorch 2.13 loads one in ways that a stranger's file could use: it unpickles weights, constants and
sample inputs, evaluates the sizes of tensors as SymPy expressions, looks operators up by dotted names
from `torch` on, executes conditions on inputs, and opens compiled libraries. Here only what
`torch.export.save` writes for tensors and PyTorch's own operators passes.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

from unikeras.export.readers._pt2_text import is_condition, is_expression

FILES = re.compile(
    r"""(archive_format|archive_version|byteorder|\.data/\w+|version
    |models/model\.json
    |data/sample_inputs/model\.pt
    |data/(weights|constants)/model_\w+_config\.json
    |data/weights/weight_\d+
    |data/constants/tensor_\d+
    |extra/[\w.]+)""",
    re.VERBOSE,
)

# By operator: `from_file` maps a file, and creates it; `save` pickles into one. The rest of ATen computes.
FILE_OPERATORS = r"(_?from_file|save|load)(?!\w)"

# Higher-order operators that call the archive's own graphs, and arithmetic on sizes.
HIGHER = "scan|cond|while_loop|map_impl|associative_scan|wrap_with_set_grad_enabled|wrap_with_autocast"
ARITHMETIC = "add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem"
# What torch.vmap and forward differentiation leave in a graph: wrappers of PyTorch's own, which take tensors.
PREDISPATCH = (
    "_add_batch_dim|_remove_batch_dim|_vmap_increment_nesting|_vmap_decrement_nesting|lazy_load_decompositions"
    "|_make_dual|_unpack_dual|_enter_dual_level|_exit_dual_level|_jvp_increment_nesting|_jvp_decrement_nesting"
    "|_unwrap_for_grad"
)
OPERATORS = re.compile(
    rf"""torch\.ops\.(aten|prims)\.(?!{FILE_OPERATORS})\w+(\.\w+)?
    |torch\.ops\.higher_order\.({HIGHER})
    |torch\.sym_\w+
    |torch\._functorch\.predispatch\.({PREDISPATCH})
    |_operator\.({ARITHMETIC})
    |math\.\w+""",
    re.VERBOSE,
)

# Names, types and paths of parameters: nothing that Python could call.
PLAIN = re.compile(r"[\w./+\-]*", re.ASCII)

ORIGIN = {"stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "custom", "from_node"}

CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}


def check(content: bytes) -> None:
    """Raise where an archive holds anything but tensors and a graph of PyTorch's own operators.

    Args:
        content: the whole file.

    Raises:
        ValueError: it does; the message says what.
        Exception: it is no archive; whatever PyTorch's reader and `json` raise.
    """
    from torch.export.pt2_archive import PT2ArchiveReader

    with PT2ArchiveReader(io.BytesIO(content)) as archive:  # the reader that will load it
        names = archive.get_file_names()
        for name in names:
            if not FILES.fullmatch(name):
                raise ValueError(
                    f"it holds {name!r}, which could run code; only tensors and a graph may be in it"
                )
        for name in names:
            if name.endswith("_config.json"):
                _check_tensors(json.loads(archive.read_string(name)))
        _check_samples(archive.read_bytes("data/sample_inputs/model.pt"))
        _check_graph(json.loads(archive.read_string("models/model.json")))


def _check_tensors(config: Any) -> None:
    for name, row in config["config"].items():
        if row.get("use_pickle") or not re.fullmatch(r"(weight|tensor)_\d+", row["path_name"]):
            raise ValueError(f"its tensor {name!r} is pickled, and a pickle can run code")


def _check_samples(content: bytes) -> None:
    import torch

    if content:
        torch.load(io.BytesIO(content), weights_only=True)  # or PyTorch would unpickle it in full


def _check_graph(program: Any) -> None:
    for key, text in _strings(program, ""):
        if not _is_harmless(key, text):
            raise ValueError(f"its graph holds {text!r} as {key or 'a name'}, which could run code")


def _strings(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield each string with the key that it stands under; names of dicts stand under ""."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield "", name
            if not (name == "metadata" and _is_origin(inner)):
                yield from _strings(inner, name)


def _is_origin(value: Any) -> bool:
    """Say whether a value tells where an operation came from: text that nothing runs."""
    return isinstance(value, dict) and all(
        name in ORIGIN and isinstance(text, str) for name, text in value.items()
    )


def _is_harmless(key: str, text: str) -> bool:
    if key in ("as_string", "as_strings"):  # such as an einsum's equation; a value, never a name
        return True
    if key in ("target", "as_operator"):
        return OPERATORS.fullmatch(text) is not None
    if key == "guards_code":
        return is_condition(text)
    if key == "expr_str":
        return is_expression(text)
    if key in ("in_spec", "out_spec"):
        return text == "" or _is_nest(json.loads(text))
    return PLAIN.fullmatch(text) is not None


def _is_nest(spec: Any) -> bool:
    """Say whether a structure of inputs or outputs is made of Python's own containers."""
    if isinstance(spec, list):  # [version, structure]
        return all(_is_nest(part) for part in spec if not isinstance(part, int))
    if spec["type"] not in CONTAINERS or "__enum__" in str(spec["context"]):
        return False
    return all(_is_nest(child) for child in spec["children_spec"])
