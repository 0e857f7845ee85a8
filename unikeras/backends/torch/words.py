"""Random words on PyTorch: by numpy on the CPU, in blocks that stay in the cache; elsewhere by torch's operations.

PyTorch has no arithmetic for uint32. Its int32 has the same bits: `+` and `<<` wrap, and a mask takes away the sign
that `>>` brings in. A traced program has one operator for a draw on the CPU, where each of 130 operations would pass
over the whole memory; torch.compile, torch.export and transforms see torch's own operations, which they know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from unikeras._specs.threefry import generate_on_host, threefry
from unikeras.backends._contract import Arithmetic, Words
from unikeras.backends.torch._levels import inside_transform
from unikeras.backends.torch._operator_registry import operator

_FINISHES: dict[str, Callable[..., Any]] = {}  # by name, which is what an operator can be given
_MASK = 0xFFFFFFFF


class TorchArithmetic(Arithmetic):
    """Words are int32, wide numbers are int64."""

    def shift(self, word: Tensor, bits: int) -> Tensor:
        return (word >> bits) & ((1 << (32 - bits)) - 1)

    def shift_signed(self, value: Tensor, bits: int) -> Tensor:
        return value >> bits

    def signed(self, word: Tensor) -> Tensor:
        return word

    def wide(self, word: Tensor) -> Tensor:
        return word.long() & _MASK

    def low(self, value: Tensor) -> Tensor:
        return value & _MASK

    def number(self, param: Any, like: Tensor) -> Any:
        return param

    def remainder(self, value: Tensor, divisor: Any) -> Tensor:
        # Of half the number, which has no sign, and then of the number: int64 stands for 64 bits without a sign.
        half = ((value >> 1) & (2**63 - 1)) % divisor
        rest = half - (divisor - half) + (value & 1)
        return torch.where(rest < 0, rest + divisor, rest)

    def to_int32(self, value: Tensor) -> Tensor:
        return value.to(torch.int32)

    def to_int64(self, value: Tensor) -> Tensor:
        return value

    def join(self, high: Tensor, low: Tensor) -> Tensor:
        return (high.long() << 32) | self.wide(low)

    def cast(self, value: Tensor, dtype: str) -> Tensor:
        return value.to(getattr(torch, dtype))

    def as_float(self, value: Tensor) -> Tensor:
        return value.view(torch.float32)

    def as_int(self, value: Tensor) -> Tensor:
        return value.view(torch.int32)

    def where(self, condition: Tensor, a: Any, b: Any) -> Tensor:
        both = isinstance(a, float) and isinstance(b, float)
        made = torch.where(condition, a, b)
        return made.float() if both else made  # whatever torch's default dtype is

    def maximum(self, a: Any, b: Any) -> Tensor:
        return torch.maximum(a, torch.as_tensor(b, dtype=a.dtype, device=a.device))

    def minimum(self, a: Any, b: Any) -> Tensor:
        return torch.minimum(a, torch.as_tensor(b, dtype=a.dtype, device=a.device))

    def sqrt(self, value: Tensor) -> Tensor:
        return torch.sqrt(value)

    def log(self, value: Tensor) -> Tensor:
        return torch.log(value)

    def rounded(self, value: Tensor) -> Tensor:
        return torch.clamp(value, min=torch.finfo(value.dtype).min)  # Inductor fuses on a GPU


_ARITHMETIC = TorchArithmetic()


class TorchWords(Words):
    """numpy on the CPU, torch's operations elsewhere."""

    arithmetic = _ARITHMETIC

    def generate(
        self,
        finish: Callable[..., Any],
        keys: Sequence[Any],
        shape: Sequence[Any],
        params: Sequence[Any] = (),
    ) -> Tensor:
        name = finish.__name__
        _FINISHES.setdefault(name, finish)
        with torch.no_grad():
            if torch.compiler.is_compiling() or inside_transform() or keys[0].device.type != "cpu":
                return _generate_by_operations(finish, keys, shape, params)
            dtype = params[0].dtype.name if params else "float32"
            run = draw if _get_current_dispatch_mode() is not None else _draw_on_host
            drawn: Tensor = run(list(keys), name, list(shape), [float(param) for param in params], dtype)
            return drawn

    def seed_generators(self, seed: int) -> None:
        torch.manual_seed(seed)


def _generate_by_operations(
    finish: Callable[..., Any], keys: Sequence[Tensor], shape: Sequence[Any], params: Sequence[Any]
) -> Tensor:
    low = torch.arange(math.prod(shape), dtype=torch.int32, device=keys[0].device)
    words = [threefry(key.to(torch.int32).unbind(), low ^ low, low, _rotate) for key in keys]
    made: Tensor = finish(words, [param.item() for param in params], _ARITHMETIC)
    return made.reshape(tuple(shape))


def _rotate(word: Tensor, bits: int) -> Tensor:
    return (word << bits) | _ARITHMETIC.shift(word, 32 - bits)


def _draw_on_host(
    keys: Sequence[Tensor], finish: str, shape: Sequence[int], params: Sequence[float], dtype: str
) -> Tensor:
    numbers = np.asarray(params, dtype)
    words = [key.tolist() for key in keys]
    return torch.from_numpy(generate_on_host(_FINISHES[finish], words, shape, list(numbers)))


def portable_draw(
    keys: Sequence[Tensor], finish: str, shape: Sequence[int], params: Sequence[float], dtype: str
) -> Tensor:
    """Draw by numpy, as one operator of a traced program."""
    return _draw_on_host(keys, finish, shape, params, dtype)


# The key is read on the host: a CUDA graph cannot hold the operator.
draw = operator(portable_draw, [torch.Tag.cudagraph_unsafe])


@torch.library.register_fake(draw)
def _(keys: Sequence[Tensor], finish: str, shape: Any, params: Sequence[float], dtype: str) -> Tensor:
    numbers = list(np.asarray(params, dtype))
    one = generate_on_host(_FINISHES[finish], [(0, 0)] * len(keys), (1,), numbers)
    return keys[0].new_empty(shape, dtype=torch.from_numpy(one).dtype)
