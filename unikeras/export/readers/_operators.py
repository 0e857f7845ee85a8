"""The operators that a file holds, read without its runtime, and those that no stranger's file may have.

Each format is looked at by operator, because one namespace holds both sums and `save`:

- ONNX: ONNX Runtime has the standard's operators and its own (`com.microsoft`); a domain of somebody else
  needs a native library. Functions that the file itself defines may have any domain.
- OpenVINO: a layer outside the numbered operator sets is an extension, which is a native library too.
- LiteRT: a custom operator, Flex among them, is one. Flex runs TensorFlow's operators, `WriteFile` included.
- SavedModel and TorchScript: any file may hold operators that read and write files.
"""

from __future__ import annotations

import re
import xml.parsers.expat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from unikeras._base.printable import printable
from unikeras.export.readers import _wire

STANDARD_DOMAINS = {
    "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training",
    "com.microsoft", "com.microsoft.nchwc", "com.microsoft.experimental",
}  # fmt: skip
# It opens a file that its attribute names, for a device's own compiler.
_ONNX_FILES = {("com.microsoft", "EPContext")}

# Where LiteRT's own interpreter has them built in.
_LITERT_CUSTOM = {"TFLite_Detection_PostProcess", "AudioSpectrogram", "Mfcc"}

_OPENVINO_SETS = re.compile(r"opset\d{1,3}|ie_internal_opset|type_relaxed_opset", re.ASCII)

# TensorFlow's operators that read, write or list files, or call Python. Those with which each SavedModel
# restores its own variables are not among them.
TENSORFLOW_FILES = re.compile(
    r"""ReadFile|WriteFile|MatchingFiles|(WholeFile|TextLine|TFRecord|FixedLengthRecord|Identity|LMDB)Reader(V2)?
    |PyFunc|PyFuncStateless|EagerPyFunc|PrintV2|Save|SaveSlices|Restore|RestoreSlice|LoadAndRemapMatrix
    |ImmutableConst|CreateSummaryFileWriter|CreateSummaryDbWriter|InitializeTableFromTextFile(V2)?
    |DebugIdentity(V2|V3)?|\w*(TextLine|TFRecord|FixedLengthRecord|CSV|Sql|LMDB|Snapshot|Load|Save|Cache)Dataset\w*""",
    re.VERBOSE | re.ASCII,
)


class Refused(ValueError):
    """A file holds an operator that only a trusted file may have."""


def check_onnx(content: bytes, trust: bool) -> list[str]:
    """Return the names of the files that an ONNX file takes its weights from.

    Args:
        content: the whole file.
        trust: whether it may hold any operator.

    Raises:
        Refused: it holds an operator that is neither ONNX's nor ONNX Runtime's nor its own.
        ValueError: it is no ONNX file.
    """
    model = memoryview(content)
    functions = list(_wire.inside(model, 25))
    own = {(_wire.text(function, 10), _wire.text(function, 1)) for function in functions}
    seen = _Seen(None if trust else own)
    graphs = [*_wire.inside(model, 7), *_wire.inside(model, 20, 1), *_wire.inside(model, 20, 2)]
    if not graphs:
        raise ValueError("it has no graph")
    nodes = [node for function in functions for node in _wire.inside(function, 7)]
    for graph in graphs:
        _look_at_graph(graph, seen, 0)
    for node in nodes:
        _look_at_node(node, seen, 0)
    return list(seen.files)


@dataclass
class _Seen:
    """What a look at an ONNX file knows.

    Attributes:
        own: domains and names of the functions that it defines; None where it may call anything.
        files: the files that it takes weights from, in order.
    """

    own: set[tuple[str, str]] | None
    files: dict[str, None] = field(default_factory=dict)


def _look_at_graph(graph: memoryview, seen: _Seen, depth: int) -> None:
    for number, content in _wire.fields(graph):
        if number == 1:
            _look_at_node(content, seen, depth)
        elif number == 5:
            _look_at_tensor(content, seen)
        elif number == 15:
            _look_at_sparse(content, seen)


