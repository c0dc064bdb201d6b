"""An encoder prepared for much use without gradients; the run itself stays as it is."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from polyseme.kernels.packed import Precision, prepare

__all__ = ["prepared"]

_Mark = tuple[tuple[int, int], ...]
_PREPARED: WeakKeyDictionary[nn.Module, dict[Precision, tuple[_Mark, Any]]] = WeakKeyDictionary()


def prepared(encoder: Any, precision: Precision = "float32") -> Any:
    """The encoder with its linear layers packed; made once, and again when its weights have changed.

    Args:
        encoder: any of the registry's, in evaluation mode; what is not a linear layer is shared with it.
        precision: of the linear layers: float32, bfloat16, or int8.
    Raises:  ConfigError: this build of torch has no kernels for that precision.
    """
    mark = tuple((p._version, p.data_ptr()) for p in encoder.parameters())
    known = _PREPARED.setdefault(encoder, {})
    found = known.get(precision)
    if found is None or found[0] != mark:
        with torch.inference_mode(False):  # what is kept serves other callers, too
            found = known[precision] = (mark, prepare(encoder, precision))
    return found[1]
