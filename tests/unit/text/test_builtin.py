"""The built-in corpus: present, plain, and in a fixed order."""

from __future__ import annotations

import sys

from polyseme.text.builtin import python_docs


def test_python_docs() -> None:
    before = set(sys.modules)
    documents = python_docs()
    assert sum(len(text) for _, text in documents) > 1_000_000
    names = [name for name, _ in documents]
    assert len(set(names)) == len(names) > 300
    assert "json.decoder" in names
    assert not any(part in name.split(".") for name in names for part in ("test", "idlelib", "site-packages"))
    assert "antigravity" not in set(sys.modules) - before  # parsed, never imported
    topics = [name for name in names if name.startswith("topic ")]
    assert names[: len(topics)] == sorted(topics)  # an order that does not depend on the file system's
    assert len({text for _, text in documents}) == len(documents)
