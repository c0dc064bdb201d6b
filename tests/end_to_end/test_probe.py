"""`polyseme probe` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from polyseme.cli import main

WORDS = {
    "DET": ["the", "a", "this"],
    "NOUN": ["function", "object", "name", "value", "class"],
    "VERB": ["returns", "raises", "is"],
}


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    """Forty sentences of five words."""
    rng = np.random.default_rng(0)
    order = [
        ("DET", 2, "det"),
        ("NOUN", 3, "nsubj"),
        ("VERB", 0, "root"),
        ("DET", 5, "det"),
        ("NOUN", 3, "obj"),
    ]
    blocks = [
        "\n".join(
            f"{i}\t{rng.choice(WORDS[pos])}\t_\t{pos}\t_\t_\t{head}\t{rel}\t_\t_"
            for i, (pos, head, rel) in enumerate(order, 1)
        )
        for _ in range(40)
    ]
    path = tmp_path / "bank.conllu"
    path.write_text("\n\n".join(blocks) + "\n", "utf-8")
    return path


def test_probe_writes_a_page_with_its_charts(
    run: Path, treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "probes"
    words = ["probe", str(run), str(treebank), "--test", str(treebank), "--epochs", "2", "--seeds", "2"]
    assert main([*words, "--task", "dependencies", "-o", str(out), "--report-lang", "zh"]) == 0
    said = capsys.readouterr()
    assert "gravity" in said.out  # a head that may be broken, as the table is about as wide as a terminal
    assert str(out / "probe.html") in said.err
    page = (out / "probe.html").read_text("utf-8")
    assert "混合权重" in page
    found = json.loads((out / "probe.json").read_text("utf-8"))
    assert found["tasks"]["dependencies"]["counts"]["test"]["targets"] == 160
    for name in ("probe-layers", "probe-controls", "probe-dependencies"):
        assert (out / f"{name}.svg").is_file()
        assert (out / f"{name}.png").is_file()


def test_a_toml_file_names_several_tasks(
    run: Path, treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "probes.toml"
    file.write_text(
        'seeds = 1\nepochs = 1\n[tasks.POS]\ntrain = "bank.conllu"\n'
        '[tasks.arcs]\ntask = "dependencies"\ntrain = "bank.conllu"\n'
    )
    assert main(["probe", str(run), str(file), "--no-controls", "--no-cumulative", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["tasks"]) == ["POS", "arcs"]
    assert found["settings"]["controls"] is False
    assert found["tasks"]["POS"]["controls"] == {}
    assert main(["probe", str(run), str(file), "--task", "pos"]) == 2


def test_mistakes_are_told(
    run: Path, treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", str(run)]) == 2
    assert main(["probe", str(run), str(tmp_path / "bnk.conllu")]) == 2
    assert "did you mean bank.conllu" in capsys.readouterr().err
    assert main(["probe", str(run), str(treebank), "--task", "chunks"]) == 2
    assert "bank.conllu:1" in capsys.readouterr().err
    assert main(["probe", str(run), str(treebank), "--seeds", "0"]) == 2
    for cache in ("nan", "inf", "-1"):
        capsys.readouterr()
        assert main(["probe", str(run), str(treebank), "--cache", cache]) == 2
        assert "--cache is a number of GiB" in capsys.readouterr().err
