"""Operations of keras.ops that work on each element: unary, and on tensors that meet."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import torch
from keras.src.ops import core, math, nn, numpy
from torch.nn import functional

from unikeras.lowering import _torch_weights as _weights
from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value, common_layout
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.rules._activations import described, sparse_plus, squareplus

UNARY: dict[type, Callable[[Any], Any]] = {
    core.StopGradient: lambda x: x.detach(),
    math.Erf: torch.erf,
    math.Rsqrt: torch.rsqrt,
    nn.HardSigmoid: functional.hardsigmoid,
    nn.HardSilu: functional.hardswish,
    nn.HardTanh: functional.hardtanh,
    nn.LogSigmoid: functional.logsigmoid,
    nn.Relu: functional.relu,
    nn.Relu6: functional.relu6,
    nn.Selu: functional.selu,
    nn.Sigmoid: torch.sigmoid,
    nn.Silu: functional.silu,
    nn.Softplus: functional.softplus,
    nn.Softsign: functional.softsign,
    nn.SparsePlus: sparse_plus,
    nn.SparseSigmoid: lambda x: torch.clamp(x / 2 + 0.5, 0.0, 1.0),
    nn.TanhShrink: functional.tanhshrink,
    numpy.Abs: torch.abs,
    numpy.Absolute: torch.abs,
    numpy.Arccos: torch.acos,
    numpy.Arcsin: torch.asin,
    numpy.Arctan: torch.atan,
    numpy.Ceil: torch.ceil,
    numpy.Copy: torch.clone,
    numpy.Cos: torch.cos,
    numpy.Cosh: torch.cosh,
    numpy.Exp: torch.exp,
    numpy.Expm1: torch.expm1,
    numpy.Floor: torch.floor,
    numpy.Isfinite: torch.isfinite,
    numpy.Isinf: torch.isinf,
    numpy.Isnan: torch.isnan,
    numpy.Log: torch.log,
    numpy.Log10: torch.log10,
    numpy.Log1p: torch.log1p,
    numpy.Log2: torch.log2,
    numpy.LogicalNot: torch.logical_not,
    numpy.Negative: torch.neg,
    numpy.OnesLike: torch.ones_like,
    numpy.Reciprocal: torch.reciprocal,
    numpy.Sign: torch.sign,
    numpy.Sin: torch.sin,
    numpy.Sinh: torch.sinh,
    numpy.Sqrt: torch.sqrt,
    numpy.Square: torch.square,
    numpy.Tan: torch.tan,
    numpy.Tanh: torch.tanh,
    numpy.ZerosLike: torch.zeros_like,
}

# Of an operation with parameters of its own.
PARAMETRIC: dict[type, Callable[[Any, Any], Any]] = {
    nn.Celu: lambda op, x: functional.celu(x, float(op.alpha)),
    nn.Elu: lambda op, x: functional.elu(x, float(op.alpha)),
    nn.Gelu: lambda op, x: functional.gelu(x, approximate="tanh" if op.approximate else "none"),
    nn.HardShrink: lambda op, x: functional.hardshrink(x, float(op.threshold)),
    nn.LeakyRelu: lambda op, x: functional.leaky_relu(x, float(op.negative_slope)),
    nn.SoftShrink: lambda op, x: functional.softshrink(x, float(op.threshold)),
    nn.Squareplus: lambda op, x: squareplus(x, op.b),
    nn.Threshold: lambda op, x: functional.threshold(x, float(op.threshold), float(op.default_value)),
    numpy.Clip: lambda op, x: torch.clamp(x, op.x_min, op.x_max),
    numpy.Round: lambda op, x: torch.round(x, decimals=op.decimals),
}

# Python's operators take numbers on either side; torch's functions take tensors alone.
BINARY: dict[type, Callable[[Any, Any], Any]] = {
    numpy.Add: operator.add,
    numpy.Arctan2: torch.atan2,
    numpy.Divide: operator.truediv,
    numpy.FloorDivide: operator.floordiv,
    numpy.Maximum: torch.maximum,
    numpy.Minimum: torch.minimum,
    numpy.Mod: operator.mod,
    numpy.Multiply: operator.mul,
    numpy.Power: operator.pow,
    numpy.Subtract: operator.sub,
    numpy.TrueDivide: operator.truediv,
}

COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    numpy.Equal: operator.eq,
    numpy.Greater: operator.gt,
    numpy.GreaterEqual: operator.ge,
    numpy.Less: operator.lt,
    numpy.LessEqual: operator.le,
    numpy.LogicalAnd: torch.logical_and,
    numpy.LogicalOr: torch.logical_or,
    numpy.LogicalXor: torch.logical_xor,
    numpy.NotEqual: operator.ne,
}


@rule(*UNARY)
def _unary(call: Call) -> Value:
    return _floating(call, call.x).map(UNARY[type(call.layer)])


@rule(*PARAMETRIC)
def _parametric(call: Call) -> Value:
    return call.x.map(functools.partial(PARAMETRIC[type(call.layer)], call.layer))


@rule(*BINARY)
def _binary(call: Call) -> Value:
    # Keras promotes the two; a number that is no tensor takes the dtype that comes out.
    return _meet(call, BINARY[type(call.layer)], call.outputs[0].dtype)


@rule(*COMPARISONS)
def _comparison(call: Call) -> Value:
    return _meet(call, COMPARISONS[type(call.layer)], None)


@rule(numpy.DivideNoNan)
def _divide_no_nan(call: Call) -> Value:
    def divide(x: Any, y: Any) -> Any:
        return torch.where(y == 0, 0.0, x / torch.where(y == 0, 1.0, y))

    return _meet(call, divide, call.outputs[0].dtype)


@rule(numpy.Where)
def _where(call: Call) -> Value:
    condition, first, second = map(call.value, _operands(call, 3))
    layout = common_layout([condition, first, second])
    kind = _weights.dtype(call.outputs[0].dtype)
    chosen = torch.where(condition.to(layout).bool(), first.to(layout).to(kind), second.to(layout).to(kind))
    return described(call, chosen, layout)


@rule(core.Cast, numpy.Array)
def _cast(call: Call) -> Value:
    return call.x.map(lambda x: x.to(_weights.dtype(call.outputs[0].dtype)))


@rule(core.ConvertToTensor)
def _convert(call: Call) -> Value:
    return call.x if call.x.dtype == call.outputs[0].dtype else _cast(call)


def _floating(call: Call, value: Value) -> Value:
    """Cast integers where the result is floating, which torch does only to its default type."""
    wanted = call.outputs[0].dtype
    if "float" in wanted and "float" not in value.dtype:
        cast = value.map(lambda x: x.to(_weights.dtype(wanted)))
        cast.dtype = wanted
        return cast
    return value


def _operands(call: Call, count: int) -> list[Any]:
    return [*call.args, *call.kwargs.values()][:count]


def _meet(call: Call, function: Callable[[Any, Any], Any], dtype: str | None) -> Value:
    """Apply a function of two tensors, or of a tensor and a number, to where both lie alike."""
    takes_numbers = function in vars(operator).values()
    operands = [
        operand if takes_numbers and isinstance(operand, int | float) else call.value(operand)
        for operand in _operands(call, 2)
    ]
    layout = common_layout([operand for operand in operands if isinstance(operand, Value)])
    x, y = (_lying(operand, layout, dtype) if isinstance(operand, Value) else operand for operand in operands)
    return described(call, function(x, y), layout)


def _lying(value: Value, layout: Layout, dtype: str | None) -> Any:
    proxy = value.to(layout)
    return proxy if dtype in (None, value.dtype) else proxy.to(_weights.dtype(str(dtype)))
