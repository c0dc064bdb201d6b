"""Sources with shares: what is a share and what a name, which sums are refused, and what is drawn."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from polyseme.core.rng import Random
from polyseme.errors import ConfigError
from polyseme.text.shares import drawn, read_shares, words_allowed


def test_shares_are_parted_from_names(tmp_path: Path) -> None:
    a, b = str(tmp_path / "a"), str(tmp_path / "b.txt")
    assert read_shares([f"{a}=0.25", f"{b}=0.75"]) == ([a, b], [0.25, 0.75])
    assert read_shares([f"{a}=1"]) == ([a], [1.0])
    assert read_shares([a, b]) == ([a, b], [])
    assert read_shares(f"{tmp_path}/{n}=0.333" for n in "abc").shares == pytest.approx([1 / 3] * 3)


def test_a_name_with_an_equals_sign_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "lr=0.5").mkdir()
    (tmp_path / "x=1.txt").write_text("text")
    names = [str(tmp_path / "lr=0.5"), str(tmp_path / "x=1.txt"), str(tmp_path / "x=*.txt")]
    assert read_shares(names) == (names, [])
    assert read_shares([f"{name}=0.5" for name in names[:2]]) == (names[:2], [0.5, 0.5])
    assert read_shares(["no=thing"]) == (["no=thing"], [])  # said to be no file later


@pytest.mark.parametrize(
    "shares", [["0.5", "0.6"], ["0.5", "0.4", "0.05"], ["0.7", None], ["1", None], ["0.3", None, None]]
)
def test_what_is_advised_is_accepted(shares: list[str | None]) -> None:
    typed = [f"my {i}.txt" + (f"={share}" if share else "") for i, share in enumerate(shares)]
    with pytest.raises(ConfigError) as error:
        read_shares(typed)
    assert error.value.fix is not None
    again = read_shares(shlex.split(error.value.fix))
    assert again.names == [f"my {i}.txt" for i in range(len(shares))]
    assert sum(again.shares) == pytest.approx(1)


def test_what_they_sum_to_is_said() -> None:
    with pytest.raises(ConfigError, match="do not sum to 1") as error:
        read_shares(["a=0.5", "b=0.6"])
    assert error.value.got == "0.5 + 0.6 = 1.1"


@pytest.mark.parametrize("share", ["0", "0.0", "", "-0.5", "1.5", "nan", "inf", "50%", "half"])
def test_what_is_no_share_is_refused(share: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("text")
    with pytest.raises(ConfigError, match="not a share") as error:
        read_shares([f"{file}={share}", "python-docs=0.5"])
    assert error.value.fix == ("leave it out" if share in ("0", "0.0") else f"{file}=0.5")


def test_one_source_is_used_up_and_none_repeated() -> None:
    assert words_allowed([1000, 10], [0.5, 0.5]) == [10, 10]
    assert words_allowed([10, 1000], [0.9, 0.1]) == [10, 1]
    assert words_allowed([7], [1.0]) == [7]


def test_documents_are_drawn_up_to_the_number_of_words() -> None:
    sizes = np.array([5, 1, 9, 4, 4, 7])
    for words in range(1, 30):
        documents, cut = drawn(sizes, words, Random(0, "x"))
        assert sorted(set(documents.tolist())) == documents.tolist()
        total = int(sizes[documents].sum())
        assert total - int(sizes[cut]) < words <= total
    documents, cut = drawn(sizes, 30, Random(0, "x"))
    assert (documents.tolist(), cut) == (list(range(6)), -1)
