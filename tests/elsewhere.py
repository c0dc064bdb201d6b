"""A device that this machine lacks, played: what is computed there is right, and what does not lie there is refused.

    with there(), torch.no_grad():
        model = load(run, device=THERE)

Tensors on it are refused where torch would refuse those of a GPU: mixed with tensors of the CPU, or read by numpy.
Numbers of none or one element may be mixed, and indices of the CPU, as on GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

THERE = torch.device("meta")
"""The one kind of device that torch knows everywhere beside the CPU; its tensors have no numbers of their own."""
_MAY_MIX = {"copy_", "index", "index_put", "index_put_", "_index_put_impl_"}


class Elsewhere(Tensor):
    """A tensor that says it lies on THERE."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> Elsewhere:
        with torch.inference_mode(False):  # a view of such a wrapper would be refused
            made = torch.Tensor._make_wrapper_subclass(
                cls, here.size(), strides=here.stride(), dtype=here.dtype, device=THERE
            )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(function, args, kwargs or {})

    def tolist(self) -> Any:
        return self.here.tolist()

    def __repr__(self) -> str:
        return f"there({self.here!r})"


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    away = [each for each in tensors if isinstance(each, Elsewhere)]
    name, asked = function.overloadpacket.__name__, kwargs.get("device")
    goes = away if asked is None else torch.device(asked).type == THERE.type
    if away and asked is None and name not in _MAY_MIX:
        stray = [each for each in tensors if not isinstance(each, Elsewhere) and each.dim() > 0]
        assert not stray, f"{function}: a tensor of the CPU among those that lie elsewhere"
    if asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}

    def brought(leaf: Any) -> Any:
        return leaf.here if isinstance(leaf, Elsewhere) else leaf

    found = function(*tree_map(brought, args), **tree_map(brought, kwargs))
    if name.endswith("_") and not name.startswith("_") and isinstance(args[0], Tensor):
        return args[0]
    return (
        tree_map(lambda leaf: Elsewhere(leaf) if isinstance(leaf, Tensor) else leaf, found) if goes else found
    )


class _Everything(TorchDispatchMode):
    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(function, args, kwargs or {})


class _FromNumbers(TorchFunctionMode):
    """`torch.tensor([1, 2], device=THERE)`, which makes the tensor below the place where dispatching is watched."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is torch.tensor and kwargs.get("device") is not None:
            return function(*args, **kwargs | {"device": "cpu"}).to(kwargs["device"])
        return function(*args, **kwargs)


@contextmanager
def there() -> Iterator[None]:
    """Where the device is there."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    known = {name: getattr(torch, name) for name in ("autocast", "is_autocast_enabled", "get_autocast_dtype")}

    def of_the_cpu(function: Any) -> Any:
        return lambda kind, **more: function("cpu" if kind == THERE.type else kind, **more)

    try:
        for name, function in known.items():
            setattr(torch, name, of_the_cpu(function))
        with _FromNumbers(), _Everything():
            yield
    finally:
        for name, function in known.items():
            setattr(torch, name, function)
        torch.__future__.set_overwrite_module_params_on_conversion(before)
