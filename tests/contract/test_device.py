"""A run that lies on another device computes there, and gives what it gives on the CPU.

The device is played (tests/elsewhere.py): a tensor that is left behind is refused as a GPU refuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import polyseme
from adapting import TASKS, adapt, start_run, write_examples
from elsewhere import THERE, Elsewhere, there
from polyseme import Model
from polyseme.cli import main
from polyseme.errors import ConfigError
from trained import make_run

TEXTS = ["the old cat sees a small dog", "a bird likes the river", "the day"]
ASKED: dict[str, tuple[tuple[str, ...], Callable[[Model], Any]]] = {
    "encode": (("elmo", "bert", "modernbert", "gpt"), lambda model: [e.layers for e in model.encode(TEXTS)]),
    "embed": (("elmo", "bert", "modernbert", "gpt"), lambda model: model.embed(TEXTS)),
    "cls": (("bert", "modernbert"), lambda model: model.embed(TEXTS, pool="cls")),
    "words": (("elmo", "bert"), lambda model: model.embed(TEXTS, pool="words")),
    "fill": (("bert", "modernbert"), lambda model: model.fill("the old [MASK] sees a [MASK]")),
    "score": (("elmo", "bert", "modernbert", "gpt"), lambda model: model.score(TEXTS)),
    "choose": (
        ("bert", "gpt"),
        lambda model: model.choose(TEXTS, ["dog", "bird", "old river"], "{text}: {label}"),
    ),
    "generate": (("gpt",), lambda model: model.generate(TEXTS, max_new_tokens=8, temperature=0.8, seed=3)),
    "greedy": (("gpt",), lambda model: model.generate(TEXTS, max_new_tokens=40, temperature=0)),
    "beams": (("gpt",), lambda model: model.generate(TEXTS[0], max_new_tokens=6, beams=3)),
    "next": (("gpt",), lambda model: model.next_tokens("the old")),
    "neighbours": (("bert", "gpt"), lambda model: model.neighbours("cat")),
    "in context": (("bert",), lambda model: model.neighbours("cat", context=TEXTS[0])),
    "follows": (("bert",), lambda model: model.follows(TEXTS[0], TEXTS[1])),
}
CASES = [(what, name) for what, (names, _) in ASKED.items() for name in names]
STUDIES: dict[str, tuple[str, Callable[[Model, Path], Any]]] = {
    "attention": ("bert", lambda model, _: polyseme.attention(model, TEXTS[:2])),
    "directions": ("elmo", lambda model, _: polyseme.directions(model, TEXTS[0])),
    "pairs": ("gpt", lambda model, folder: polyseme.pairs(model, folder / "pairs.tsv").rows()),
    "cosines": ("bert", lambda model, _: polyseme.cosines([model], ["cat", "dog", "bird"])),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    small |= {"data.sequence_length": 32, "train.batch_size": 4, "train.heldout_tokens": 300}
    elmo = {"hidden_size": 16, "intermediate_size": 24, "data.sequence_length": 32, "train.batch_size": 4}
    folder = tmp_path_factory.mktemp("device")
    (folder / "pairs.tsv").write_text("good\tbad\nthe cat sees a dog\tthe cat a dog sees\n" * 3)
    of = {"bert": {}, "gpt": {}, "modernbert": small, "elmo": elmo | {"train.heldout_tokens": 300}}
    return {name: make_run(folder / name, name, **settings) for name, settings in of.items()}


def same(a: Any, b: Any) -> None:
    """Equal to the rounding of sums, whatever it is made of."""
    if isinstance(a, str | bool | int | None):
        assert a == b
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same(one, other)
    elif hasattr(a, "document"):
        same(a.document(), b.document())
    else:
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("what", "name"), CASES)
def test_what_is_asked_is_the_same_there(runs: dict[str, Path], what: str, name: str) -> None:
    _, ask = ASKED[what]
    with there():
        model = polyseme.load(runs[name], device=THERE)
        assert {type(weight) for weight in model.encoder.parameters()} == {Elsewhere}
        found = ask(model)
    same(found, ask(polyseme.load(runs[name])))


@pytest.mark.parametrize("what", STUDIES)
def test_studies_are_the_same_there(runs: dict[str, Path], what: str) -> None:
    name, ask = STUDIES[what]
    with there():
        found = ask(polyseme.load(runs[name], device=THERE), runs[name].parent.parent)
    same(found, ask(polyseme.load(runs[name]), runs[name].parent.parent))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["bert", "elmo"])
def test_predictions_are_the_same_there(name: str, task: str, tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples", task)
    run = adapt(task, start_run(tmp_path / "start", name), examples, tmp_path / "run", epochs=1)
    asked = [
        "the good cat",
        ("a cat sees", "a good day"),
        ("who sees the river", "the old cat sees a river"),
    ][{"pair": 1, "qa": 2}.get(task, 0)]
    with there():
        found = polyseme.load(run.path, device=THERE).predict([asked] * 3)
    same(found, polyseme.load(run.path).predict([asked] * 3))


@torch.no_grad()
def test_what_is_for_cpus_is_refused_there(runs: dict[str, Path]) -> None:
    with there():
        model = polyseme.load(runs["gpt"], device=THERE)
        with pytest.raises(ConfigError, match="weights in int8 are for CPUs"):
            model.prepared("int8")
        with pytest.raises(ConfigError, match="weights in bfloat16 are for CPUs"):
            model.embed(TEXTS, precision="bfloat16")


@torch.no_grad()
def test_what_is_left_behind_is_noticed() -> None:
    with there():
        layer = torch.nn.Linear(3, 2).to(THERE)
        with pytest.raises(AssertionError, match="a tensor of the CPU"):
            layer(torch.ones(1, 3))
        with pytest.raises((RuntimeError, TypeError)):
            layer(torch.ones(1, 3, device=THERE)).detach().numpy()
        assert layer(torch.ones(1, 3, device=THERE)).cpu().shape == (1, 2)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:0", "", 3])
def test_no_such_device(runs: dict[str, Path], name: Any) -> None:
    if name == "":
        name = "nowhere"
    with pytest.raises(ConfigError, match="no such device"):
        polyseme.load(runs["gpt"], device=name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_verb_says_that_there_is_no_gpu(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fill", str(runs["bert"]), "the old [MASK]"]
    assert main([*words, "--device", "cuda"]) == 2
    assert "no GPU that torch can use" in capsys.readouterr().err
    assert main([*words, "--device", "auto"]) == main(words) == 0
