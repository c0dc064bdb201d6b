"""The texts that pages, examples and notebooks speak of; python-docs is a small part of it here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from polyseme.text.builtin import BUILTINS, python_docs


@pytest.fixture(autouse=True)
def _small_python_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    part = tuple((name, text[:2000]) for name, text in python_docs()[:150])
    monkeypatch.setitem(BUILTINS, "python-docs", lambda: part)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the texts that the pages speak of."""
    from polyseme.text.builtin import python_docs

    texts = [text[:1200] for _, text in python_docs()]
    for name, part in (("my-texts", texts[:200]), ("more-texts", texts[200:300])):
        (tmp_path / name).mkdir()
        for number, text in enumerate(part):
            (tmp_path / name / f"{number:03}.txt").write_text(f"It was a good day. {text}", "utf-8")
    chinese = "今天天气很好，我们去公园散步。他说这本书很有意思。北京是中国的首都，历史很长。\n"
    (tmp_path / "chinese-texts").mkdir()
    for number in range(60):
        (tmp_path / "chinese-texts" / f"{number:03}.txt").write_text(
            f"第{number}篇。\n" + chinese * 8, "utf-8"
        )
    with gzip.open(tmp_path / "records.jsonl.gz", "wt", encoding="utf-8") as file:
        for text in texts[300:320]:
            file.write(json.dumps({"body": text}) + "\n")
    (tmp_path / "lines.txt").write_text("The first line.\nThe second line.\n", "utf-8")
    return tmp_path
