"""Random draws as operators that take the seed's tensor, so that a traced program draws anew at every run.

Keras seeds a `torch.Generator` with the number that a seed's tensor holds. A trace has tensors without numbers, and a
generator in a program would go on from run to run. So while a program is traced, Keras' functions run as they are, but
each draw in them is one operator of this file. It makes the generator at run time, and so gives Keras' numbers.

An operator is a pure function of the seed: two calls with equal seeds give equal numbers and may be merged. What makes
two draws differ is the seed's variable, which Keras advances by an assignment at each draw.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from keras.src.backend.torch.core import convert_to_tensor, get_device, to_torch_dtype
from keras.src.random.seed_generator import draw_seed
from torch import Tensor
from torch._functorch.pyfunctorch import VmapInterpreter, retrieve_all_functorch_interpreters
from torch.overrides import TorchFunctionMode

from unikeras._keras import hooks
from unikeras.backends.torch._operator_registry import operator

_KERAS = "keras.src.backend.torch.random."
_is_tracing: Callable[[], bool] = bool


def install(is_tracing: Callable[[], bool]) -> None:
    """Let Keras draw by operators wherever a program is traced.

    Args:
        is_tracing: says whether this thread traces a program at the moment.
    """
    global _is_tracing
    _is_tracing = is_tracing
    hooks.use(f"{_KERAS}torch_seed_generator", _holding_the_seed)
    for name in ("normal", "uniform", "randint", "truncated_normal", "categorical", "dropout", "shuffle"):
        hooks.use(f"{_KERAS}{name}", _drawing_by_operators)
    hooks.use(f"{_KERAS}gamma", _drawing_gamma)
    hooks.use(f"{_KERAS}binomial", _drawing_binomial)
    hooks.use(f"{_KERAS}beta", _drawing_beta)


def _traces() -> bool:
    return _is_tracing() and get_device() != "meta"  # there, Keras computes shapes and draws nothing


class _Seed(torch.Generator):
    """What Keras passes on as a generator while a program is traced."""

    tensor: Tensor


def _holding_the_seed(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def torch_seed_generator(seed: Any) -> Any:
        if not _traces():
            return original(seed)
        generator = _Seed()
        generator.tensor = draw_seed(seed)
        return generator

    return torch_seed_generator


def _drawing_by_operators(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def draw(*args: Any, **kwargs: Any) -> Any:
        if not _traces():
            return original(*args, **kwargs)
        with _OperatorsForDraws():
            return original(*args, **kwargs)

    return draw


class _OperatorsForDraws(TorchFunctionMode):
    """A context in which what torch would draw from a generator is drawn by an operator from the seed."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if not isinstance(kwargs.get("generator"), _Seed):
            return func(*args, **kwargs)
        if func not in _OPERATORS:
            raise NotImplementedError(
                f"torch.{func.__name__} draws from a seed, and has no operator for traces"
            )
        seed = kwargs.pop("generator").tensor
        return _call(_OPERATORS[func], seed, *args, **kwargs)