def _look_at_node(node: memoryview, seen: _Seen, depth: int) -> None:
    domain, operator = _wire.text(node, 7), _wire.text(node, 4)
    foreign_signature = domain not in STANDARD_DOMAINS or (domain, operator) in _ONNX_FILES
    if foreign_signature and seen.own is not None and (domain, operator) not in seen.own:
        raise Refused(
            f"it holds the operator {printable(operator)!r} of domain {printable(domain)!r}, "
            "which needs a native library or another file"
        )
    depth = _wire.check_depth(depth)
    for attribute in _wire.inside(node, 5):
        for number, content in _wire.fields(attribute):
            if number in (6, 11):
                _look_at_graph(content, seen, depth)
            elif number in (5, 10):
                _look_at_tensor(content, seen)
            elif number in (22, 23):
                _look_at_sparse(content, seen)


def _look_at_sparse(tensor: memoryview, seen: _Seen) -> None:
    for number, content in _wire.fields(tensor):
        if number in (1, 2):
            _look_at_tensor(content, seen)


def _look_at_tensor(tensor: memoryview, seen: _Seen) -> None:
    for entry in _wire.inside(tensor, 13):
        if _wire.text(entry, 1) == "location":
            seen.files[_wire.text(entry, 2)] = None


def check_openvino(path: Path) -> None:
    """Refuse a graph with layers outside OpenVINO's own operator sets.

    Raises:
        Refused: it has one.
        ValueError: it declares entities, which grow without end, or is no XML.
    """
    parser = xml.parsers.expat.ParserCreate()

    def no_entities(*_: object) -> None:
        raise ValueError("it declares a document type, which no OpenVINO model has")

    def look_at(tag: str, attributes: dict[str, str]) -> None:
        version = attributes.get("version", "")
        if tag == "layer" and not _OPENVINO_SETS.fullmatch(version):
            kind = printable(attributes.get("type", ""))
            raise Refused(
                f"it holds the layer {kind!r} of operator set {printable(version)!r}, which needs a native library"
            )

    parser.StartDoctypeDeclHandler = no_entities
    parser.StartElementHandler = look_at
    try:
        with path.open("rb") as opened:
            parser.ParseFile(opened)
    except xml.parsers.expat.ExpatError as error:
        raise ValueError(str(error)) from error


def check_litert(content: bytes) -> None:
    """Refuse a model with custom operators that are not built into the interpreter.

    Raises:
        Refused: it has one.
        ValueError: it is no LiteRT file.
    """
    from ai_edge_litert import schema_py_generated as schema

    if content[4:8] != b"TFL3":
        raise ValueError("it does not begin as a LiteRT file does")
    model = schema.Model.GetRootAsModel(content, 0)
    for number in range(model.OperatorCodesLength()):
        row = model.OperatorCodes(number)
        custom = (row.CustomCode() or b"").decode(errors="replace")
        is_custom = max(row.BuiltinCode(), row.DeprecatedBuiltinCode()) == schema.BuiltinOperator.CUSTOM
        if (is_custom or custom) and custom not in _LITERT_CUSTOM:
            raise Refused(f"it holds the custom operator {printable(custom)!r}, which needs a native library")


def tensorflow_operators(content: bytes) -> Iterator[str]:
    """Yield the operator of each node in a `saved_model.pb`, those in functions too.

    Raises:
        ValueError: it is no SavedModel.
    """
    model = memoryview(content)
    graphs = list(_wire.inside(model, 2, 2))
    if not graphs:
        raise ValueError("it has no graph")
    for graph in graphs:
        for node in [*_wire.inside(graph, 1), *_wire.inside(graph, 2, 1, 3)]:
            yield _wire.text(node, 2)


# In TorchScript's code ATen's operators are torch.NAME or ops.aten.NAME.
_TORCH_CALL = re.compile(r"\b(?:torch|ops\.aten)\.(_?from_file|save|load)\b", re.ASCII)


def torch_files(code: str) -> set[str]:
    """Return those operators in TorchScript's code that touch files.

    Example:
        >>> sorted(torch_files("y = torch.from_file('x', True, 4)\\nreturn torch.add(y, 1)"))
        ['aten::from_file']
    """
    return {f"aten::{name}" for name in _TORCH_CALL.findall(code)}
