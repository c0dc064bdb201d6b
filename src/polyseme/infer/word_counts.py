"""How often the entries of a run's vocabulary occur in the text it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from polyseme.infer.loaded import Loaded

__all__ = ["RARE", "word_counts"]

RARE = 20
"""Below so many uses a vector says more of the few texts around them than of the word."""


def word_counts(loaded: Loaded) -> npt.NDArray[np.int64] | None:
    """Counts in the training text, of the store that the run keeps or was trained from; None where it is gone.

    Shapes:  -> (vocab_size,)
    """
    meta = loaded.run.meta
    fingerprint = (meta.get("corpus") or {}).get("fingerprint")
    for folder in (loaded.run.path / "store", Path(str(meta.get("store") or ""))):
        counts = folder / "train" / "counts.bin"
        try:
            known = json.loads((folder / "store.json").read_bytes()).get("fingerprint")
            found = np.frombuffer(counts.read_bytes(), "<i8").astype(np.int64)
        except (OSError, ValueError, AttributeError):
            continue
        if known == fingerprint is not None and len(found) <= loaded.tokenizer.vocab_size:
            return np.pad(found, (0, loaded.tokenizer.vocab_size - len(found)))
    return None