def _call(draw: Any, seed: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    for level in retrieve_all_functorch_interpreters():
        if isinstance(level, VmapInterpreter) and level.randomness() == "error":
            # torch's own words, and its own rule: vmap has no rule for our operators, and would draw once for all.
            raise RuntimeError("vmap: called random operation while in randomness error mode.")
    found = [arg.detach() if isinstance(arg, Tensor) else arg for arg in args]
    drawn: Tensor = draw(seed, *found, **kwargs)
    return drawn


def _generator(seed: Tensor, device: torch.device | None) -> torch.Generator:
    return torch.Generator(device or "cpu").manual_seed(int(seed.sum()) & 0xFFFFFFFF)


def _operator(run: Callable[..., Tensor]) -> Any:
    # The number that seeds a generator is one of the host: a CUDA graph cannot hold the operator.
    return operator(run, [torch.Tag.cudagraph_unsafe])


@_operator
def rand(
    seed: Tensor,
    size: Sequence[int],
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Draw as `torch.rand`."""
    return torch.rand(size, generator=_generator(seed, device), dtype=dtype, device=device)


@_operator
def normal(
    seed: Tensor,
    mean: float,
    std: float,
    size: Sequence[int],
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Draw as `torch.normal`."""
    return torch.normal(mean, std, size, generator=_generator(seed, device), dtype=dtype, device=device)


@_operator
def randint(
    seed: Tensor,
    low: int,
    high: int,
    size: Sequence[int],
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Draw as `torch.randint`."""
    return torch.randint(low, high, size, generator=_generator(seed, device), dtype=dtype, device=device)


@_operator
def bernoulli(seed: Tensor, input: Tensor) -> Tensor:
    """Draw as `torch.bernoulli`."""
    return torch.bernoulli(input, generator=_generator(seed, input.device))


@_operator
def multinomial(seed: Tensor, input: Tensor, num_samples: int, replacement: bool) -> Tensor:
    """Draw as `torch.multinomial`."""
    return torch.multinomial(input, num_samples, replacement, generator=_generator(seed, input.device))


@_operator
def gamma(seed: Tensor, alpha: Tensor) -> Tensor:
    """Draw as `torch.distributions.Gamma(alpha, 1).sample()`."""
    rate = torch.ones(alpha.shape, device=alpha.device)
    torch.distributions.Gamma(alpha, rate)  # refuses what it refuses in Keras
    drawn = torch._standard_gamma(alpha, generator=_generator(seed, alpha.device)) / rate
    return drawn.clamp_(min=torch.finfo(drawn.dtype).tiny)


@_operator
def binomial(seed: Tensor, counts: Tensor, probabilities: Tensor) -> Tensor:
    """Draw as `torch.distributions.Binomial(counts, probabilities).sample()`."""
    law = torch.distributions.Binomial(counts, probabilities)
    return torch.binomial(law.total_count, law.probs, generator=_generator(seed, counts.device))


@_operator
def beta(seed: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Draw as `torch.distributions.Beta(alpha, beta).sample()`."""
    torch.distributions.Beta(alpha, beta)
    both = torch.stack([alpha, beta], -1)
    return torch._sample_dirichlet(both, generator=_generator(seed, alpha.device)).select(-1, 0).clone()


@torch.library.register_fake(rand)
def _(seed: Tensor, size: Any, dtype: Any = None, device: Any = None) -> Tensor:
    return torch.empty(size, dtype=dtype, device=device)


@torch.library.register_fake(normal)
def _(seed: Tensor, mean: float, std: float, size: Any, dtype: Any = None, device: Any = None) -> Tensor:
    return torch.empty(size, dtype=dtype, device=device)


@torch.library.register_fake(randint)
def _(seed: Tensor, low: int, high: int, size: Any, dtype: Any = None, device: Any = None) -> Tensor:
    return torch.empty(size, dtype=dtype or torch.int64, device=device)


@torch.library.register_fake(bernoulli)
def _(seed: Tensor, input: Tensor) -> Tensor:
    return torch.empty_like(input, memory_format=torch.contiguous_format)


@torch.library.register_fake(multinomial)
def _(seed: Tensor, input: Tensor, num_samples: int, replacement: bool) -> Tensor:
    return input.new_empty((*input.shape[:-1], num_samples), dtype=torch.int64)


@torch.library.register_fake(gamma)
def _(seed: Tensor, alpha: Tensor) -> Tensor:
    return alpha.new_empty(alpha.shape)


@torch.library.register_fake(binomial)
def _(seed: Tensor, counts: Tensor, probabilities: Tensor) -> Tensor:
    return probabilities.new_empty(probabilities.shape)


@torch.library.register_fake(beta)
def _(seed: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return alpha.new_empty(alpha.shape)


_OPERATORS = {
    torch.rand: rand,
    torch.normal: normal,
    torch.randint: randint,
    torch.bernoulli: bernoulli,
    torch.multinomial: multinomial,
}


# What Keras draws by torch.distributions, it draws from torch's global generator, after seeding it.


def _drawing_gamma(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def drawn(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
        if not _traces():
            return original(shape, alpha, dtype, seed)
        return _distribution(gamma, shape, [alpha], dtype, seed)

    return drawn


def _drawing_binomial(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def drawn(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Any:
        if not _traces():
            return original(shape, counts, probabilities, dtype, seed)
        return _distribution(binomial, shape, [counts, probabilities], dtype, seed)

    return drawn


def _drawing_beta(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def drawn(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
        if not _traces():
            return original(shape, alpha, beta, dtype, seed)
        return _distribution(_beta, shape, [alpha, beta], dtype, seed)

    return drawn


def _distribution(draw: Any, shape: Any, parameters: Sequence[Any], dtype: Any, seed: Any) -> Tensor:
    from keras.config import floatx

    found = [torch.broadcast_to(convert_to_tensor(value), shape) for value in parameters]
    return _call(draw, draw_seed(seed), *found).type(to_torch_dtype(dtype or floatx()))


_beta = beta
