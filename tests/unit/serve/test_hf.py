"""Hugging Face's shapes: what a body asks for, and that the answers are the library's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyseme
from asked import Server

Runs = dict[str, Path]
TEXT = "the old cat sees"


def test_masks_are_filled(every: Server, of_all_kinds: Runs) -> None:
    model = polyseme.load(of_all_kinds["bert"])
    found = every.post("/models/bert", {"inputs": "the [MASK] sees", "parameters": {"top_k": 3}}).json
    expected = model.fill("the [MASK] sees", 3)[0]["candidates"]
    assert [(c["token_str"], c["sequence"]) for c in found] == [(c["token"], c["sequence"]) for c in expected]
    assert [c["score"] for c in found] == pytest.approx([c["probability"] for c in expected])
    assert [model.tokenizer.display(c["token"]) for c in found] == [c["token_str"] for c in found]
    body = {"inputs": "the [MASK] sees", "parameters": {"targets": ["dog", "cat"]}}
    among = {c["token_str"]: c["score"] for c in every.post("/models/bert", body).json}
    everything = {c["token"]: c["probability"] for c in model.fill("the [MASK] sees", 500)[0]["candidates"]}
    assert among == pytest.approx({word: everything[word] for word in ("cat", "dog")})
    two = every.post("/models/bert", {"inputs": "the [MASK] [MASK]"}).json
    assert [len(mask) for mask in two] == [5, 5]
    several = every.post("/models/bert", {"inputs": ["the [MASK]", "<mask> sees"]})
    assert [answer[0]["score"] > 0 for answer in several.json] == [True, True]
    assert "read as" in several.headers["x-notes"]


def test_a_text_without_a_mask_becomes_a_vector(every: Server, of_all_kinds: Runs) -> None:
    model = polyseme.load(of_all_kinds["bert"])
    found = np.array(every.post("/models/bert", {"inputs": [TEXT, "a"], "normalize": False}).json)
    assert np.allclose(found, model.embed([TEXT, "a"]), atol=1e-6)
    unit = np.array(every.post("/models/word2vec", {"inputs": TEXT}).json)
    assert (unit.shape, np.linalg.norm(unit)) == ((1, 16), pytest.approx(1, abs=1e-5))
    outright = every.post("/models/gpt/pipeline/feature-extraction", {"inputs": TEXT}).json
    assert outright == every.post("/models/gpt", {"inputs": TEXT, "normalize": True}).json
    # the client sends parameters with a text that is to be filled
    reply = every.post("/models/bert", {"inputs": TEXT, "parameters": {}})
    assert (reply.status, "no [MASK]" in reply.json["error"]) == (400, True)


def test_similarity(every: Server) -> None:
    inputs = {"source_sentence": "the cat", "sentences": ["a dog", "the cat"]}
    found = every.post("/models/bert", {"inputs": inputs, "parameters": {}}).json
    assert found == every.post("/models/bert/similarity", {"inputs": inputs}).json
    assert found[1] == pytest.approx(1, abs=1e-5)


def test_words_are_tagged(every: Server, of_all_kinds: Runs) -> None:
    said = polyseme.load(of_all_kinds["tag"]).predict(TEXT)
    parameters = {"aggregation_strategy": "none", "ignore_labels": []}
    words = every.post("/models/tag", {"inputs": TEXT, "parameters": parameters}).json
    assert [(w["entity"], w["word"], w["start"]) for w in words] == [
        (t["tag"], t["text"], t["start"]) for t in said["tokens"]
    ]
    assert [w["score"] for w in words] == pytest.approx([t["probability"] for t in said["tokens"]], rel=1e-4)
    groups = every.post("/models/tag", {"inputs": [TEXT]}).json[0]
    assert [(g["entity_group"], g["word"], g["start"], g["end"]) for g in groups] == [
        (s["label"], s["text"], s["start"], s["end"]) for s in said["spans"]
    ]
    none = {"ignore_labels": ["N"]}
    assert every.post("/models/tag", {"inputs": TEXT, "parameters": none}).json == []


def test_texts_and_pairs_get_labels(every: Server, of_all_kinds: Runs) -> None:
    said = polyseme.load(of_all_kinds["classify"]).predict(TEXT)
    ((first, second),) = every.post("/models/classify", {"inputs": TEXT}).json
    assert (first["label"], first["score"]) == (said["label"], pytest.approx(said["probability"], rel=1e-4))
    assert first["score"] >= second["score"]
    only = {"inputs": [TEXT, "a"], "parameters": {"top_k": 1, "function_to_apply": "softmax"}}
    assert [len(row) for row in every.post("/models/classify", only).json] == [1, 1]
    pair = {"text": TEXT, "text_pair": "a bird"}
    ((best, _),) = every.post("/models/pair", {"inputs": pair}).json
    assert best["label"] == polyseme.load(of_all_kinds["pair"]).predict((TEXT, "a bird"))["label"]
    assert every.post("/models/pair", {"inputs": [pair, pair]}).json[1][0] == pytest.approx(best)


def test_questions_are_answered(every: Server, of_all_kinds: Runs) -> None:
    inputs = {"question": "what", "context": "a cat sees the river"}
    said = polyseme.load(of_all_kinds["qa"]).predict(("what", "a cat sees the river"), detail=True)
    found = every.post("/models/qa", {"inputs": inputs}).json
    assert (found["answer"], found["start"], found["end"]) == (said["answer"], said["start"], said["end"])
    several = every.post("/models/qa", {"inputs": inputs, "parameters": {"top_k": 3}}).json
    assert several[0] == pytest.approx(found)
    assert [each["answer"] for each in several] == [span["text"] for span in said["spans"][:3]]
    nothing = every.post("/models/qa", {"inputs": {"question": "what", "context": ""}}).json
    assert (nothing["answer"], nothing["start"]) == ("", 0)


@pytest.mark.parametrize("run", ["bert", "gpt"])
def test_labels_that_nobody_trained(run: str, every: Server, of_all_kinds: Runs) -> None:
    labels = ["good", "bad", "old"]
    body = {"inputs": TEXT, "parameters": {"candidate_labels": labels, "hypothesis_template": "the {} day"}}
    found = every.post(f"/models/{run}", body).json
    expected = polyseme.load(of_all_kinds[run]).choose(TEXT, labels, "{text} the {label} day")
    assert {row["label"]: row["score"] for row in found} == pytest.approx(
        dict(zip(labels, expected, strict=True))
    )
    assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)
    body = {"inputs": [TEXT, "a"], "parameters": {"candidate_labels": "good, bad", "multi_label": False}}
    assert [len(row) for row in every.post(f"/models/{run}", body).json] == [2, 2]


def test_texts_go_on(every: Server, of_all_kinds: Runs) -> None:
    model = polyseme.load(of_all_kinds["gpt"])
    plain = model.generate(TEXT, temperature=0, max_new_tokens=6, alternatives=2)
    body: dict[str, Any] = {"inputs": TEXT, "parameters": {"max_new_tokens": 6}}
    assert every.post("/models/gpt", body).json == [{"generated_text": plain.text}]
    body["parameters"] |= {"details": True, "decoder_input_details": True, "top_n_tokens": 2}
    body["parameters"] |= {"return_full_text": True}
    (row,) = every.post("/models/gpt", body).json
    details = row["details"]
    assert row["generated_text"] == TEXT + plain.text
    assert "".join(token["text"] for token in details["tokens"]) == plain.text
    assert (details["finish_reason"], details["generated_tokens"]) == ("length", 6)
    logs = [np.log(token.probability) for token in plain.tokens]
    assert [token["logprob"] for token in details["tokens"]] == pytest.approx(logs)
    assert [len(top) for top in details["top_tokens"]] == [2] * 6
    known = [token["logprob"] for token in details["prefill"] if token["logprob"] is not None]
    assert sum(known) == pytest.approx(model.score(TEXT))
    sampled = {"inputs": [TEXT, "a"], "parameters": {"max_new_tokens": 6, "seed": 3, "temperature": 1.0}}
    expected = model.generate(TEXT, max_new_tokens=6, seed=3, temperature=1.0, top_p=1.0).text
    assert every.post("/models/gpt", sampled).json[0]["generated_text"] == expected


def test_texts_come_as_a_stream(every: Server) -> None:
    body = {"inputs": TEXT, "parameters": {"max_new_tokens": 6, "details": True}, "stream": True}
    reply = every.post("/models/gpt", body)
    assert reply.headers["content-type"] == "text/event-stream"
    events = [json.loads(line.removeprefix("data:")) for line in reply.body.decode().split("\n\n") if line]
    whole = every.post("/models/gpt", {**body, "stream": False}).json[0]
    assert [event["index"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event["token"] for event in events] == whole["details"]["tokens"]
    assert events[-1]["generated_text"] == whole["generated_text"]
    assert events[-1]["details"]["generated_tokens"] == 6
    assert {event["generated_text"] for event in events[:-1]} == {None}


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("nobody", {"inputs": "a"}, 404, "no such run"),
        ("bert", {}, 422, "inputs"),
        ("bert", {"inputs": 3}, 422, "{question, context}"),
        ("bert", {"inputs": {"text": "a"}}, 422, "nothing that can be asked"),
        ("bert", {"inputs": "a [MASK]", "parameters": {"topk": 3}}, 422, "parameters.topk"),
        ("bert", {"inputs": "a [MASK]", "parameters": {"targets": ["cat sees"]}}, 400, "one token of"),
        ("bert", {"inputs": "a", "dimensions": 2}, 422, "another length"),
        ("bert", {"inputs": "a", "prompt_name": "query"}, 422, "prompt_name is not served"),
        ("gpt", {"inputs": "a", "parameters": {"typical_p": 0.5}}, 400, "typical_p is not served"),
        ("gpt", {"inputs": "a cat sees", "parameters": {"truncate": 1}}, 400, "truncate is not served"),
        ("gpt", {"inputs": ["a", "b"], "stream": True}, 422, "one text"),
        ("classify/pipeline/text-classification", {"inputs": []}, 422, "no text"),
        ("bert/pipeline/fill-mask", {"inputs": []}, 422, "no text"),
        ("gpt/pipeline/fill-mask", {"inputs": "a"}, 400, "a run that can: bert"),
        ("bert/pipeline/text-generation", {"inputs": "a"}, 400, "a run that can: gpt"),
        ("bert/pipeline/ner", {"inputs": "a"}, 400, "a run that can: tag"),
        ("bert/pipeline/summarization", {"inputs": "a"}, 404, "fill-mask"),
        ("word2vec", {"inputs": "a", "parameters": {"candidate_labels": ["a", "b"]}}, 400, "a run that can"),
        ("bert", {"inputs": "a", "parameters": {"candidate_labels": ["a"]}}, 422, "two labels"),
        (
            "bert",
            {"inputs": "a", "parameters": {"candidate_labels": "a,b", "hypothesis_template": "it"}},
            422,
            "{}",
        ),
        (
            "bert",
            {"inputs": "a", "parameters": {"candidate_labels": "a,b", "multi_label": True}},
            400,
            "multi_label",
        ),
        ("pair", {"inputs": "a"}, 400, "a run that can: classify"),
        ("qa", {"inputs": "a"}, 422, "inputs"),
        (
            "qa",
            {"inputs": {"question": "a", "context": "a"}, "parameters": {"doc_stride": 3}},
            400,
            "doc_stride",
        ),
        ("tag", {"inputs": "a", "parameters": {"stride": 3}}, 400, "stride is not served"),
        (
            "classify",
            {"inputs": "a", "parameters": {"function_to_apply": "sigmoid"}},
            400,
            "function_to_apply",
        ),
    ],
)
def test_what_is_refused(path: str, body: dict[str, Any], status: int, says: str, every: Server) -> None:
    reply = every.post(f"/models/{path}", body)
    assert (reply.status, set(reply.json)) == (status, {"error"}), reply.body
    assert says in reply.json["error"]


def test_what_changes_nothing_is_taken(every: Server) -> None:
    body = {"inputs": "a [MASK]", "options": {"wait_for_model": True}, "model": "bert"}
    assert every.post("/", body).json == every.post("/models/bert/", {"inputs": "a [MASK]"}).json
    harmless = {"best_of": 1, "watermark": False, "truncate": 1000, "frequency_penalty": 0}
    parameters = {"max_new_tokens": 1, **harmless}
    assert every.post("/models/gpt", {"inputs": "a", "parameters": parameters}).status == 200
