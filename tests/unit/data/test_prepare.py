from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import rjieba

from polyseme.data import workers
from polyseme.data.encoding import DocumentEncoder
from polyseme.data.prepare import Progress, prepare
from polyseme.data.store import PreparedCorpus, TokenStore
from polyseme.errors import ConfigError, CorpusError, PolysemeError, RunError
from polyseme.text.clean import CleaningReport
from polyseme.text.config import TextConfig, TokenizerConfig
from polyseme.text.corpus import Corpus, is_heldout
from polyseme.text.sentences import sentence_spans
from polyseme.text.tokenizers import Tokenizer
from polyseme.text.training import train_tokenizer

ENGLISH = [
    f"Dr. Smith met {n} lions near Łódź. They didn't quarrel!\nIt was the year {n * n}." for n in range(300)
]
CHINESE = [f"我们在北京大学学习了{n}年C语言。今天天气很好，大家都去公园玩。" for n in range(300)]
LINES = TextConfig(documents="line", valid_share=0.2)
BLOCKS = TextConfig(documents="blank", valid_share=0.2)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(ENGLISH + CHINESE, TokenizerConfig(vocab_size=600), 0)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("source") / "text.txt"
    path.write_text("\n\n".join(ENGLISH + CHINESE) + "\n\nA stray\x00 NUL.", "utf-8")
    return str(path)


def documents_of(split: TokenStore, tokenizer: Tokenizer) -> list[list[str]]:
    """The sentences of each document, decoded."""
    sentences = [
        tokenizer.decode(split.tokens[a:b])
        for a, b in zip(split.sentences, split.sentences[1:], strict=False)
    ]
    return [sentences[a:b] for a, b in zip(split.documents, split.documents[1:], strict=False)]


def files_of(store: PreparedCorpus) -> dict[str, bytes]:
    return {
        str(path.relative_to(store.folder)): path.read_bytes() for path in sorted(store.folder.rglob("*.bin"))
    }


def test_the_store_holds_the_text(tmp_path: Path, source: str, tokenizer: Tokenizer) -> None:
    store = prepare([source], tmp_path / "store", text=BLOCKS, tokenizer=tokenizer)
    expected: dict[str, list[list[str]]] = {"train": [], "valid": []}
    for document in Corpus([source], BLOCKS).documents(CleaningReport()):
        language = "zh" if "我" in document.text else "en"
        spans = sentence_spans(document.text, language)
        ids = tokenizer.encode_ids([document.text[a:b] for a, b in spans])
        expected["valid" if is_heldout(document.key, 0.2) else "train"].append(
            [tokenizer.decode(i) for i in ids]
        )
    for name, split in (("train", store.train), ("valid", store.valid)):
        assert documents_of(split, tokenizer) == expected[name]
        counts = store.meta["splits"][name]
        assert counts["documents"] == split.n_documents == len(expected[name])
        assert counts["sentences"] == split.n_sentences
        assert counts["tokens"] == split.n_tokens
        assert counts["words"] == int(split.word_starts.sum())
        assert counts["unknown"] == int((split.tokens == tokenizer.unk_id).sum())
        assert split.counts.tolist() == np.bincount(split.tokens, minlength=tokenizer.vocab_size).tolist()
    assert (
        sum(s["characters"] for s in store.meta["splits"].values()) == sum(map(len, ENGLISH + CHINESE)) + 12
    )
    assert store.meta["dirt"]["counts"]["nul"] == 1
    assert store.meta["tokenizer"] == {
        "config": None,
        "fingerprint": tokenizer.fingerprint,
        "vocab_size": tokenizer.vocab_size,
    }
    assert store.tokenizer.fingerprint == tokenizer.fingerprint
    assert store.meta["signature"] == Corpus([source], BLOCKS).signature()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_the_tokenizer_is_trained_on_the_training_documents(tmp_path: Path, source: str) -> None:
    config = TokenizerConfig(vocab_size=300)
    seen: list[Progress] = []
    store = prepare([source], tmp_path / "store", text=BLOCKS, tokenizer=config, progress=seen.append)
    samples = Corpus([source], BLOCKS).samples(config.sample_bytes, 0)
    assert store.tokenizer.fingerprint == train_tokenizer(samples, config, 0).fingerprint
    assert store.meta["tokenizer"]["config"]["vocab_size"] == 300
    assert list(dict.fromkeys(p.stage for p in seen)) == ["tokenizer", "tokenizing"]
    for stage in ("tokenizer", "tokenizing"):
        done = [p.done_bytes for p in seen if p.stage == stage]
        assert done == sorted(done)
        assert all(p.done_bytes <= p.total_bytes for p in seen)
    assert seen[-1].documents == store.train.n_documents + store.valid.n_documents
    assert seen[-1].tokens == store.train.n_tokens + store.valid.n_tokens


