"""What the API answers is what the command line prints with --json."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

import polyseme
from asked import Reply, Server, nearly
from polyseme.cli import main
from polyseme.errors import ConfigError, RunError
from polyseme.infer.pooling import Pooling
from polyseme.serve.app import all_routes
from polyseme.serve.calls import Answer
from polyseme.serve.options import ServeConfig, named_runs

CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "fill": ("bert", {"text": "the [MASK] sees", "top": 3}, ["the [MASK] sees", "--top", "3"]),
    "fill with detail": (
        "bert",
        {"text": "the old cat", "hide": ["cat"], "detail": True},
        ["the old cat", "--hide", "cat", "--detail"],
    ),
    "fill a whole hole": ("bert", {"text": "a [MASK] [MASK]", "whole": True}, ["a [MASK] [MASK]", "--whole"]),
    "score": ("gpt", {"texts": "the old cat"}, ["the old cat"]),
    "score with detail": ("bert", {"texts": "the old cat", "detail": True}, ["the old cat", "--detail"]),
    "score with a context": (
        "gpt",
        {"texts": "old cat", "context": "the", "end": True},
        ["old cat", "--context", "the", "--end"],
    ),
    "neighbours": ("word2vec", {"word": "cat", "top": 4}, ["cat", "--top", "4"]),
    "neighbours in a text": (
        "bert",
        {"word": "cat", "context": "the old cat sees"},
        ["cat", "--context", "the old cat sees"],
    ),
    "follows": ("bert", {"text": "the old cat", "text_b": "a dog sees"}, ["the old cat", "a dog sees"]),
    "tokenize": ("bert", {"text": "the old catty"}, ["the old catty"]),
    "attention": ("bert", {"text": "the old cat", "text_b": "a dog"}, ["the old cat", "a dog"]),
    "mask": ("bert", {"text": "the old cat sees", "seed": 3}, ["the old cat sees", "--seed", "3"]),
    "uses": ("bert", {"word": "cat", "limit": 3, "seed": 1}, ["cat", "--limit", "3", "--seed", "1"]),
    "cosines": ("word2vec", {"items": ["cat", "dog", "bird"]}, ["cat", "dog", "bird"]),
    "generate": (
        "gpt",
        {"prompt": "the cat", "max_new_tokens": 4, "seed": 5, "alternatives": 2, "stream": False},
        ["the cat", "--max-new-tokens", "4", "--seed", "5", "--alternatives", "2"],
    ),
    "generate by beams": (
        "gpt",
        {"prompt": "the cat", "max_new_tokens": 3, "beams": 2, "stream": False},
        ["the cat", "--max-new-tokens", "3", "--beams", "2"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_api_answers_with_the_json_of_the_command_line(
    case: str, server: Server, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    verb = case.partition(" ")[0]
    run, body, typed = CASES[case]
    capsys.readouterr()
    assert main([verb, str(runs[run]), *typed, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    reply = server.post(f"/api/{verb}", {"run": run, **body})
    assert reply.status == 200, reply.body
    assert nearly(reply.json, printed), (reply.json, printed)
    below = server.post(f"/models/{run}/api/{verb}", body)
    assert nearly(below.json, printed), (below.json, printed)


def test_next_tokens_and_inspect_are_the_command_line_s(
    server: Server, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["generate", str(runs["gpt"]), "the", "--next", "3", "--json"]) == 0
    assert server.post("/api/next", {"run": "gpt", "text": "the", "top": 3}).json == json.loads(
        capsys.readouterr().out
    )
    assert main(["inspect", str(runs["gpt"]), "--json"]) == 0
    assert server.get("/api/runs/gpt").json == json.loads(capsys.readouterr().out)


def test_vectors_are_those_of_embed(server: Server, runs: dict[str, Path]) -> None:
    texts = ["the old cat", "", "a dog sees " * 30]
    answer = server.post("/api/embed", {"texts": texts, "normalize": True})
    model = polyseme.load(runs["bert"])
    with pytest.warns(UserWarning, match="longer"):
        expected = polyseme.embed(model, texts, Pooling.of(model, normalize=True))
    assert np.allclose(answer.json["vectors"], expected, atol=1e-6)
    assert answer.json["truncated"] == [2]
    assert answer.headers["x-truncated"] == "2"
    assert answer.json["pooling"]["normalize"] is True
    whole = server.post("/api/embed", {"texts": texts, "truncate": False})
    assert (whole.status, whole.error["param"]) == (413, "texts.2")


def test_encode_gives_cosines_or_vectors(server: Server, runs: dict[str, Path]) -> None:
    encoded = polyseme.load(runs["bert"]).encode("the old cat")
    answer = server.post("/api/encode", {"text": "the old cat"}).json
    assert np.shape(answer["cosines"]) == (3, 3, 3)
    assert np.allclose([np.diag(layer) for layer in answer["cosines"]], 1, atol=1e-5)
    row = server.post("/api/encode", {"text": "the old cat", "word": "cat", "layers": -1}).json["cosines"]
    assert np.allclose(row[0], answer["cosines"][-1][2], atol=1e-6)
    vectors = server.post("/api/encode", {"text": "the old cat", "vectors": True}).json
    read = np.frombuffer(base64.b64decode(vectors["vectors"]), "<f4").reshape(vectors["shape"])
    assert np.array_equal(read, encoded.layers)


def test_similarity_and_pairs(server: Server, runs: dict[str, Path]) -> None:
    model = polyseme.load(runs["bert"])
    answer = server.post("/api/similarity", {"texts": ["the cat", "a dog"], "others": ["a bird"]}).json
    assert np.allclose(answer["similarity"], model.similarity(["the cat", "a dog"], ["a bird"]), atol=1e-6)
    pair = server.post("/api/pairs", {"run": "gpt", "good": "the old cat", "bad": "cat the old"}).json
    good, bad = polyseme.load(runs["gpt"]).score(["the old cat", "cat the old"])
    assert pair["margin"] == pytest.approx(good - bad)
    shares = server.post(
        "/api/choose", {"text": "the cat", "choices": ["good", "bad"], "template": "{text} is {label}"}
    ).json["probabilities"]
    assert list(shares) == ["good", "bad"]
    assert sum(shares.values()) == pytest.approx(1)


def test_several_runs_answer_as_they_are_done(server: Server) -> None:
    reply = server.post("/api/score", {"runs": ["bert", "gpt", "word2vec"], "texts": ["the cat"]})
    assert reply.headers["content-type"] == "application/x-ndjson"
    found = {line["run"]: line for line in reply.lines}
    assert found["gpt"]["answer"]["kind"] == "log-likelihood"
    assert found["bert"]["answer"]["kind"] == "pseudo-log-likelihood"
    assert found["word2vec"]["status"] == 400
    assert server.post("/api/score", {"runs": ["bert", "nobody"], "texts": "a"}).status == 404


def test_a_run_that_cannot_names_those_that_can(server: Server) -> None:
    error = server.post("/api/fill", {"run": "gpt", "text": "the [MASK]"}).error
    assert error["code"] == "run_cannot"
    assert error["fix"] == "a run that can: bert"
    assert (
        server.post("/api/generate", {"run": "bert", "prompt": "the"}).error["fix"] == "a run that can: gpt"
    )
    assert server.post("/api/predict", {"text": "the"}).error["code"] == "ConfigError"  # none of them can


@pytest.mark.parametrize("name", ["bert", "gpt", "word2vec"])
def test_abilities_are_known_without_loading(name: str, server: Server, runs: dict[str, Path]) -> None:
    known = server.service.shelf.abilities(name)
    assert known - {"attention", "tree", "directions"} == set(polyseme.load(runs[name]).abilities)


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("fill", {"txt": "a [MASK]"}, 422, "txt"),
        ("fill", {"text": ["a"]}, 422, "text"),
        ("fill", {"text": "a [MASK]", "top": 10**9}, 422, "top"),
        ("fill", {"text": "a [MASK]", "top": 0}, 422, "top"),
        ("fill", {"text": "no mask here"}, 400, None),
        ("fill", {"run": "nobody", "text": "a"}, 404, "run"),
        ("fill", {"run": 3, "text": "a"}, 422, "run"),
        ("fill", [], 422, None),
        ("fill", b"{", 400, None),
        ("fill", b'{"text": NaN}', 400, None),
        ("fill", b'{"text": "\\ud800"}', 400, None),
        ("fill", b"\xff", 400, None),
        ("embed", {"texts": []}, 422, "texts"),
        ("generate", {"run": "gpt", "prompt": "a", "beams": 2, "temperature": 1.0}, 400, None),
        ("generate", {"run": "gpt", "prompt": "a", "results": 10**6}, 422, "results"),
        ("generate", {"run": "gpt", "prompt": "a", "max_new_tokens": 10**9}, 422, "max_new_tokens"),
        ("generate", {"run": "gpt", "prompt": "a", "stop": ["a"] * 17}, 422, None),
        ("generate", {"run": "gpt", "prompt": "a", "seed": 10**30}, 422, "seed"),
        ("fill", {"text": "[MASK] " * 99 + "x" * 999, "top": 1000}, 413, None),
        ("fill", {"text": "[MASK] [MASK]", "top": 51, "whole": True}, 413, None),
        ("score", {"texts": ["the old cat " * 99] * 99}, 413, None),
        ("similarity", {"texts": ["a"] * 2048}, 413, None),
        ("encode", {"text": "the cat " * 300}, 413, None),
        ("uses", {"word": "cat", "from": "/etc/passwd"}, 422, None),
        ("uses", {"word": "cat", "from": "texts"}, 400, "from"),
        ("page", {"kind": "fill", "document": {"a": 1}}, 422, "document"),
        ("page", {"kind": "nothing", "document": {}}, 422, "kind"),
        ("nothing", {}, 404, None),
    ],
)
def test_what_is_wrong_is_said(path: str, body: Any, status: int, param: str | None, server: Server) -> None:
    reply = server.post(f"/api/{path}", body)
    assert reply.status == status, reply.body
    assert set(reply.error) == {"message", "type", "param", "code", "got", "expected", "fix"}
    assert reply.error["fix"]
    if param is not None:
        assert reply.error["param"] == param


def test_an_unknown_field_has_its_near_match(server: Server) -> None:
    assert server.post("/api/fill", {"text": "a [MASK]", "tops": 3}).error["fix"] == "did you mean top?"


def test_another_method_says_which_there_are(server: Server) -> None:
    reply = server.get("/api/fill")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


def test_too_many_tokens_are_told_with_both_numbers(runs: dict[str, Path]) -> None:
    error = Server(runs, max_tokens=5).post("/api/score", {"texts": "the old cat sees a dog"}).error
    assert (error["got"], error["expected"]) == ("6 tokens", "at most 5")


def test_a_study_s_json_becomes_blocks(server: Server) -> None:
    found = server.post("/api/neighbours", {"run": "word2vec", "word": "cat"}).json
    page = server.post("/api/page", {"kind": "neighbours", "document": found, "lang": "zh"})
    assert page.status == 200, page.body
    assert page.json


def test_what_there_is(server: Server) -> None:
    assert server.get("/health").json == {"status": "ok"}
    runs = {run["run"]: run for run in server.get("/api/runs").json["runs"]}
    assert (runs["bert"]["layers"], runs["bert"]["mask"], runs["gpt"]["mask"]) == (2, "[MASK]", None)
    assert server.get("/api/runs/bert/about").json["abilities"] == runs["bert"]["abilities"]
    limits = server.get("/api/server").json["limits"]
    assert limits["max_tokens"] == 65_536
    metrics = server.get("/api/runs/bert/metrics")
    assert metrics.lines
    behind = metrics.headers["x-next"]
    assert server.get(f"/api/runs/bert/metrics?after={behind}").body == b""
    assert server.get("/api/runs/bert/metrics?after=-1").status == 422
    paths = server.get("/openapi.json").json["paths"]
    assert {"/api/fill", "/v1/embeddings", "/v1/completions", "/pipeline/{task}"} <= set(paths)
    bodies = [body for route in all_routes() for body in (route.body, *route.bodies) if body is not None]
    assert len({body.__name__ for body in bodies}) == len(set(bodies)), "two schemas of one name"
    assert "polyseme_tokens_total" in server.get("/metrics").body.decode()


def test_runs_are_named(tmp_path: Path) -> None:
    for name in ("a/bert", "b/bert"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
    first, second = str(tmp_path / "a/bert"), str(tmp_path / "b/bert")
    assert named_runs([first, f"other={second}"]) == {"bert": Path(first), "other": Path(second)}
    with pytest.raises(ConfigError, match="two runs have one name"):
        named_runs([first, second])
    with pytest.raises(RunError, match="not a run"):
        named_runs([str(tmp_path)])
    with pytest.raises(ConfigError, match="no run"):
        named_runs([])


def test_nobody_reads_a_path_where_others_can_reach_the_server(runs: dict[str, Path], tmp_path: Path) -> None:
    place = tmp_path / 'a secret "place" 路'
    broken = place / "broken"
    for name, run in runs.items():
        shutil.copytree(run, place / name)
    shutil.copytree(runs["bert"], broken)
    (broken / "model.safetensors").write_bytes(b"")
    shutil.rmtree(broken / "resume", ignore_errors=True)
    (place / "texts.txt").write_text("the old cat sees a dog. a cat.")
    served = {name: place / name for name in (*runs, "broken")}
    server = Server(served, host="0.0.0.0", token="t", texts=(str(place / "texts.txt"),))
    asked: list[tuple[str, str, Any]] = [
        ("POST", f"/api/{case.partition(' ')[0]}", {"run": run, **body})
        for case, (run, body, _) in CASES.items()
    ]
    asked += [("POST", path, {**body, "run": "broken"}) for _, path, body in asked]
    asked += [("POST", "/api/fill", {"run": run, "text": "a [MASK]"}) for run in ("gpt", "word2vec")]
    asked += [
        ("POST", "/api/uses", {"word": "cat", "from": "texts"}),
        ("POST", "/api/tree", {"words": ["a"]}),
    ]
    asked += [
        ("POST", "/api/score", {"runs": [*served], "texts": "a"}),
        ("POST", "/api/predict", {"text": "a"}),
    ]
    asked += [
        ("POST", "/v1/completions", {"model": "bert", "prompt": "a"}),
        ("POST", "/embed", {"inputs": "a"}),
    ]
    asked += [
        ("GET", f"/api/runs/{name}{more}", None) for name in served for more in ("", "/about", "/metrics")
    ]
    asked += [("GET", path, None) for path in ("/api/runs", "/api/server", "/v1/models", "/info", "/metrics")]

    async def every() -> list[Reply]:
        async with server.running():
            shown = {"authorization": "Bearer t"}
            return [await server.ask(method, path, body, headers=shown) for method, path, body in asked]

    for request, reply in zip(asked, asyncio.run(every()), strict=True):
        told = reply.body.decode() + unquote(str(reply.headers))
        assert reply.status in (200, 400, 503), (request, told)
        for word in ("secret", "路", str(runs["bert"].parent), str(tmp_path)):
            assert word not in told, (request, told)


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/api/encode", {"text": "the cat", "layers": [0] * 65}, 413, None),
        ("/api/score", {"texts": [""] * 2049}, 413, None),
        ("/api/page", {"kind": "senses", "document": {}, "runs": ["bert", "gpt"]}, 422, "runs"),
        ("/api/holes", {"texts": ["the [MASK]"], "runs": ["bert"]}, 422, "runs"),
        ("/v1/embeddings", {"input": "the cat", "runs": ["bert"]}, 422, "runs"),
        ("/models/bert/api/score", {"run": "gpt", "texts": "the cat"}, 422, "run"),
        ("/models/gpt/api/score", {"run": "gpt", "texts": "the cat"}, 200, None),
        ("/models/gpt/v1/completions", {"model": "any", "prompt": "the", "max_tokens": 1}, 200, None),
        (
            "/api/holes",
            {"texts": ["the [MASK] " * 60] * 200, "candidates": [["cat"] * 50] * 200, "against": ["gpt"] * 8},
            413,
            None,
        ),
    ],
)
def test_what_would_be_passed_over_or_has_no_bound_is_refused(
    path: str, body: Any, status: int, param: str | None, server: Server
) -> None:
    reply = server.post(path, body)
    assert reply.status == status, reply.body
    if status != 200:
        assert reply.error["param"] == param


def test_notes_are_cut_between_characters() -> None:
    (headers,) = [Answer().noted(["这些文本太长" * 60]).headers]
    assert 1490 < len(headers["x-notes"]) <= 1500
    assert set(unquote(headers["x-notes"], errors="strict")) == set("这些文本太长")
    assert unquote(Answer().noted(["a; b"]).headers["x-notes"]) == "a; b"


def test_an_address_holds_any_token_and_port_80_is_left_out_by_browsers() -> None:
    config = ServeConfig(runs={"a": Path("a")}, token="a&b%zz", port=80)
    assert config.address.endswith("#token=a%26b%25zz")
    assert {"127.0.0.1", "localhost", "[::1]", "127.0.0.1:80"} <= config.hosts
    assert "localhost" not in ServeConfig(runs={"a": Path("a")}).hosts


def test_a_word_is_found_behind_letters_that_fold_to_two(server: Server) -> None:
    text = "ßßßßßßßß the cat sees"
    found = server.post("/api/encode", {"text": text, "word": "CAT", "layers": -1}).json
    (row,) = found["cosines"]
    at = next(i for i, token in enumerate(found["tokens"]) if text[token["start"] : token["end"]] == "cat")
    assert row[at] == pytest.approx(1)


def test_what_is_repeated_of_a_request_is_short(server: Server) -> None:
    reply = server.post("/api/score", {"texts": "the cat", "x" * 100_000: 1})
    assert reply.status == 422
    assert len(reply.body) < 2000
