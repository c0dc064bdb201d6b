"""The site (mkdocs.yml) in both languages: the same pages with the same commands, and no link that leads nowhere.

`make docs` builds it, strictly; here nothing is built and nothing is run. X.md is English, X.zh.md beside it Chinese.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import polyseme

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
CHINESE = [
    path for folder in (DOCS, DOCS / "guide") for path in sorted(folder.glob("*.md")) if ".zh." in path.name
]
ENGLISH_ALONE = {"LOG.md"}  # as are results and decisions
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^```(?P<info>\S[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")


def twin(page: Path) -> Path:
    """The English page of a Chinese one."""
    return page.with_name(page.name.replace(".zh.md", ".md"))


def code(text: str) -> list[tuple[str, str]]:
    """The fenced blocks; comments, which may be Chinese, are left out."""
    return [
        (block["info"], re.sub(r"\s+# .*$", "", block["body"], flags=re.M)) for block in _FENCE.finditer(text)
    ]


def prose(text: str) -> str:
    return _FENCE.sub("", text)


def anchors(page: Path) -> list[str]:
    """What headings are called in links, here and on GitHub."""
    titles = re.findall(r"^#+ (.*)$", prose(page.read_text("utf-8")), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles]


def test_both_languages_have_the_same_pages() -> None:
    english = {
        path for folder in (DOCS, DOCS / "guide") for path in folder.glob("*.md") if ".zh." not in path.name
    }
    assert {twin(page) for page in CHINESE} == {path for path in english if path.name not in ENGLISH_ALONE}


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: page.name)
def test_a_chinese_page_has_the_commands_and_sections_of_the_english_one(page: Path) -> None:
    chinese, english = page.read_text("utf-8"), twin(page).read_text("utf-8")
    if page.name == "index.zh.md":  # where the text is Chinese
        chinese = chinese.replace("chinese-texts", "my-texts")
        chinese = chinese.replace("今天天气很[MASK]。", "The weather was [MASK] that day.")
    assert code(chinese) == code(english)
    for pattern in (
        r"^#+(?= )",
        r"^\|[-|]+\|$",
        r"^(?:- |    |::: ).{3}",
    ):  # headings, tables, lists and drawings
        assert len(re.findall(pattern, prose(chinese), re.M)) == len(
            re.findall(pattern, prose(english), re.M)
        )
    options = [set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) for text in (chinese, english)]
    assert options[0] == options[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(prose(page.read_text("utf-8"))):
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"
        if ".zh." in page.name and path.is_relative_to(DOCS) and path.suffix == ".md":
            assert ".zh." in path.name or not path.with_suffix(".zh.md").exists(), (
                f"{target} is there in Chinese"
            )


@pytest.mark.parametrize("page", [ROOT / "README.zh.md", *CHINESE], ids=lambda page: page.name)
def test_a_term_has_one_translation(page: Path) -> None:
    """Those of report/zh.toml."""
    text = re.sub(r"`[^`]*`", "", prose(page.read_text("utf-8")))
    for wrong, right in (
        ("纳特", "奈特"),
        ("最小对立对", "最小对立体"),
        ("置信度", "概率"),
        ("个 token", "个词元"),
    ):
        assert wrong not in text, f"{wrong}: {right}"


def test_every_page_of_the_guide_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    names = re.findall(r"^ +- ([^:\n]+): (?:guide/\S+\.md|\[\])$", menu, re.MULTILINE)
    for page in (DOCS / "guide").glob("*.md"):
        assert (f": guide/{page.name}\n" in menu) == (".zh." not in page.name)
    for name in names:
        assert re.search(rf"^            {re.escape(name)}: \S", menu, re.MULTILINE), (
            f"{name} has no Chinese name"
        )


def test_the_reference_has_every_public_name() -> None:
    names = re.findall(r"^::: polyseme\.(\w+)$", (DOCS / "api.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(names) == sorted(name for name in polyseme.__all__ if name != "__version__")


def test_the_site_asks_no_network_for_anything() -> None:
    files = [ROOT / "mkdocs.yml", *(DOCS / "assets").iterdir()]
    settings = "".join(path.read_text("utf-8") for path in files)
    assert "font: false" in settings
    assert "polyfills: [assets/iframe-worker.js]" in settings, "the theme would fetch its own"
    assert not re.search(r"https?:|repo_url|analytics|@import", settings)


def test_the_index_of_pages_on_the_disk_has_both_languages() -> None:
    plugins = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert plugins.index("- i18n:") < plugins.index("- offline"), (
        "offline writes down the index that i18n made"
    )
