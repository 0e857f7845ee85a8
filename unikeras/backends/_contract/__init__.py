"""The contract of a backend: what frameworks do differently and Keras does not unify.

Numerics go through `keras.ops`; the rest is here: six abstract classes with one job each, which `Backend` joins. The
`README.md` beside this package tells how to add a backend; `tests/contract/` holds the contract tests.
"""

from __future__ import annotations

from abc import abstractmethod

from unikeras.backends._contract.autodiff import Autodiff as Autodiff
from unikeras.backends._contract.autodiff import BackendTape as BackendTape
from unikeras.backends._contract.autodiff import FlatFunction as FlatFunction
from unikeras.backends._contract.autodiff import Pullback as Pullback
from unikeras.backends._contract.autodiff import Vjp as Vjp
from unikeras.backends._contract.compile import Compiler as Compiler
from unikeras.backends._contract.compile import Program as Program
from unikeras.backends._contract.compile import ProgramContent as ProgramContent
from unikeras.backends._contract.compile import TensorFunction as TensorFunction
from unikeras.backends._contract.compile import TraceFault as TraceFault
from unikeras.backends._contract.kernels import Kernels as Kernels
from unikeras.backends._contract.modules import NativeModule as NativeModule
from unikeras.backends._contract.tensors import Composite as Composite
from unikeras.backends._contract.tensors import Tensors as Tensors
from unikeras.backends._contract.trainer import KeptValue as KeptValue
from unikeras.backends._contract.trainer import Trainer as Trainer
from unikeras.backends._contract.words import Arithmetic as Arithmetic
from unikeras.backends._contract.words import Words as Words


class Backend(Tensors, Autodiff, Compiler, Trainer, Kernels, Words):
    """One framework, behind the few things that Keras leaves to each framework.

    Attributes:
        name: the name by which Keras knows the framework.
    """

    name: str

    @abstractmethod
    def version(self) -> str:
        """Return the framework's version."""
