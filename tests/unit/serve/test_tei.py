"""The shapes of text-embeddings-inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyseme
from asked import Server


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
