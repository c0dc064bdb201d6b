"""Attention of small encoders: rows, what is hidden, words, edges, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoding import make_loaded
from polyseme.errors import CheckpointError, ConfigError, InputError
from polyseme.study import attention as attended
from polyseme.study.attention import attend, attention, checked, strongest, visible_pairs
from polyseme.study.word_units import spans_of_words, touched

TEXT = "the cat sat on the mat, and it's a good day. 北京欢迎你"
PAIR = ("the cat sat", "on the mat, it's good")
ATTENDING = ["bert", "ernie", "gpt", "modernbert", "qwen3"]


def loaded_of(model: str, **changes: Any) -> Any:
    return make_loaded(model, "byte-bpe" if model in ("gpt", "qwen3") else "wordpiece", **changes)


@pytest.mark.parametrize("model", ATTENDING)
def test_rows_add_up_to_one_and_what_is_hidden_gets_nothing(model: str) -> None:
    loaded = loaded_of(model, num_hidden_layers=4)
    texts = [TEXT, PAIR, "a", TEXT + TEXT[:20], PAIR[::-1]]
    for _, one in attend(loaded, texts):
        assert one.probabilities.shape[:2] == (4, 2)
        np.testing.assert_allclose(one.probabilities.sum(-1), 1.0, atol=1e-5)
        hidden = one.probabilities[~np.broadcast_to(one.visible[:, None], one.probabilities.shape)]
        assert (hidden == 0).all()
        seen = one.probabilities[np.broadcast_to(one.visible[:, None], one.probabilities.shape)]
        assert (seen > 0).all()  # nothing visible is hidden
        error, most = checked(one, loaded)
        assert error < 1e-5
        assert most == 0.0


@pytest.mark.parametrize("model", ["gpt", "qwen3"])
def test_decoders_see_no_future(model: str) -> None:
    loaded = loaded_of(model)
    (_, one), *_ = attend(loaded, [TEXT])
    n = len(one.tokens)
    assert (one.probabilities[:, :, *np.triu_indices(n, 1)] == 0).all()
    found = attention(loaded, TEXT).document()
    assert found["sees"] == {"reach": "left", "window": None, "local_layers": []}
    assert all(head["next"]["value"] is None for head in found["figures"])
    assert found["view"]["hidden_pairs"] == pytest.approx((n - 1) / (2 * n), abs=1e-4)


def test_local_windows_are_stated() -> None:
    loaded = loaded_of("modernbert", num_hidden_layers=4, local_attention=8)
    found = attention(loaded, TEXT).document()
    assert found["sees"] == {"reach": "both", "window": 4, "local_layers": [2, 3]}
    n = len(found["view"]["tokens"])
    i = np.arange(n)
    near = (np.abs(i[:, None] - i) <= 4).mean()
    assert found["view"]["hidden_pairs"] == pytest.approx((1 - near) / 2, abs=1e-4)
    assert visible_pairs(loaded.encoder, n).mean((1, 2)).tolist() == pytest.approx([1, near, near, 1])


@pytest.mark.parametrize("model", ATTENDING)
def test_many_texts_give_what_each_gives_alone(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = loaded_of(model)
    texts = [TEXT, "a cat", PAIR, "the mat, the mat", TEXT[:17], PAIR[::-1], "cat"]
    together = dict(attend(loaded, texts))
    assert sorted(together) == list(range(len(texts)))
    monkeypatch.setattr(attended, "CELLS_AT_ONCE", 1)  # a batch each
    for number, alone in attend(loaded, texts):
        assert alone.tokens == together[number].tokens
        np.testing.assert_allclose(alone.probabilities, together[number].probabilities, atol=1e-5)


def test_a_pair_is_read_as_the_model_reads_pairs() -> None:
    loaded = loaded_of("bert")
    found = attention(loaded, PAIR).document()
    tokens = found["view"]["tokens"]
    names = [token["token"] for token in tokens]
    assert (names[0], names[-1], names.count("[SEP]")) == ("[CLS]", "[SEP]", 2)
    for token in tokens:
        if token["text"] is not None:
            piece = token["token"].removeprefix("##")
            assert PAIR[token["text"]][token["start"] : token["end"]] == piece
    texts = [token["text"] for token in tokens if token["text"] is not None]
    assert texts == sorted(texts)
    assert {0, 1} <= set(texts)
    assert all(head["a_to_b"]["value"] > 0 for head in found["figures"])
    assert "a_to_b" not in attention(loaded, TEXT).document()["figures"][0]


def test_words_are_found_by_their_characters() -> None:
    loaded = loaded_of("bert")
    tokens = attention(loaded, TEXT).document()["view"]["tokens"]
    by_word: dict[int, str] = {}
    for token in tokens:
        if token["word"] is not None:
            by_word[token["word"]] = by_word.get(token["word"], "") + TEXT[token["start"] : token["end"]]
    spans = [TEXT[a:b] for a, b in spans_of_words(TEXT).tolist()]
    assert [by_word[number] for number in sorted(by_word)] == spans
    assert "北京" in spans  # a word of two tokens
    assert all(token["word"] is None for token in tokens if token["token"] in (",", ".", "[CLS]", "[SEP]"))


def test_touched_words() -> None:
    words = np.array([[0, 3], [4, 8], [9, 10]])
    first, end = touched(
        words, [(0, 0), (0, 2), (2, 6), (3, 4), (3, 5), (0, 10), (10, 10), (8, 12), (12, 14)]
    )
    assert [list(range(a, b)) for a, b in zip(first, end, strict=True)] == [
        [], [0], [0, 1], [], [1], [0, 1, 2], [], [2], [],
    ]  # fmt: skip


def test_edges_are_the_strongest_and_what_is_left_out_is_said() -> None:
    loaded = loaded_of("bert")
    found = attention(loaded, TEXT)
    everything = replace(found, top=10**6, above=0.0).document()["view"]
    n = len(everything["tokens"])
    assert everything["edges"]["left_out"] == 0
    assert everything["edges"]["shown"] == 4 * n * n
    assert everything["edges"]["share_of_attention"] == pytest.approx(1.0, abs=1e-3)
    few = replace(found, top=2).document()["view"]
    assert few["edges"]["shown"] == 4 * n * 2
    assert few["edges"]["left_out"] == 4 * n * (n - 2)
    assert found.view is not None
    for head in few["heads"]:
        a = found.view.probabilities[head["layer"] - 1, head["head"] - 1]
        assert head["from"] == [i for i in range(n) for _ in range(2)]
        best = np.sort(a, 1)[:, ::-1][:, :2].reshape(-1)
        np.testing.assert_allclose(head["share"], best, atol=1e-4)
    mass = sum(sum(head["share"]) for head in few["heads"]) / (4 * n)
    assert few["edges"]["share_of_attention"] == pytest.approx(mass, abs=1e-3)
    default = found.document()["view"]
    assert min(share for head in default["heads"] for share in head["share"]) >= 0.005


def test_documents_of_long_texts_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = loaded_of("bert", max_position_embeddings=512)
    found = attention(loaded, (TEXT + " ") * 30, max_length=400)
    assert found.view is not None
    assert len(found.view.tokens) == 400
    assert found.view.cut > 0
    assert any("are cut" in note for note in found.notes)
    monkeypatch.setattr("polyseme.study.attention.EDGES", 5000)
    assert found.document()["view"]["edges"]["top"] == 3
    assert found.document()["view"]["edges"]["shown"] <= 4 * 400 * 3
    monkeypatch.setattr("polyseme.study.attention.FULL_CELLS", 1000)
    with pytest.raises(ConfigError, match="too many shares"):
        replace(found, full=True).document()
    monkeypatch.setattr(attended, "MOST_CELLS", 1000)
    with pytest.raises(ConfigError, match="--max-length"):
        attention(loaded, TEXT)


def test_full_matrices_on_request() -> None:
    found = attention(loaded_of("bert"), "the cat")
    assert found.view is not None
    full = np.array(replace(found, full=True).document()["view"]["probabilities"])
    np.testing.assert_allclose(full, found.view.probabilities, atol=1e-6)
    assert "probabilities" not in found.document()["view"]


def test_a_file_is_measured_with_intervals_and_a_text_shown_beside_it() -> None:
    loaded = loaded_of("bert")
    many = [TEXT[i : i + 25] for i in range(12)] + ["", " "]
    found = attention(loaded, "the cat", file=many).document()
    assert found["measured"]["texts"] == 12
    assert found["view"]["texts"] == ["the cat"]
    assert found["notes"] == ["2 empty texts are left out"]
    for head in found["figures"]:
        for name in ("previous", "separators", "relative_entropy"):
            figure = head[name]
            assert figure["low"] <= figure["value"] <= figure["high"]
    assert attention(loaded, file=many).document()["view"] is None


def test_the_head_that_is_shown() -> None:
    loaded = loaded_of("bert", num_hidden_layers=3)
    assert attention(loaded, TEXT, layer=2, head=1).chosen == (2, 1)
    assert attention(loaded, TEXT, layer=3).chosen[0] == 3
    assert attention(loaded, TEXT, head=2).chosen[1] == 2
    layer, head = attention(loaded, TEXT).chosen
    assert 1 <= layer <= 3
    assert 1 <= head <= 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"text": ""}, InputError),
        ({"text": ("a", " ")}, InputError),
        ({"text": None}, InputError),
        ({"text": None, "file": ["", " "]}, InputError),
        ({"text": "a", "layer": 0}, ConfigError),
        ({"text": "a", "layer": 3}, ConfigError),
        ({"text": "a", "head": 9}, ConfigError),
        ({"text": "a", "max_length": 2}, ConfigError),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        attention(loaded_of("bert"), **arguments)


@pytest.mark.parametrize("many", [[], [" "]])
def test_a_file_without_texts_is_named(tmp_path: Path, many: list[str]) -> None:
    file = tmp_path / "blank.txt"
    file.write_text("\n".join(many), "utf-8")
    with pytest.raises(InputError) as caught:
        attention(loaded_of("bert"), file=file)
    assert caught.value.where == file


@pytest.mark.parametrize("arguments", [{"top": 0}, {"above": 1.0}, {"above": -0.1}])
def test_documents_refuse(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        attention(loaded_of("bert"), "the cat", **arguments)


@pytest.mark.parametrize("model", ["elmo", "word2vec", "onehot"])
def test_models_without_attention_say_so_and_name_those_that_have_it(model: str) -> None:
    loaded = make_loaded(model, "words") if model == "elmo" else _static(model)
    with pytest.raises(ConfigError, match=f"{model} has no attention") as refused:
        attention(loaded, TEXT)
    assert "bert, ernie, gpt, modernbert, qwen3" in str(refused.value)
    assert ("polyseme senses" if model == "elmo" else "polyseme neighbours") in str(refused.value)


def test_the_run_that_is_named_instead_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("my bert", "word2vec"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").write_text(
            json.dumps({"format_version": 1, "model": name.split()[-1]})
        )
        (tmp_path / "runs" / name / "model.safetensors").touch()
    (tmp_path / "link").symlink_to(tmp_path / "runs" / "word2vec")
    monkeypatch.chdir(tmp_path)
    for path, named in (
        ("runs/word2vec", "'runs/my bert'"),
        ("link", f"'{(tmp_path / 'runs' / 'my bert').resolve()}'"),
    ):
        loaded = _static("word2vec")
        loaded.run.path = Path(path)
        with pytest.raises(ConfigError) as refused:
            attention(loaded, TEXT)
        assert refused.value.fix == f"polyseme attention {named} TEXT"


def _static(model: str) -> Any:
    from types import SimpleNamespace

    from small import make_encoder

    run = SimpleNamespace(path=Path("runs/none"), meta={})
    return SimpleNamespace(
        encoder=make_encoder(model), run=run, recipe=SimpleNamespace(architecture=model), tokenizer=None
    )


def test_damaged_weights_are_found() -> None:
    loaded = loaded_of("bert")
    loaded.encoder.blocks[0].query_key_value.weight.data[0] = float("nan")
    with pytest.raises(CheckpointError, match="shares of attention"):
        attention(loaded, TEXT)


def test_strongest_edges_keep_the_order_of_tokens() -> None:
    shares = np.array([[0.1, 0.7, 0.2], [0.0, 0.0, 1.0], [0.5, 0.3, 0.2]], np.float32)
    i, j, share = strongest(shares, 2, 0.25)
    assert i.tolist() == [0, 1, 2, 2]
    assert j.tolist() == [1, 2, 0, 1]
    assert share == pytest.approx([0.7, 1.0, 0.5, 0.3])
