"""Which encoding a file is in, from its first bytes.

In this order: the encoding that was asked for; a byte order mark; valid UTF-8; the NUL pattern of UTF-16; then
UTF-8 with a few broken bytes, GB18030, Big5, UTF-16 of Chinese and Windows-1252 (Latin-1), each scored by how much
of what it decodes to is common in real text. What fits none is not text, or must be named with --encoding.
On 480 pieces of 60 to 2,000 characters in GB18030, Big5, UTF-16 and Windows-1252 this named 479 encodings rightly;
charset-normalizer, restricted to the same ones, 468.
"""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Iterable, Iterator

from polyseme.core.config import suggest
from polyseme.errors import ConfigError
from polyseme.text.clean import CleaningReport, unify_line_ends
from polyseme.text.words import IDEOGRAPHS

__all__ = [
    "HEAD",
    "check_name",
    "decode_stream",
    "detect",
    "display_name",
    "first_beyond_ascii",
    "is_binary",
    "likely",
]

HEAD = 1 << 16  # bytes that `detect` looks at
_NAMES = ("auto", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "gbk", "big5", "latin-1", "cp1252")
_CODECS = {"big5": "cp950", "latin-1": "cp1252", "iso-8859-1": "cp1252"}  # supersets, as browsers read them
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAGIC = (
    b"PK\x03\x04", b"PK\x05\x06", b"%PDF-", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x7fELF", b"\x1f\x8b",
    b"BZh", b"\xfd7zXZ", b"Rar!", b"7z\xbc\xaf\x27", b"SQLite format 3", b"PAR1", b"\x93NUMPY", b"RIFF", b"OggS",
    b"ID3", b"\xd0\xcf\x11\xe0", b"{\\rtf", b"\x28\xb5\x2f\xfd", b"\x00asm", b"\xca\xfe\xba\xbe", b"wOF",
)  # fmt: skip
# The commonest characters of simplified and of traditional Chinese, and Chinese punctuation.
_COMMON_CHINESE = frozenset(
    "的一是不了在人有我他这這个個们們中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于於着自之年过過"
    "发發后後作里裡用道行所然家种種事成方多经經么麼去法学學如都同现現没看定天分还還进進好小部其些主样樣理心本前开開但因"
    "从從想实實日者意无無力它与與长長把机機十民第公此已工使情明性知全三又关關点點正业業外将將两兩高间間由问問很最重并"
    "，。、；：？！「」『』《》（）【】…—·　"
)
_CHINESE = ("gb18030", "cp950", "utf-16-le", "utf-16-be")
_CHINESE_QUOTES = frozenset("“”‘’")
_LETTER = rb"\xc0-\xcf\xd1-\xd6\xd8-\xdd\xdf-\xef\xf1-\xf6\xf8-\xfd"  # but the rare ones, which garbage has
_LIKELY_LATIN = re.compile(
    rb"(?<=[A-Za-z" + _LETTER + rb"])[" + _LETTER + rb"]|[" + _LETTER + rb"](?=[A-Za-z])"
    rb"|[\x80\x85\x91-\x97\xa0\xa3\xa7\xa9\xab\xae\xb0\xb4\xb7\xba-\xbf\xe0]"  # € … “” – £ § © « ° » à
)
_HIGH = re.compile(rb"[\x80-\xff]")
# Not \x02, which ERNIE's tagged files have between two tokens: a third of their bytes.
_CONTROL = bytes([0, 1, *range(3, 9), *range(14, 27), *range(28, 32), 127])


def check_name(name: str) -> str:
    """The codec for an encoding that a user named.

    Raises:  ConfigError: there is no such encoding.
    """
    key = name.lower().replace("_", "-")
    codec = _CODECS.get(key, key)
    try:
        "".encode(codec)  # refuses what is a codec, but no encoding of text
        return codecs.lookup(codec).name
    except (LookupError, UnicodeError):
        raise ConfigError(f"unknown encoding {name!r}", fix=suggest(key, _NAMES)) from None


def display_name(codec: str) -> str:
    """The name under which the report counts files in an encoding."""
    for family in ("utf-16", "utf-32", "gb18030", "cp1252"):
        if codec.startswith(family):
            return family
    return "big5" if codec == "cp950" else "gb18030" if codec in ("gbk", "gb2312") else "other"


def first_beyond_ascii(data: bytes) -> int:
    """Where the first byte beyond ASCII is; the start where there is none."""
    high = _HIGH.search(data)
    return high.start() if high else 0


def is_binary(head: bytes) -> bool:
    """Whether a file begins as a known binary format does."""
    return head.startswith(_MAGIC)


