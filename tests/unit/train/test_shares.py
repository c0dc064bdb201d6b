"""Pretraining on sources with shares: recorded, refused, and fixed for a run that goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from polyseme import Budget, PretrainRequest, pretrain
from polyseme.data.prepare import prepare
from polyseme.errors import ConfigError, RunError
from polyseme.report.commands import pretrain_command
from polyseme.report.run_summary import summarize, summary_text
from polyseme.text.config import TextConfig, TokenizerConfig


def test_shares_are_kept_by_a_run(tmp_path: Path) -> None:
    for name, count in (("many", 400), ("few", 60)):
        (tmp_path / f"{name}.txt").write_text(
            "\n".join(f"the {name} cat sees {n} dogs" for n in range(count))
        )
    request = PretrainRequest(
        model="word2vec",
        corpus=[f"{tmp_path}/many.txt=0.5", f"{tmp_path}/few.txt=0.5"],
        output=tmp_path / "run",
        budget=Budget(steps=2),
        settings={"text.documents": "line", "hidden_size": 8, "text.valid_share": 0.2},
    )
    run = pretrain(request)
    shares = run.meta["corpus"]["shares"]
    assert [entry["share"] for entry in shares] == [0.5, 0.5]
    assert shares[0]["words"] == shares[1]["words"] < shares[0]["words_found"]
    assert "many.txt: 50.0% of the words" in " ".join(summary_text(summarize(run)).split())
    assert "few.txt=0.5" in str(pretrain_command(run.meta, run.path))
    assert pretrain(replace(request, resume=True)).meta["corpus"] == run.meta["corpus"]
    other = [f"{tmp_path}/many.txt=0.6", f"{tmp_path}/few.txt=0.4"]
    with pytest.raises(RunError, match="another mixture of sources"):
        pretrain(replace(request, corpus=other, resume=True))


def test_shares_that_do_not_sum_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a text")
    with pytest.raises(ConfigError, match="do not sum to 1"):
        pretrain(
            PretrainRequest(
                model="word2vec",
                corpus=[f"{tmp_path}/a.txt=0.5", "python-docs=0.6"],
                output=tmp_path / "run",
                budget=Budget(steps=1),
            )
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("sources", [["store=1"], ["store", "a.txt"], ["store=0.5", "a.txt=0.5"]])
def test_a_store_is_trained_on_alone(
    sources: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("\n".join(f"the cat sees {n} dogs" for n in range(60)))
    prepare(["a.txt"], "store", text=TextConfig(documents="line"), tokenizer=TokenizerConfig(vocab_size=64))
    with pytest.raises(ConfigError, match="a prepared store is trained on alone"):
        pretrain(
            PretrainRequest(model="word2vec", corpus=sources, output=Path("run"), budget=Budget(steps=1))
        )
