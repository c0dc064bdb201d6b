"""Registries list modules without importing them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from polyseme.core import registry
from polyseme.errors import ConfigError


def test_models_are_their_files() -> None:
    assert {"bert", "modernbert"} <= set(registry.models.names())
    assert not [name for name in registry.models.names() if name.startswith("-") or "_" in name]


@pytest.mark.parametrize("kind", ["models", "objectives", "tasks"])
def test_every_entry_has_a_summary_of_one_line(kind: str) -> None:
    entries = getattr(registry, kind)
    for name in entries.names():
        summary = entries.summary(name)
        assert summary
        assert "\n" not in summary


def test_an_unknown_entry_suggests_the_near_one() -> None:
    with pytest.raises(ConfigError, match="unknown model 'brt'") as caught:
        registry.models.load("brt")
    assert caught.value.fix is not None
    assert "bert" in caught.value.fix


def test_dashes_and_underscores_mean_the_same() -> None:
    assert registry.objectives.load("masked-lm") is registry.objectives.load("masked_lm")


def test_listing_imports_no_entry() -> None:
    code = (
        "import sys; from polyseme.core import registry as r\n"
        "[r.models.summary(n) for n in r.models.names()]\n"
        "print([m for m in sys.modules if m == 'torch' or m.startswith('polyseme.models')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