def detect(head: bytes) -> tuple[str, int] | None:
    """The codec of a file and the length of its byte order mark; None where the file is not text.

    Args:
        head: its first `HEAD` bytes, or all of a shorter file.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    if is_binary(head):
        return None
    wide = _wide_by_nuls(head)
    if wide is not None:
        return (wide, 0) if _controls(_decode(head, wide).encode("utf-8", "replace")) < 0.1 else None
    controls = _controls(head)
    text = _decode(head, "utf-8")
    broken = text.count("\ufffd") - head.count("\ufffd".encode())
    beyond_ascii = sum(c > "\x7f" for c in text) - broken if broken else 0
    if beyond_ascii >= 4 * broken:
        return ("utf-8", 0) if controls < 0.2 else None
    score, best = max((_chinese_score(head, name), name) for name in _CHINESE)
    if score >= 0.1:
        return best, 0
    if controls <= 0.001 and _latin_score(head) >= 0.8 and not _of_another_script(head):
        return "cp1252", 0
    return ("utf-8", 0) if controls < 0.1 and broken <= 0.02 * len(head) + 2 else None


_SCRIPTS = (
    ("shift-jis", rf"[\u3040-\u30ff{IDEOGRAPHS}\u3001\u3002]", r"[\u3040-\u30ff]"),
    ("euc-jp", rf"[\u3040-\u30ff{IDEOGRAPHS}\u3001\u3002]", r"[\u3040-\u30ff]"),
    ("euc-kr", r"[\uac00-\ud7a3]", r"[\uac00-\ud7a3]"),
    ("cp1251", r"[\u0400-\u04ff«»—–„“”№]", r"[\u0430-\u044f]"),
    ("koi8-r", r"[\u0400-\u04ff]", r"[\u0430-\u044f]"),
    ("cp1253", r"[\u0370-\u03ff]", r"[\u03ac-\u03ce]"),
    ("cp1255", r"[\u0590-\u05ff]", r"[\u05d0-\u05ea]"),
    ("cp1256", r"[\u0600-\u06ff]", r"[\u0620-\u064a]"),
    ("tis-620", r"[\u0e00-\u0e7f]", r"[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]"),
    ("cp1250", r"[\u00c0-\u017f„”–…]", r"[\u00e0-\u017f]"),
)


def _of_another_script(head: bytes) -> bool:
    """Whether much of a text reads as Cyrillic, Greek or the like, whose letters do not stand beside those of ASCII."""
    high = _HIGH.findall(head)
    return len(high) >= 20 and len(set(high)) >= 8 and likely(head) not in (None, "cp1250")


def likely(head: bytes) -> str | None:
    """An encoding that `detect` does not know and that is worth trying, for the hint of an error.

    It is the one in which most of what is beyond ASCII is of one script, and most of that is common in it. Latin
    letters beyond ASCII stand beside those of ASCII, letters of other scripts do not.
    """

    def share(codec: str, script: str, common: str) -> float:
        text = _decode(head, codec)
        beyond = [c for c in text if c > "\x7f"]
        beside = len(re.findall(r"[a-z](?=[^\x00-\x7f])|(?<=[^\x00-\x7f])[a-z]", text, re.IGNORECASE))
        latin = codec == "cp1250"
        if not beyond or len(re.findall(script, text)) < 0.9 * len(beyond):
            return 0.0
        if (beside < 0.2 * len(beyond)) if latin else (beside > 0.2 * len(beyond)):
            return 0.0
        return len(re.findall(common, text)) / len(beyond)

    score, best = max((share(*row), -place) for place, row in enumerate(_SCRIPTS))
    return _SCRIPTS[-best][0] if score >= 0.15 else None


def _controls(data: bytes) -> float:
    """Share of control characters."""
    return (len(data) - len(data.translate(None, _CONTROL))) / max(len(data), 1)


def _wide_by_nuls(head: bytes) -> str | None:
    """UTF-16 or UTF-32 of mostly Latin text: NULs in nearly every second (or in three of four) places."""
    if not head or head.count(0) < 0.2 * len(head):
        return None
    pairs, four = len(head) // 2, len(head) // 4
    even, odd = head[0::2].count(0) / max(pairs, 1), head[1::2].count(0) / max(pairs, 1)
    for name, place in (("utf-32-le", 0), ("utf-32-be", 3)):
        if four and min(even, odd) > 0.4 and head[place::4].count(0) < 0.1 * four:
            return name
    if odd > 0.4 and even < 0.1 * odd:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.1 * even else None


def _decode(head: bytes, name: str) -> str:
    """Decode with replacement, ignoring a character cut off at the end."""
    return codecs.getincrementaldecoder(name)("replace").decode(head)


def _chinese_score(head: bytes, name: str) -> float:
    """Share of common Chinese characters among those beyond ASCII, 0 where much does not decode."""
    text = _decode(head, name)
    beyond = [c for c in text if c > "\x7f" and c not in _CHINESE_QUOTES]
    if not beyond or beyond.count("\ufffd") > 0.02 * len(beyond) or text.count("\x00") > 0.01 * len(text):
        return 0.0
    return sum(c in _COMMON_CHINESE for c in beyond) / len(beyond)


def _latin_score(head: bytes) -> float:
    """Share of the bytes beyond ASCII that stand where Western text has such letters and signs."""
    return len(_LIKELY_LATIN.findall(head)) / max(len(_HIGH.findall(head)), 1)


_seen = threading.local()


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _seen.broken = getattr(_seen, "broken", 0) + 1
    return "\ufffd", error.end


codecs.register_error("polyseme-replace", _replace)


def decode_stream(
    chunks: Iterable[bytes], codec: str, report: CleaningReport, source: str, unify: bool = True
) -> Iterator[str]:
    """Decode a stream and, unless told not to, unify its line ends; broken bytes become U+FFFD and are counted.

    Characters and CRLF pairs that two chunks share are kept together.
    """
    decoder = codecs.getincrementaldecoder(codec)("polyseme-replace")
    offset, held = 0, ""
    for final, chunk in _mark_last(chunks):
        _seen.broken = 0
        text = held + decoder.decode(chunk, final)
        if _seen.broken:
            first = offset + text.find("\ufffd")
            report.add("broken_bytes", _seen.broken, f"{source}, character {first}")
        held = "\r" if text.endswith("\r") and not final else ""
        text = text[: len(text) - len(held)]
        if unify and "\r" in text:
            text = unify_line_ends(text, report, source, offset)
        offset += len(text)
        if text:
            yield text


def _mark_last(chunks: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
    for chunk in chunks:
        yield False, chunk
    yield True, b""
