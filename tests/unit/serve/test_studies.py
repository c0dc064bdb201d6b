"""The routes of studies: maps first, groups behind, the same document as the command line prints."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import polyseme
from asked import Server, nearly
from polyseme.cli import main
from polyseme.errors import InputError
from polyseme.study.senses import SenseStudy
from polyseme.text.labelled.senses import Use

LINES = [f"the old cat sees a dog number {n}" for n in range(8)] + [f"a cat, {n} birds" for n in range(6)]


def without_seconds(document: dict[str, Any]) -> dict[str, Any]:
    for run in document["runs"]:
        del run["seconds"]
    return document


def test_senses_are_the_maps_and_then_the_command_line_s_document(
    server: Server, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    typed = [str(runs["bert"]), "--word", "cat", "--limit", "12", "--seed", "2", "--maps", "--json"]
    assert main(["senses", *typed]) == 0
    printed = json.loads(capsys.readouterr().out)
    reply = server.post("/api/senses", {"run": "bert", "word": "cat", "limit": 12, "seed": 2})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-ndjson")
    first, second = reply.lines
    assert len(reply.parts) >= 2  # the maps do not wait for the groups
    assert without_seconds(second["answer"]) == without_seconds(printed)
    (entry,) = printed["runs"][0]["words"]
    assert first["maps"]["layers"] == entry["maps"]
    assert first["maps"]["drawn"] == printed["words"][0]["drawn"]


def test_several_runs_read_the_same_uses(server: Server) -> None:
    body = {"runs": ["word2vec", "bert", "word2vec"], "word": "cat", "from": LINES, "lang": "zh"}
    lines = server.post("/api/senses", body).lines
    assert sorted((line["run"], "maps" in line) for line in lines) == [
        ("bert", False),
        ("bert", True),
        ("word2vec", False),
        ("word2vec", True),
    ]
    maps = {line["run"]: line["maps"] for line in lines if "maps" in line}
    assert maps["bert"]["drawn"] == maps["word2vec"]["drawn"]
    assert [layer["dots"] for layer in maps["word2vec"]["layers"]] == [1]
    assert len(maps["bert"]["layers"]) == 3
    answers = {line["run"]: line["answer"] for line in lines if "answer" in line}
    given = polyseme.uses(None, "cat", lines=LINES)
    expected = polyseme.senses(server.config.runs["bert"], given.uses, maps=True).document()
    assert without_seconds(answers["bert"]) == without_seconds(expected)


def test_a_run_that_fails_leaves_the_others_alone(runs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(runs["word2vec"], tmp_path / "damaged")
    (tmp_path / "damaged" / "tokenizer.json").write_text("{}")
    server = Server({"word2vec": runs["word2vec"], "damaged": tmp_path / "damaged"})

    async def asked() -> Any:
        async with server.running():
            body = {"runs": ["damaged", "word2vec"], "word": "cat", "from": LINES}
            return await server.ask("POST", "/api/senses", body)

    found = {
        (line["run"], next(key for key in line if key != "run")): line for line in asyncio.run(asked()).lines
    }
    assert found["damaged", "error"]["status"] == 400
    assert {("word2vec", "maps"), ("word2vec", "answer")} <= set(found)


def test_uses_may_be_given_with_their_senses(server: Server) -> None:
    uses = [
        {"text": line, "start": line.index("cat"), "end": line.index("cat") + 3, "sense": line[0]}
        for line in LINES
    ]
    first, second = server.post(
        "/api/senses", {"run": "bert", "word": "cat", "uses": uses, "layers": [0, -1]}
    ).lines
    assert [layer["layer"] for layer in first["maps"]["layers"]] == [0, 2]
    assert first["maps"]["labelled"] is True
    given = [
        Use(str(n), use["text"], use["start"], use["end"], use["sense"], "cat")
        for n, use in enumerate(uses, 1)
    ]
    expected = polyseme.senses(server.config.runs["bert"], given, layer=[0, -1], maps=True).document()
    assert without_seconds(second["answer"]) == without_seconds(expected)


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("senses", {"word": "cat", "limit": 1501}, 422, "limit"),
        ("senses", {"word": "cat", "limit": 0}, 422, "limit"),
        ("senses", {"word": "cat", "layers": [1] * 65}, 413, None),
        ("senses", {"word": "cat", "layers": [9], "limit": 20}, 400, None),
        ("senses", {"word": "cat", "map": "tsne"}, 422, "map"),
        ("senses", {"word": " "}, 400, None),
        ("senses", {"word": "cat", "from": "/etc/passwd"}, 422, None),
        ("senses", {"word": "cat", "from": "texts"}, 400, "from"),
        ("senses", {"word": "cat", "from": ["no such word"]}, 400, None),
        ("senses", {"word": "cat", "from": ["a cat"]}, 400, None),
        ("senses", {"word": "cat", "uses": []}, 422, "uses"),
        ("senses", {"word": "cat", "uses": [{"text": "a cat", "start": 2, "end": 9}]}, 422, "uses.0"),
        (
            "senses",
            {"word": "cat", "uses": [{"text": "a cat", "start": 2, "end": 5}], "from": "store"},
            422,
            "from",
        ),
        ("senses", {"word": "cat", "runs": ["bert", "nobody"]}, 404, "run"),
        ("senses", {"word": "cat", "runs": "bert"}, 422, "runs"),
        ("holes", {"texts": ["the [MASK]"]}, 400, None),
        ("holes", {"texts": ["the [MASK]"], "top": 51}, 422, "top"),
        ("holes", {"texts": ["a [MASK]"], "candidates": [["cat"] * 51]}, 413, None),
        ("holes", {"texts": ["a [MASK]"], "against": ["nobody"]}, 404, "run"),
        ("mix", {}, 400, None),
        ("cka", {"texts": ["too few"]}, 400, None),
        ("cka", {"texts": LINES, "against": "nobody"}, 404, "run"),
        ("cka", {"texts": LINES, "limit": 2001}, 422, "limit"),
        ("neighbours", {"run": "bert", "word": "cat", "context": "a cat", "plus": "dog"}, 400, None),
        ("neighbours", {"run": "word2vec", "word": "cat", "plus": "xyzzy"}, 400, None),
        ("generate", {"run": "gpt", "prompt": "a", "question": "who"}, 422, "question"),
        ("generate", {"run": "gpt", "prompt": "a", "task": "answer"}, 400, None),
        ("fill", {"text": "a [MASK]", "lang": "fr"}, 422, "lang"),
    ],
)
def test_what_is_wrong_is_said(path: str, body: Any, status: int, param: str | None, server: Server) -> None:
    reply = server.post(f"/api/{path}", body)
    assert reply.status == status, reply.body
    if param is not None:
        assert reply.error["param"] == param


def test_so_many_tokens_are_not_read(runs: dict[str, Path]) -> None:
    error = Server(runs, max_queue=50).post("/api/senses", {"word": "cat", "from": LINES}).error
    assert (error["code"], error["expected"]) == ("too_much", "at most 50")


TYPED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "holes": (
        "bert",
        {"texts": ["the [MASK] sees", "a [MASK]"], "candidates": [["cat", "dog"], ["bird", "dog"]]},
        ["the [MASK] sees", "a [MASK]", "--candidates", "cat,dog", "--candidates", "bird,dog"],
    ),
    "neighbours": (
        "word2vec",
        {"word": "cat", "plus": "dog", "minus": "bird", "top": 3},
        ["cat", "--plus", "dog", "--minus", "bird", "--top", "3"],
    ),
    "generate": (
        "gpt",
        {"prompt": "the cat", "task": "answer", "question": "who sees", "max_new_tokens": 4, "stream": False},
        ["the cat", "--task", "answer", "--question", "who sees", "--max-new-tokens", "4"],
    ),
}


@pytest.mark.parametrize("verb", TYPED)
def test_the_api_answers_with_the_json_of_the_command_line(
    verb: str, server: Server, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run, body, typed = TYPED[verb]
    capsys.readouterr()
    assert main([verb, str(runs[run]), *typed, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    answer = server.post(f"/api/{verb}", {"run": run, **body}).json
    assert nearly(answer, printed), (answer, printed)


def test_holes_are_compared_with_further_runs(server: Server, runs: dict[str, Path]) -> None:
    texts, words = ["the [MASK] sees", "a [MASK]"], [["cat", "dog"], ["bird", "dog"]]
    body = {"run": "bert", "texts": texts, "candidates": words, "against": ["word2vec"]}
    expected = polyseme.holes(runs["bert"], texts, words, against=[runs["word2vec"]]).document()
    assert server.post("/api/holes", body).json == expected


def test_layers_of_two_runs_are_compared(server: Server, runs: dict[str, Path]) -> None:
    expected = polyseme.cka([runs["bert"], runs["word2vec"]], LINES, limit=60).document()
    body = {"texts": LINES, "against": "word2vec", "limit": 60}
    assert nearly(server.post("/api/cka", {"run": "bert", **body}).json, expected)
    (line,) = server.post("/api/cka", {"runs": ["bert"], "texts": LINES}).lines
    assert len(line["answer"]["cka"]) == len(line["answer"]["cka"][0]) == 3  # with its own layers


def test_what_a_task_says_has_its_details_when_asked(every: Server, of_all_kinds: dict[str, Path]) -> None:
    question = ("who sees", "the cat sees a river")
    body = {"run": "qa", "question": question[0], "context": question[1], "detail": True}
    found = every.post("/api/predict", body).json
    assert nearly(found, polyseme.load(of_all_kinds["qa"]).predict(question, detail=True))
    assert len(found["tokens"]) >= 5
    assert found["spans"]


def test_a_task_is_put_as_it_is_written(server: Server) -> None:
    body = {
        "run": "gpt",
        "prompt": "the cat",
        "task": "translate",
        "examples": [["a", "b"]],
        "max_new_tokens": 3,
    }
    *steps, last = server.post("/api/generate", body).lines
    assert last["done"]["prompt"].startswith("a = b\n")
    assert "".join(step["piece"] for step in steps) == last["done"]["generated"]


def test_an_analogy_is_the_nearest_to_a_sum(runs: dict[str, Path]) -> None:
    model = polyseme.load(runs["word2vec"])
    a, b, c = (model.word_vectors[model.tokenizer.encode(word).ids[0]] for word in ("bird", "cat", "dog"))
    found = model.neighbours("cat", plus="dog", minus="bird", top=1)[0]
    sums = model.word_vectors @ (b - a + c)
    place = model.tokenizer.encode(found["word"]).ids[0]
    assert found["similarity"] == pytest.approx(float(sums[place] / (b - a + c).norm()), abs=1e-5)
    assert found["word"] not in ("bird", "cat", "dog")
    with pytest.raises(InputError, match="vocabulary"):
        model.neighbours("cat", minus="xyzzy")


def test_notes_are_in_the_language_that_is_asked_for(server: Server) -> None:
    body = {"run": "bert", "word": "cat", "limit": 3}
    english = server.post("/api/uses", body).json["notes"]
    chinese = server.post("/api/uses", {**body, "lang": "zh"}).json["notes"]
    assert english[0].isascii()
    assert not chinese[0].isascii()


def test_a_mix_that_was_learned(runs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(runs["word2vec"], tmp_path / "mixed")
    meta = json.loads((tmp_path / "mixed" / "run.json").read_bytes())
    meta |= {"results": {"mix": {"weights": [0.25, 0.75], "gamma": 1.5}}, "adapted": {"task": "tag"}}
    (tmp_path / "mixed" / "run.json").write_text(json.dumps(meta))
    found = Server({"bert": runs["bert"], "mixed": tmp_path / "mixed"}).post("/api/mix", {}).json
    assert found["runs"] == ["mixed"]
    assert [row["weight"] for row in found["rows"]] == [0.25, 0.75]
    assert {row["run"] for row in found["rows"]} == set(found["columns"])


def test_a_study_in_steps_is_the_study(runs: dict[str, Path]) -> None:
    uses = polyseme.uses(None, "cat", lines=LINES).uses
    study = SenseStudy.of([runs["bert"]], uses, maps=True)
    read = study.run(runs["bert"])
    (maps,) = study.maps_of(read)
    document = study.result([read]).document()
    assert maps == document["runs"][0]["words"][0]["maps"]
    assert without_seconds(document) == without_seconds(
        polyseme.senses(runs["bert"], uses, maps=True).document()
    )


def test_groups_are_no_longer_looked_for_once_the_client_has_gone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, ended = threading.Event(), threading.Event()

    def without_end(vectors: Any, seed: int, told: Any) -> Any:
        looked.set()
        try:
            while True:
                told(0, 1)
                time.sleep(0.001)
        finally:
            ended.set()

    monkeypatch.setattr("polyseme.study.senses.suggest", without_end)

    async def go() -> None:
        gone = asyncio.Event()
        body = {"run": "bert", "word": "cat", "from": LINES}
        asking = asyncio.ensure_future(server.ask("POST", "/api/senses", body, until=gone))
        assert await asyncio.to_thread(looked.wait, 30)
        assert not ended.is_set()
        gone.set()
        await asking
        assert await asyncio.to_thread(ended.wait, 5)

    asyncio.run(go())
