"""What may be handed over to `predict`, and files of predictions."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from polyseme.errors import ConfigError, InputError, StorageError
from polyseme.infer.predict import Predictor, predict_file, records_of


def test_single_and_several_inputs() -> None:
    records, single = records_of("classify", "a text")
    assert ([record.text for record in records], single) == (["a text"], True)
    records, single = records_of("classify", ("a", "b"))
    assert ([record.text for record in records], single) == (["a", "b"], False)
    records, single = records_of("qa", [("who?", "He."), ["where?", "Here."]])
    assert ([(r.question, r.context, r.answers) for r in records], single) == (
        [("who?", "He.", None), ("where?", "Here.", None)],
        False,
    )
    records, _ = records_of("tag", "去Paris吧!")
    assert records[0].words == ["去", "Paris", "吧", "!"]
    assert records[0].tags is None
    assert records_of("pair", iter([("a", "b")]))[1] is False


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert records_of("classify", "a\ud800b")[0][0].text == "a\ufffdb"
    assert records_of("pair", ("a\ud800", "b"))[0][0].text == "a\ufffd"


@pytest.mark.parametrize(
    "given", ["a text", 3, None, [("a",)], [("a", "b", "c")], ["ab"], [("a", 3)], {"a": "b"}]
)
def test_anything_but_two_texts_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="reads tuples"):
        records_of("pair", given)


class Counting:
    """Stands for a predictor: counts the records that are in memory at once."""

    def __init__(self, n: int, fails: bool = False) -> None:
        self.n, self.fails, self.open, self.most = n, fails, 0, 0

    def read(self, *_: object, labelled: bool) -> Iterator[int]:
        assert not labelled
        for number in range(self.n):
            self.open += 1
            self.most = max(self.most, self.open)
            yield number
        if self.fails:
            raise KeyboardInterrupt

    def predict(self, records: Iterable[int]) -> Iterator[dict[str, Any]]:
        for record in records:
            yield {"id": record, "text": "中文\u2028"}
            self.open -= 1


def _file(predictor: Counting, output: Any) -> int:
    return predict_file(cast(Predictor, predictor), "texts", output)


def test_lines_are_written_as_they_come(tmp_path: Path) -> None:
    predictor = Counting(5000)
    assert _file(predictor, tmp_path / "new" / "out") == 5000
    assert predictor.most <= 2, "records pile up"
    lines = (tmp_path / "new" / "out").read_text("utf-8").split("\n")
    assert json.loads(lines[4999]) == {"id": 4999, "text": "中文\u2028"}
    assert lines[5000:] == [""]
    stream = io.StringIO()
    assert _file(Counting(2), stream) == 2
    assert stream.getvalue().count("\n") == 2


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.write_text("old", "utf-8")
    with pytest.raises(KeyboardInterrupt):
        _file(Counting(3, fails=True), output)
    assert output.read_text("utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_written_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(StorageError, match="could not save") as caught:
        _file(Counting(1), tmp_path / "file" / "out")
    assert "something of another kind has that name" in str(caught.value)
    assert "free some space" not in str(caught.value)


def test_the_texts_themselves_are_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_text("mine", "utf-8")
    (tmp_path / "link").symlink_to(file)
    for output in (file, tmp_path / "." / "texts", tmp_path / "link"):
        with pytest.raises(ConfigError, match="would replace the texts"):
            predict_file(cast(Predictor, Counting(1)), file, output)
    assert file.read_text("utf-8") == "mine"
