"""A function in two forms: the plain one that a reader meets, and its fast twin in this package."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, update_wrapper
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:  # processes that only cut text do without
    from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

PAIRS: list[Twins[..., Any]] = []
"""Every function with a fast twin, as far as its module was imported."""


def anywhere(*_: Any, **__: Any) -> bool:
    """The fast form serves every argument."""
    return True


def on_cpus(x: Tensor, *_: Any, **__: Any) -> bool:
    """The fast form serves CPUs, and graphs that are not exported to other programs."""
    import torch

    return x.device.type == "cpu" and not torch.compiler.is_exporting()


class Twins(Generic[P, R]):
    """Calls the fast form where it serves, else the plain one.

    Attributes:
        plain, fast: the two forms; they give the same values and gradients, but for rounding.
    """

    def __init__(
        self, plain: Callable[P, R], fast: Callable[P, R] | str, serves: Callable[..., bool]
    ) -> None:
        self.plain, self._fast, self._serves = plain, fast, serves
        update_wrapper(self, plain)
        PAIRS.append(self)

    @cached_property
    def fast(self) -> Callable[P, R]:
        """The fast form."""
        if not isinstance(self._fast, str):
            return self._fast
        module, _, name = self._fast.partition(":")
        form: Callable[P, R] = getattr(import_module(module), name)
        return form

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        form = self.fast if self._serves(*args, **kwargs) else self.plain
        return form(*args, **kwargs)


def faster(
    fast: Callable[P, R], serves: Callable[..., bool] = anywhere
) -> Callable[[Callable[P, R]], Twins[P, R]]:
    """Give a plain function its fast twin.

    Args:
        fast: takes and gives the same.
        serves: whether it can, told from the arguments.
    """
    return lambda plain: Twins(plain, fast, serves)


class faster_at:
    """`faster` for a twin that compiles when it is imported, and is so only where it runs.

    Args:
        place: "module:name" of the fast form.
        serves: whether it can, told from the arguments, as in `faster`.
    """

    def __init__(self, place: str, serves: Callable[..., bool] = anywhere) -> None:
        self._place, self._serves = place, serves

    def __call__(self, plain: Callable[P, R]) -> Twins[P, R]:
        return Twins(plain, self._place, self._serves)
