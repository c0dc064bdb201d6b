"""Documents to arrays: text that was never cleaned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decoding import SIZES, make_tokenizer
from polyseme.data.encoding import DocumentEncoder

DIRTY = ["北京\ud800欢迎你。the cat", "\udfff", "the \ud800cat", "\ud800北\udc00京"]


@pytest.mark.parametrize("by_pieces", [True, False])
@pytest.mark.parametrize("kind", SIZES)
def test_lone_surrogates_are_read_as_the_replacement_character(
    kind: str, by_pieces: bool, tmp_path: Path
) -> None:
    """Cleaning takes them out; whoever goes round it gets the same answer as from every other path."""
    make_tokenizer(kind).save(tmp_path / "tokenizer.json")
    clean = ["".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text) for text in DIRTY]
    assert all("\ufffd" in text for text in clean)
    for language in ("auto", "en", "zh"):
        encoder = DocumentEncoder(tmp_path / "tokenizer.json", language, by_pieces=by_pieces)
        for dirty, expected in zip(encoder.encode(DIRTY), encoder.encode(clean), strict=True):
            np.testing.assert_array_equal(dirty, expected)
