"""OpenAI's shapes; test_clients.py has its own client."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyseme
from asked import Server


def test_models(server: Server) -> None:
    found = server.get("/v1/models").json
    assert [model["id"] for model in found["data"]] == ["bert", "gpt", "word2vec"]
    assert server.get("/v1/models/gpt").json == found["data"][1]
    assert server.get("/v1/models/nobody").status == 404


def test_embeddings_in_both_forms(server: Server, runs: dict[str, Path]) -> None:
    texts = ["the cat", "a dog"]
    floats = server.post("/v1/embeddings", {"model": "bert", "input": texts}).json
    expected = polyseme.load(runs["bert"]).embed(texts)
    got = np.array([row["embedding"] for row in floats["data"]], np.float32)
    assert np.allclose(got, expected, atol=1e-6)
    body = {"model": "bert", "input": texts, "encoding_format": "base64"}
    coded = server.post("/v1/embeddings", body).json
    rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in coded["data"]]
    assert np.array_equal(np.array(rows), got)
    assert floats["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": [1, 2, 3]}, 400, "input"),
        ({"input": [[1, 2], [3]]}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": "a", "dimensions": 3}, 400, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, 422, "encoding_format"),
        ({"input": "a", "pool": "mean"}, 422, "pool"),
        ({"input": "a", "model": "nobody"}, 404, "run"),
    ],
)
def test_what_embeddings_refuse(body: dict[str, Any], status: int, param: str, server: Server) -> None:
    reply = server.post("/v1/embeddings", {"model": "bert", **body})
    assert (reply.status, reply.error["param"]) == (status, param), reply.body


def test_completions_are_those_of_generate(server: Server, runs: dict[str, Path]) -> None:
    body = {"model": "gpt", "prompt": "the cat", "max_tokens": 5, "seed": 3, "temperature": 1}
    answer = server.post("/v1/completions", {**body, "logprobs": 2}).json
    options = {"max_new_tokens": 5, "seed": 3, "temperature": 1.0, "top_p": 1.0}
    expected = polyseme.load(runs["gpt"]).generate("the cat", **options)
    (choice,) = answer["choices"]
    assert choice["text"] == expected.text
    logs = [math.log(token.probability) for token in expected.tokens]
    assert choice["logprobs"]["token_logprobs"] == pytest.approx(logs)
    assert answer["usage"]["completion_tokens"] == 5
    several = server.post("/v1/completions", {**body, "prompt": ["the cat", "a"], "n": 2}).json["choices"]
    assert [each["index"] for each in several] == [0, 1, 2, 3]
    assert several[0]["text"] == choice["text"]
    assert several[1]["text"] != choice["text"]


def test_completions_as_a_stream(server: Server) -> None:
    body = {"model": "gpt", "prompt": "the cat", "max_tokens": 5, "seed": 3}
    whole = server.post("/v1/completions", body).json["choices"][0]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    reply = server.post("/v1/completions", {**body, **options})
    assert reply.headers["content-type"] == "text/event-stream"
    *events, done, empty = reply.body.decode().split("\n\n")
    assert (done, empty) == ("data: [DONE]", "")
    read = [json.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(event["choices"][0]["text"] for event in read[:-1]) == whole["text"]
    assert read[-2]["choices"][0]["finish_reason"] == whole["finish_reason"]
    assert read[-1]["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("run", ["gpt", "bert"])
def test_echo_has_the_figures_of_score(run: str, server: Server, runs: dict[str, Path]) -> None:
    text = "the old cat sees"
    model = polyseme.load(runs[run])
    body = {"model": run, "prompt": text, "max_tokens": 0, "echo": True, "logprobs": 1}
    found = server.post("/v1/completions", body).json["choices"][0]
    assert found["text"] == text
    known = [value for value in found["logprobs"]["token_logprobs"] if value is not None]
    assert sum(known) == pytest.approx(model.score(text, within_word=run == "bert"))
    # as lm-eval asks: ids with the separator in front, one token more, whose value it leaves out
    ids = server.post("/tokenize", {"model": run, "prompt": text}).json["tokens"]
    body |= {"prompt": [ids, ids], "max_tokens": 1}
    for choice in server.post("/v1/completions", body).json["choices"]:
        values = choice["logprobs"]["token_logprobs"]
        assert len(values) == len(choice["logprobs"]["tokens"]) == len(ids) + 1
        assert sum(value for value in values[:-1] if value is not None) == pytest.approx(sum(known))


def test_the_likeliest_tokens_of_a_prompt_tell_a_greedy_one(server: Server, runs: dict[str, Path]) -> None:
    model = polyseme.load(runs["gpt"])
    written = model.generate("the cat", temperature=0, max_new_tokens=1).text
    body = {"model": "gpt", "prompt": "the cat" + written, "max_tokens": 0, "echo": True, "logprobs": 1}
    found = server.post("/v1/completions", body).json["choices"][0]["logprobs"]
    assert all(
        value <= max(top.values()) + 1e-5
        for value, top in zip(found["token_logprobs"], found["top_logprobs"], strict=True)
        if value is not None
    )


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"suffix": "end"}, 400, "suffix"),
        ({"presence_penalty": 1}, 400, "presence_penalty"),
        ({"best_of": 4}, 400, "best_of"),
        ({"logprobs": 21}, 422, "logprobs"),
        ({"n": 17}, 422, "n"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": 10**9}, 422, "max_tokens"),
        ({"prompt": [10**9]}, 400, "prompt"),
        ({"prompt": []}, 400, "prompt"),
        ({"temprature": 1}, 422, "temprature"),
        ({"model": "bert"}, 400, None),
        ({"model": "bert", "stream": True}, 400, None),
    ],
)
def test_what_completions_refuse(
    body: dict[str, Any], status: int, param: str | None, server: Server
) -> None:
    reply = server.post("/v1/completions", {"model": "gpt", "prompt": "the", **body})
    assert (reply.status, reply.error["param"]) == (status, param), reply.body


def test_fields_that_change_nothing_are_taken(server: Server) -> None:
    body = {"suffix": None, "presence_penalty": 0, "best_of": 1, "user": "me", "logit_bias": {}}
    assert server.post("/v1/completions", {"model": "gpt", "prompt": "the", **body}).status == 200


def test_there_is_no_chat(server: Server) -> None:
    reply = server.post("/v1/chat/completions", {"model": "gpt", "messages": []})
    assert (reply.status, reply.error["code"]) == (404, "no_chat")


def test_the_tokenizer_can_be_asked(server: Server) -> None:
    info = server.get("/models/gpt/tokenizer_info").json
    assert info["eos_token"]
    ids = server.post("/models/gpt/tokenize", {"prompt": "the cat", "add_special_tokens": False}).json
    assert ids["count"] == len(ids["tokens"])
    assert server.post("/models/gpt/detokenize", {"tokens": ids["tokens"]}).json == {"prompt": "the cat"}


def test_the_ids_of_the_tokens_around_a_text(server: Server) -> None:
    """As harnesses ask: the name of a token alone is the token, in a text it is letters."""
    info = server.get("/models/gpt/tokenizer_info").json
    asked = {"prompt": info["eos_token"], "add_special_tokens": False}
    assert server.post("/models/gpt/tokenize", asked).json["tokens"] == [info["eos_token_id"]]
    within = server.post("/models/gpt/tokenize", {"prompt": f"the {info['eos_token']} cat"}).json["tokens"]
    assert info["eos_token_id"] not in within[1:]
