"""Configurations refuse what they do not know and name the near match."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, PositiveFloat, ValidationError

from polyseme.core.config import Config, parse_value, read_toml, suggest, to_json
from polyseme.errors import ConfigError


class Sizes(Config):
    hidden_size: int = Field(default=256, gt=0)
    num_hidden_layers: int = 4


def test_unknown_key_suggests_the_near_one() -> None:
    with pytest.raises(ConfigError) as caught:
        Sizes.of({"hiden_size": 8}, "--set")
    assert caught.value.fix == "did you mean hidden_size?"
    assert caught.value.where == "--set"


def test_unknown_key_without_a_near_one_lists_all() -> None:
    with pytest.raises(ConfigError, match="unknown key 'colour'") as caught:
        Sizes.of({"colour": 8}, "--set")
    assert caught.value.fix == "one of: hidden_size, num_hidden_layers"


def test_of_very_many_options_only_the_first_are_listed() -> None:
    options = [f"key{i:03}" for i in range(40)]
    assert suggest("zzz", options) == f"one of: {', '.join(options[:12])} … and 28 others"
    assert suggest("zzz", options[:13]) == f"one of: {', '.join(options[:13])}"  # not "and 1 others"
    assert suggest("key0390", options) == "did you mean key039 or key030 or key038?"


def test_bad_value_names_its_key() -> None:
    with pytest.raises(ConfigError, match="bad value for hidden_size") as caught:
        Sizes.of({"hidden_size": 0}, "recipe.toml")
    assert caught.value.got == "0"
    assert "greater than 0" in str(caught.value.expected)


def test_a_value_of_several_types_is_told_what_each_expects() -> None:
    class Either(Config):
        penalty: Literal["auto"] | PositiveFloat = "auto"

    with pytest.raises(ConfigError, match="bad value for penalty") as error:
        Either.of({"penalty": 0}, "--set")
    assert error.value.expected == "Input should be 'auto' or greater than 0"


def test_configurations_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sizes().hidden_size = 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("256", 256),
        ("1e-3", 1e-3),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"7"', "7"),
        ("wordpiece", "wordpiece"),
        ("", ""),
        ("a = b", "a = b"),
    ],
)
def test_values_of_set(text: str, value: object) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_missing_and_broken_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_toml(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("a = = 1")
    with pytest.raises(ConfigError, match="not a valid TOML file"):
        read_toml(broken)
    with pytest.raises(ConfigError, match="a folder instead of a TOML file"):
        read_toml(tmp_path)


def test_a_byte_order_mark_may_stand_before_toml(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes("\ufeffa = 1\r\n[\"词\"]\r\nb = 'x'\r\n".encode())
    assert read_toml(file) == {"a": 1, "词": {"b": "x"}}


def test_json_keeps_chinese_readable_and_refuses_nan() -> None:
    assert to_json({"词": 1}) == '{\n  "词": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(float("nan"))


def test_suggest_offers_up_to_three() -> None:
    assert suggest("bertt", ["bert", "gpt", "word2vec"]) == "did you mean bert?"
