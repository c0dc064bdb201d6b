"""Which of a tokenizer's tokens stand for padding, the unknown, the beginning, the end and what is hidden.

    pad    [PAD]    fills rows                       mask   [MASK]   hides what is to be found
    unk    [UNK]    what has no token
    cls    [CLS]    the beginning of a text; other libraries call it cls_token or bos_token
    sep    [SEP]    its end; sep_token or eos_token

Ours have all five at ids 0 … 4. Other tokenizers name theirs in tokenizer_config.json or special_tokens_map.json, some
have no name but an id in config.json, and some lack a role: GPT-2's only special token, <|endoftext|>, is the beginning
and the end of a text, and nothing is hidden or unknown. Whether texts begin and end with these tokens is another
question, which the tokenizer.json itself answers (its post-processor).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from polyseme.errors import ConfigError

__all__ = ["ROLES", "SPECIAL_TOKENS", "Roles", "is_reserved", "read_settings", "resolve_roles"]

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROLES = ("pad", "unk", "cls", "sep", "mask")
SETTINGS = "tokenizer_config.json"
ENDS = "end_tokens"
"""Our key in tokenizer_config.json for tokens besides sep's that end a generated text."""

_KEYS = {
    "pad": ("pad_token",),
    "unk": ("unk_token",),
    "cls": ("cls_token", "bos_token"),
    "sep": ("sep_token", "eos_token"),
    "mask": ("mask_token",),
}
_KNOWN = {
    "pad": ("[PAD]", "<pad>", "<|padding|>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>", "<|begin_of_text|>", "<bos>", "<|endoftext|>"),
    "sep": ("[SEP]", "</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>"),
    "mask": ("[MASK]", "<mask>"),
}
_LARGEST = 1 << 26
_FEW = 64


class Roles(NamedTuple):
    """Tokens by role.

    Args:
        tokens: role -> token, as it is in the vocabulary; roles that no token has are absent.
        ends: tokens that end a generated text: sep's, and others that the model's configuration names.
    """

    tokens: dict[str, str]
    ends: tuple[str, ...]

    def settings(self) -> dict[str, Any]:
        """The same as tokenizer_config.json, from which `resolve_roles` finds them again."""
        keys = {role: names[0] for role, names in _KEYS.items()}
        if "mask" not in self.tokens:  # a decoder's
            keys |= {"cls": "bos_token", "sep": "eos_token"}
        settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
        settings |= {keys[role]: self.tokens.get(role) for role in ROLES}
        more = [end for end in self.ends if end != self.tokens.get("sep")]
        return settings | ({ENDS: more} if more else {})


def resolve_roles(
    token_to_id: Callable[[str], int | None],
    id_to_token: Callable[[int], str | None],
    settings: Mapping[str, Any] | None = None,
    where: object = None,
) -> Roles:
    """Find the token of every role: as the settings say, else by an id that they give, else by a known name.

    Args:
        token_to_id, id_to_token: the vocabulary.
        settings: tokenizer_config.json, with what config.json says of ids (bos_token_id …) laid under it.
        where: named in errors.
    Raises:  ConfigError: the settings name a token or an id that the vocabulary does not have.
    """
    settings = settings or {}
    tokens: dict[str, str] = {}
    ends: list[str] = []
    for role, keys in _KEYS.items():
        named = [text for key in keys if (text := _content(settings.get(key), key, where)) is not None]
        for text in named[:1]:
            if token_to_id(text) is None:
                raise ConfigError(
                    f"{keys[0]} is not in the vocabulary",
                    got=repr(text),
                    where=where,
                    fix="the tokenizer.json and the tokenizer_config.json of one and the same model",
                )
        ids = _ids(settings, keys, where)
        by_id = [token for i in ids if (token := id_to_token(i)) is not None]
        if ids and len(by_id) < len(ids):
            raise ConfigError(
                f"{keys[-1]}_id is not in the vocabulary", got=", ".join(map(str, ids)), where=where
            )
        silent = [key for key in keys if key in settings]  # "unk_token": null is an answer, too
        known = [] if silent else [name for name in _KNOWN[role] if token_to_id(name) is not None]
        if candidates := [*named, *by_id, *known]:
            tokens[role] = candidates[0]
        if role == "sep":
            more = [_content(end, ENDS, where) for end in _list(settings.get(ENDS), ENDS, where)]
            ends = [*candidates[:1], *by_id, *(end for end in more if end is not None)]
    return Roles(tokens, tuple(dict.fromkeys(ends)))


def is_reserved(token: str, roles: Roles) -> bool:
    """Whether a token has a role, or is known as one that has: in a text it is its letters."""
    known = {name for names in _KNOWN.values() for name in names}
    return token in known or token in roles.tokens.values() or token in roles.ends


def read_settings(file: Path) -> dict[str, Any] | None:
    """The tokenizer_config.json beside a tokenizer.json, or None where there is none.

    Raises:  ConfigError: it is too large or not a JSON object.
    """
    path = file.with_name(SETTINGS)
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError("the file is too large", expected=f"at most {_LARGEST:,} bytes", where=path)
        settings = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ConfigError("not valid JSON", got=str(error)[:200], where=path) from None
    if not isinstance(settings, dict):
        raise ConfigError("not a JSON object", got=type(settings).__name__, where=path)
    return settings


def _content(value: Any, key: str, where: object) -> str | None:
    """A token as written in such files: a string, or an object that has it as "content"."""
    if isinstance(value, Mapping):
        value = value.get("content")
    if value is None or isinstance(value, str):
        return value or None
    raise ConfigError(f"{key} is not a token", got=repr(value)[:80], where=where)


def _list(value: Any, key: str, where: object) -> list[Any]:
    values = [] if value is None else value if isinstance(value, list) else [value]
    if len(values) > _FEW:
        raise ConfigError(f"{key} names too many", got=len(values), expected=f"at most {_FEW}", where=where)
    return values


def _ids(settings: Mapping[str, Any], keys: tuple[str, ...], where: object) -> list[int]:
    ids = [i for key in keys for i in _list(settings.get(f"{key}_id"), f"{key}_id", where)]
    for i in ids:
        if type(i) is not int or not 0 <= i < 1 << 31:
            raise ConfigError(f"{keys[-1]}_id is not an id", got=repr(i)[:80], where=where)
    return ids