Children = Callable[[], list[psutil.Process]]


@pytest.fixture
def children() -> Children:
    """The processes that the test has begun and that are there; other tests of the session may have some."""
    before = {*psutil.Process().children()}
    return lambda: [child for child in psutil.Process().children() if child not in before]


def test_the_number_of_workers_changes_nothing(
    children: Children, tmp_path: Path, source: str, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.data.prepare._BATCH", 500)
    one = prepare([source], tmp_path / "one", text=BLOCKS, tokenizer=tokenizer, workers=1)
    many = prepare([source], tmp_path / "many", text=BLOCKS, tokenizer=tokenizer, workers=3)
    assert files_of(one) == files_of(many)
    assert one.meta["fingerprint"] == many.meta["fingerprint"]
    assert children() == []


def test_chinese_words_come_from_the_segmenter(tmp_path: Path, tokenizer: Tokenizer) -> None:
    file = tmp_path / "tokenizer.json"
    tokenizer.save(file)
    sentence = "我们在北京大学学习。"
    ids, starts, *_ = DocumentEncoder(file).encode([sentence])
    assert len(ids) == len(sentence)  # a token a character
    words, begins = [], np.flatnonzero(starts)
    for a, b in zip(begins, [*begins[1:], len(sentence)], strict=True):
        words.append(sentence[a:b])
    assert words == list(rjieba.cut(sentence))
    assert "北京大学" in words


def test_empty_sentences_and_documents_are_left_out(tmp_path: Path, tokenizer: Tokenizer) -> None:
    file = tmp_path / "tokenizer.json"
    tokenizer.save(file)
    ids, _, sentences, per_document = DocumentEncoder(file).encode(
        ["\u200b", "One.\n\n\u200b\n\nTwo.", "\u200b\u200b"]
    )
    assert per_document.tolist() == [2]
    assert len(sentences) == 2
    assert tokenizer.decode(ids) == "one. two."


def test_held_out_files(tmp_path: Path, source: str, tokenizer: Tokenizer) -> None:
    valid = tmp_path / "valid.txt"
    shared = [ENGLISH[3], CHINESE[5]]
    valid.write_text(
        "\n\n".join([*shared, *(f"A new sentence about {n} cats." for n in range(100))]), "utf-8"
    )
    store = prepare([source], tmp_path / "store", text=BLOCKS, tokenizer=tokenizer, valid_files=[str(valid)])
    assert store.valid.n_documents == 102
    assert store.train.n_documents == len(ENGLISH) + len(CHINESE) + 1 - len(shared)
    train, held_out = (
        {" ".join(d) for d in documents_of(split, tokenizer)} for split in (store.train, store.valid)
    )
    assert not train & held_out
    assert store.meta["dirt"]["counts"]["held_out"] == len(shared)
    assert store.meta["valid_signature"][0][0] == str(valid)
    alone = prepare([source], tmp_path / "alone", text=BLOCKS, tokenizer=tokenizer)
    assert alone.meta["fingerprint"] == store.meta["fingerprint"]  # of the corpus, whatever is held out
    assert alone.meta["valid_fingerprint"] is None


@pytest.mark.parametrize(
    ("text", "config", "valid"),
    [
        ("A single short document.", {}, 0),
        ("A single short document.", {"valid_share": 0.0}, 0),
        (f"{ENGLISH[0]}\n\n{ENGLISH[1]}", {"valid_share": 0.001}, 1),
        ("\n\n".join(ENGLISH), {"valid_share": 0.0}, 0),
        ("three small words", {}, 0),
    ],
)
def test_a_little_text_is_enough(
    tmp_path: Path, tokenizer: Tokenizer, text: str, config: dict[str, Any], valid: int
) -> None:
    """What is held out is too little for a figure, which is kept, and nothing is refused."""
    source = tmp_path / "text.txt"
    source.write_text(text, "utf-8")
    store = prepare(
        [str(source)], tmp_path / "store", text=TextConfig(documents="blank", **config), tokenizer=tokenizer
    )
    assert store.valid.n_documents == valid
    assert store.train.n_documents == len(text.split("\n\n")) - valid
    assert not store.meta["heldout_suffices"]


def test_all_of_a_text_is_held_out(tmp_path: Path, tokenizer: Tokenizer) -> None:
    source = tmp_path / "text.txt"
    source.write_text("One.\n\nTwo.", "utf-8")
    text = TextConfig(documents="blank", valid_share=0.999999)
    with pytest.raises(CorpusError, match="no text is left to train on") as caught:
        prepare([str(source)], tmp_path / "store", text=text, tokenizer=tokenizer)
    assert caught.value.fix == "--set text.valid_share=0.05"
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_all_of_a_text_is_in_the_held_out_files(tmp_path: Path, tokenizer: Tokenizer) -> None:
    for name in ("text.txt", "valid.txt"):
        (tmp_path / name).write_text("One.\n\nTwo.\n\nThree.", "utf-8")
    with pytest.raises(CorpusError, match="no text is left to train on") as caught:
        prepare(
            [str(tmp_path / "text.txt")],
            tmp_path / "store",
            text=TextConfig(documents="blank"),
            tokenizer=tokenizer,
            valid_files=[str(tmp_path / "valid.txt")],
        )
    assert caught.value.fix == "leave --valid out, or name other text there"
    assert str(caught.value.got).endswith("valid.txt")


@pytest.mark.parametrize(("words", "small"), [(3_000, True), (60_000, False)])
def test_a_small_sample_of_a_large_text_is_no_small_text(tmp_path: Path, words: int, small: bool) -> None:
    """Words are rare in a small text, which keeps them; of a large one the vocabulary may be learned from a part."""
    source = tmp_path / "text.txt"
    rare = [np.base_repr(n + 10**6, 26).translate(_LETTERS) for n in range(words)]
    source.write_text("\n\n".join(" ".join(rare[n : n + 10]) for n in range(0, words, 5)), "utf-8")
    assert (source.stat().st_size < 400_000) is small
    store = prepare(
        [str(source)],
        tmp_path / "store",
        text=TextConfig(documents="blank"),
        tokenizer=TokenizerConfig(kind="words", min_count=4, sample_bytes=20_000),
        lower_min_count=True,
    )
    assert bool(store.meta["notes"]) is small
    assert (store.meta["tokenizer"]["config"]["min_count"] < 4) is small


_LETTERS = str.maketrans("0123456789ABCDEFGHIJKLMNOP", "abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize("documents", ["file", "blank"])
def test_a_few_documents_are_enough(tmp_path: Path, documents: str) -> None:
    """Three files, or one file that is cut into parts: one is held out, whatever the hashes say."""
    if documents == "file":
        for i in range(3):
            (tmp_path / f"{i}.txt").write_text("\n".join(ENGLISH[100 * i : 100 * i + 100]), "utf-8")
    else:
        (tmp_path / "long.txt").write_text("\n".join(ENGLISH * 3), "utf-8")
    text = TextConfig(documents=documents, valid_share=1e-9)
    made = prepare([str(tmp_path)], tmp_path / "store", text=text, tokenizer=TokenizerConfig(vocab_size=300))
    keys = {d.key: d.text for d in Corpus([str(tmp_path)], text).documents(CleaningReport())}
    assert len(keys) > 1
    assert (made.valid.n_documents, made.train.n_documents) == (1, len(keys) - 1)
    characters = made.meta["splits"]["valid"]["characters"]
    assert characters == len(keys[min(keys)])


def test_held_out_files_that_are_too_small(tmp_path: Path, source: str, tokenizer: Tokenizer) -> None:
    valid = tmp_path / "valid.txt"
    valid.write_text("Short.")
    few = prepare([source], tmp_path / "store", text=BLOCKS, tokenizer=tokenizer, valid_files=[str(valid)])
    assert few.valid.n_documents == 1
    assert not few.meta["heldout_suffices"]
    enough = prepare([source], tmp_path / "other", text=BLOCKS, tokenizer=tokenizer)
    assert enough.meta["heldout_suffices"]


def test_what_cannot_be_prepared(tmp_path: Path, source: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(CorpusError):
        prepare([str(tmp_path / "absent")], tmp_path / "store", text=BLOCKS, tokenizer=tokenizer)
    with pytest.raises(ConfigError, match="workers"):
        prepare([source], tmp_path / "store", text=BLOCKS, tokenizer=tokenizer, workers=0)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="already holds"):
        prepare([source], tmp_path, text=BLOCKS, tokenizer=tokenizer)


@pytest.mark.parametrize("count", [1, 2])
def test_an_interrupt_leaves_nothing_behind(
    children: Children,
    tmp_path: Path,
    source: str,
    tokenizer: Tokenizer,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("polyseme.data.prepare._BATCH", 500)

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(
            [source], tmp_path / "store", text=BLOCKS, tokenizer=tokenizer, workers=count, progress=interrupt
        )
    assert list(tmp_path.iterdir()) == []
    assert children() == []


def test_a_worker_that_is_killed(
    children: Children, tmp_path: Path, source: str, tokenizer: Tokenizer, monkeypatch: Any
) -> None:
    monkeypatch.setattr("polyseme.data.prepare._BATCH", 500)

    def kill(progress: Progress) -> None:
        for child in children():
            child.kill()

    with pytest.raises(PolysemeError, match="a tokenizing process died") as caught:
        prepare([source], tmp_path / "store", text=BLOCKS, tokenizer=tokenizer, workers=2, progress=kill)
    assert caught.value.got == "killed by signal 9"
    assert list(tmp_path.iterdir()) == []
    assert children() == []


def test_a_worker_ends_when_its_parent_does(tmp_path: Path, tokenizer: Tokenizer) -> None:
    file = tmp_path / "tokenizer.json"
    tokenizer.save(file)
    script = f"""
import os, signal, sys
from collections.abc import Callable
from pathlib import Path
from polyseme.data.workers import _Pool
pool = _Pool(Path({str(file)!r}), "auto", 1)
pool.submit(["One."]).result()
print(pool._processes[0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    try:
        psutil.Process(int(done.stdout)).wait(20)
    except psutil.NoSuchProcess:
        return


def test_workers_are_light() -> None:
    script = "import sys, polyseme.data.workers; print([m for m in ('torch', 'rjieba', 'rich') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_batches_are_not_read_ahead_without_bound(tmp_path: Path, tokenizer: Tokenizer) -> None:
    file = tmp_path / "tokenizer.json"
    tokenizer.save(file)
    read = 0

    def batches() -> Any:
        nonlocal read
        for read in range(1, 41):
            yield read, ["One."]

    ahead = [read - tag for tag, _ in workers.encode_batches(batches(), file, "auto", 2)]
    assert len(ahead) == 40
    assert max(ahead) <= 2 * 2


def test_store_json_is_plain(tmp_path: Path, source: str, tokenizer: Tokenizer) -> None:
    store = prepare([source], tmp_path / "store", text=LINES, tokenizer=tokenizer)
    assert json.loads((store.folder / "store.json").read_text("utf-8")).keys() >= {
        "format_version", "fingerprint", "signature", "language", "text", "tokenizer", "dirt", "splits", "seconds",
    }  # fmt: skip
    assert store.meta["language"] == "zh"  # about half of the letters
    assert store.meta["text"]["documents"] == "line"


# Shares of several sources


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("two")
    (folder / "many.txt").write_text(
        "\n".join(f"The old river sees {n} birds. It is long." for n in range(2000))
    )
    (folder / "few.txt").write_text("\n".join(f"Old cats like {n} dogs." for n in range(300)))
    return str(folder / "many.txt"), str(folder / "few.txt")


def test_shares_are_of_the_words_and_nothing_is_repeated(tmp_path: Path, two: tuple[str, str]) -> None:
    many, few = two
    text = TextConfig(documents="line", valid_share=0.2)
    tokenizer = train_tokenizer(ENGLISH, TokenizerConfig(vocab_size=400), 0)
    whole = prepare([many, few], tmp_path / "whole", text=text, tokenizer=tokenizer)
    store = prepare(
        [f"{many}=0.6", f"{few}=0.4"],
        tmp_path / "store",
        text=text,
        tokenizer=tokenizer,
        minimum_valid_tokens=50,
    )
    first, second = store.meta["shares"]
    assert second["words"] == second["words_found"]
    assert first["words"] == pytest.approx(second["words"] * 1.5, abs=1)
    assert first["words_found"] > first["words"]
    assert int(store.train.word_starts.sum()) == pytest.approx(first["words"] + second["words"], abs=8)
    assert int(store.valid.word_starts.sum()) == pytest.approx(
        first["heldout_words"] + second["heldout_words"], abs=8
    )
    assert second["heldout_words"] / first["heldout_words"] == pytest.approx(2 / 3, abs=0.01)
    for split in ("train", "valid"):
        mixed, all_there = (
            [" ".join(d) for d in documents_of(getattr(s, split), tokenizer)] for s in (store, whole)
        )
        assert len(set(mixed)) == len(mixed)
        cut = set(mixed) - set(all_there)  # the last document may end after a sentence of it
        assert len(cut) <= 1
        assert all(any(document.startswith(part) for document in all_there) for part in cut)
    assert store.meta["splits"]["train"]["characters"] is None
    assert not list(store.folder.glob("train-*"))
    again = prepare(
        [f"{many}=0.6", f"{few}=0.4"],
        tmp_path / "again",
        text=text,
        tokenizer=tokenizer,
        minimum_valid_tokens=50,
        workers=2,
    )
    assert files_of(again) == files_of(store)


def test_held_out_text_stays_whole_where_its_share_would_be_too_small(
    tmp_path: Path, two: tuple[str, str], tokenizer: Tokenizer
) -> None:
    store = prepare([f"{two[0]}=0.5", f"{two[1]}=0.5"], tmp_path / "store", text=LINES, tokenizer=tokenizer,
                    minimum_valid_tokens=10**6)  # fmt: skip
    assert all(entry["heldout_words"] == entry["heldout_words_found"] for entry in store.meta["shares"])


def test_a_source_with_a_share_but_no_text_is_refused(
    tmp_path: Path, two: tuple[str, str], tokenizer: Tokenizer
) -> None:
    (tmp_path / "empty.txt").write_text("   \n")
    with pytest.raises(CorpusError, match="a source with a share has no training text") as error:
        prepare(
            [f"{two[0]}=0.5", f"{tmp_path / 'empty.txt'}=0.5"],
            tmp_path / "store",
            text=LINES,
            tokenizer=tokenizer,
        )
    assert error.value.where == str(tmp_path / "empty.txt")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("again", ["many.txt", "none.txt", "folder"])
def test_a_source_with_a_share_has_bytes_that_no_other_has(
    tmp_path: Path, two: tuple[str, str], again: str
) -> None:
    folder = Path(two[0]).parent
    (folder / "none.txt").write_text("")
    other = str(folder / again) if again != "folder" else two[0]
    first = two[0] if again != "folder" else str(folder)
    with pytest.raises(CorpusError, match="no text of its own") as error:
        Corpus([f"{first}=0.5", f"{other}=0.5"], LINES)
    assert error.value.where == other


def test_documents_are_counted_once_where_a_vocabulary_is_given(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(6):
        (tmp_path / "texts" / f"{number}.txt").write_text(f"{ENGLISH[0]} Number {number}.")
    store = prepare(
        [tmp_path / "texts"], tmp_path / "store", text=TextConfig(valid_share=1e-9), tokenizer=tokenizer
    )
    assert [entry["documents"] for entry in store.meta["reading"]] == [6]


def test_held_out_files_take_no_shares(tmp_path: Path, two: tuple[str, str], tokenizer: Tokenizer) -> None:
    valid = [f"{two[1]}=1"]
    with pytest.raises(ConfigError, match="held-out files take no shares") as error:
        prepare([two[0]], tmp_path / "store", text=LINES, tokenizer=tokenizer, valid_files=valid)
    assert error.value.fix == f"--valid {two[1]}"


def test_the_vocabulary_is_learned_from_the_mixture(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(f"aaaa bbbb {n}" for n in range(50_000)))
    (tmp_path / "b.txt").write_text("\n".join(f"cccc dddd {n}" for n in range(5_000)))
    corpus = Corpus([f"{tmp_path / 'a.txt'}=0.5", f"{tmp_path / 'b.txt'}=0.5"], TextConfig(documents="line"))
    sample = "".join(corpus.samples(60_000, 0))
    assert sample.count("a") == pytest.approx(sample.count("c"), rel=0.1)
