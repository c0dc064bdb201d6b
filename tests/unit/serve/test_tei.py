"""The shapes of text-embeddings-inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyseme
from asked import Server
from polyseme.serve.wire.tei import together


def test_vectors(server: Server, runs: dict[str, Path]) -> None:
    model = polyseme.load(runs["bert"])
    texts = ["the cat", "a dog sees"]
    reply = server.post("/embed", {"inputs": texts, "normalize": False})
    assert np.allclose(reply.json, model.embed(texts), atol=1e-6)
    assert reply.headers["x-compute-tokens"] == "5"
    one = server.post("/models/bert/embed", {"inputs": "the cat"}).json
    assert np.linalg.norm(one[0]) == pytest.approx(1, abs=1e-5)
    tokens = server.post("/embed_all", {"inputs": texts}).json
    assert [len(each) for each in tokens] == [4, 5]  # [CLS] and [SEP] among them
    assert np.allclose(tokens[0], model.encode("the cat", -1, True).layers[0], atol=1e-6)


def test_similarity(server: Server, runs: dict[str, Path]) -> None:
    inputs = {"source_sentence": "the cat", "sentences": ["a dog", "the cat"]}
    found = server.post("/similarity", {"inputs": inputs}).json
    expected = polyseme.load(runs["bert"]).similarity("the cat", ["a dog", "the cat"])
    assert np.allclose(found, expected, atol=1e-5)


def test_tokens_there_and_back(server: Server) -> None:
    ((first, the, cat, last),) = server.post("/tokenize", {"inputs": "the cat"}).json
    assert (first["special"], last["special"], the["text"]) == (True, True, "the")
    assert (cat["start"], cat["stop"]) == (4, 7)
    ids = [the["id"], cat["id"]]
    assert server.post("/decode", {"ids": ids}).json == ["the cat"]
    assert server.post("/decode", {"ids": [ids, ids[:1]]}).json == ["the cat", "the"]
    assert server.get("/models/gpt/info").json["model_id"] == "gpt"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("embed", {"inputs": "the cat " * 99}, 413),
        ("embed_all", {"inputs": "the cat " * 99}, 413),
        ("embed", {"inputs": []}, 422),
        ("embed", {"inputs": "a", "dimensions": 2}, 422),
        ("decode", {"ids": [10**6]}, 422),
        ("tokenize", {"text": "a"}, 422),
    ],
)
def test_errors_have_its_shape(path: str, body: dict[str, Any], status: int, server: Server) -> None:
    reply = server.post(f"/{path}", body)
    assert reply.status == status
    assert set(reply.json) == {"error", "error_type"}


def test_what_is_too_long_is_cut_where_it_is_asked(server: Server) -> None:
    reply = server.post("/embed", {"inputs": "the cat " * 99, "truncate": True})
    assert (reply.status, reply.headers["x-truncated"]) == (200, "0")


def test_labels(every: Server, of_all_kinds: dict[str, Path]) -> None:
    said = polyseme.load(of_all_kinds["classify"]).predict(["the cat", "a dog"])
    (best, other) = every.post("/models/classify/predict", {"inputs": "the cat"}).json
    assert (best["label"], best["score"]) == (
        said[0]["label"],
        pytest.approx(said[0]["probability"], rel=1e-4),
    )
    assert best["score"] + other["score"] == pytest.approx(1, abs=1e-4)
    batch = every.post("/models/classify/predict", {"inputs": [["the cat"], ["a dog"]]})
    assert [row[0]["label"] for row in batch.json] == [each["label"] for each in said]
    assert batch.headers["x-compute-characters"] == "12"
    pair = every.post("/models/pair/predict", {"inputs": ["the cat", "a dog"]}).json
    assert pair == every.post("/models/pair/predict", {"inputs": [["the cat", "a dog"]]}).json[0]
    info = every.get("/models/classify/info").json["model_type"]["classifier"]
    assert set(info["label2id"]) == {"good", "bad"}


def test_texts_are_put_in_order(every: Server, of_all_kinds: dict[str, Path]) -> None:
    texts = ["a dog", "the cat likes", "bird"]
    body = {"query": "the cat", "texts": texts, "return_text": True}
    found = every.post("/models/pair/rerank?label=good", body).json
    model = polyseme.load(of_all_kinds["pair"])
    shares = [model.predict(("the cat", text))["probabilities"]["good"] for text in texts]
    order = sorted(range(3), key=lambda i: -shares[i])
    assert [(each["index"], each["text"]) for each in found] == [(i, texts[i]) for i in order]
    assert [each["score"] for each in found] == pytest.approx([shares[i] for i in order], rel=1e-4)
    unsaid = every.post("/models/pair/rerank", body)
    assert (unsaid.status, "bad, good" in unsaid.json["error"]) == (400, True)


@pytest.mark.parametrize(
    ("labels", "asked", "found"),
    [
        (["0", "1"], None, "1"),
        (["entailment", "not_entailment"], None, "entailment"),
        (["no", "Yes"], None, "Yes"),
        (["否", "是"], None, "是"),
        (["0", "1"], "0", "0"),
        ([], None, None),
    ],
)
def test_the_label_that_says_together(labels: list[str], asked: str | None, found: str | None) -> None:
    assert together(labels, asked) == found


def test_sparse_vectors(every: Server, of_all_kinds: dict[str, Path]) -> None:
    texts = ["the cat the", "a dog"]
    found = every.post("/models/onehot/embed_sparse", {"inputs": texts}).json
    dense = polyseme.load(of_all_kinds["onehot"]).embed(texts)
    assert [len(row) for row in found] == [2, 2]
    for row, vector in zip(found, dense, strict=True):
        assert {each["index"]: each["value"] for each in row} == pytest.approx(
            {int(i): float(vector[i]) for i in np.flatnonzero(vector)}
        )


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("bert/predict", {"inputs": "a"}, 400, "a run that can: classify, pair"),
        ("tag/predict", {"inputs": "a"}, 400, "classify"),
        ("classify/predict", {"inputs": ["a", "b"]}, 422, "a text, or [text]"),
        ("pair/predict", {"inputs": "a"}, 422, "[text, text_b]"),
        ("classify/predict", {"inputs": "a", "raw_scores": True}, 422, "raw_scores"),
        ("classify/predict", {"inputs": "the cat " * 99}, 413, "truncate true"),
        ("classify/rerank", {"query": "a", "texts": ["b"]}, 400, "a run that can: pair"),
        ("pair/rerank?label=ugly", {"query": "a", "texts": ["b"]}, 422, "bad, good"),
        ("pair/rerank", {"query": "a", "texts": []}, 422, "no text"),
        ("bert/embed_sparse", {"inputs": "a"}, 400, "a run that can: onehot"),
        (
            "bert/embed",
            {"inputs": "a", "truncate": True, "truncation_direction": "Left"},
            422,
            "lose their ends",
        ),
    ],
)
def test_what_a_run_cannot_do(path: str, body: dict[str, Any], status: int, says: str, every: Server) -> None:
    reply = every.post(f"/models/{path}", body)
    assert (reply.status, set(reply.json)) == (status, {"error", "error_type"}), reply.body
    assert says in reply.json["error"]
