"""What the pages and examples call python-docs is a small part of it here: they show how it is used."""

from __future__ import annotations

import pytest

from polyseme.text.builtin import BUILTINS, python_docs


@pytest.fixture(autouse=True)
def _small_python_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    part = tuple((name, text[:2000]) for name, text in python_docs()[:150])
    monkeypatch.setitem(BUILTINS, "python-docs", lambda: part)
