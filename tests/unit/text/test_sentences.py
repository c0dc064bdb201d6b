"""Sentence ends: hand-made gold, line ends, and coverage."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from polyseme.text.sentences import sentence_spans

# Paragraphs in which ¦ marks each inner boundary.
ENGLISH = [
    "Mr. Smith went to Washington.¦ He arrived at 5 p.m. on Tuesday.¦ Nobody was there.",
    "The pump costs $3.14 a litre, e.g. at the corner shop.¦ That is too much.",
    "She works for Acme Inc. in the U.S. and likes it.¦ Dr. J. R. Brown lives in the U.K.¦ They rarely meet.",
    '"Where are you going?" asked John.¦ "Home," she said.¦ "It is late."',
    "Wait... what did you say?¦ I could not hear you!¦ Speak up.",
    "Version 2.0.1 was released on Jan. 5, 2021.¦ It fixes bugs, i.e. crashes and leaks.",
    "See Fig. 3 and pp. 12-15 for details.¦ The proof is in Sec. 4.¦ We omit it here.",
    "“I never saw him,” replied Mrs. Dalloway.¦ “He left before dawn.”",
    "The meeting is at 10 a.m. sharp.¦ Don't be late!",
    "Prof. Lee et al. showed this in 1998.¦ Others, cf. Jones, disagreed.",
    "He said (and I quote): it works.¦ I believed him.",
    "Visit www.example.com for more.¦ Write to info@example.com if you must.",
    "Is it true?¦ Yes.¦ No.¦ Perhaps.",
    "St. Paul's is near Fleet St. in London.¦ We walked there.",
    "The U.S. Army moved north.¦ Gen. Grant led it.",
    "No. 7 was closed.¦ We took no. 9 instead.",
    "They sell apples, pears, etc. in the market.¦ I bought ten.",
    "It weighs 5 kg.¦ The other one weighs 7 kg.",
    "J. K. Rowling wrote it.¦ So they say.",
    "What a day!¦ What a lovely day!¦ Let us go out, shall we?",
    "The file is called main.py.¦ Run it with python main.py.¦ It prints 1.5.",
    "He paid 1,000.50 dollars vs. 900 last year.¦ Inflation, he sighed.",
    '"Stop!" he cried.¦ The train did not stop.',
    "He lives on Main St.¦ His house is red.",
    "I moved to the U.S.¦ It was hard.",
    "Have you read 'Who Goes There?' yet?¦ It is short.",
    "Capt. Ahab, Lt. Starbuck and Sgt. Flask went aboard.¦ The sea was calm.",
]

CHINESE = [
    "今天天气很好。¦我们去公园吧！¦你觉得怎么样？",
    "他说：“我明天再来。”¦然后就走了。",
    "圆周率约等于3.14。¦这个数字很有名。",
    "“你好！”¦“你好，请进。”",
    "这是真的吗？！¦我不信。",
    "他想了想……¦最后还是答应了。",
    "我喜欢苹果、梨、香蕉等水果。¦她喜欢喝茶；他喜欢喝咖啡。",
    "北京（首都）是一座古老的城市。¦上海是最大的城市。",
    "版本 2.0.1 已经发布。¦请访问 www.example.com 下载。¦有问题请联系我们。",
    "《红楼梦》是曹雪芹写的。¦《西游记》是吴承恩写的。",
    "会议在上午10点30分开始。¦请不要迟到！",
    "“学而时习之，不亦说乎？”孔子说。¦弟子们点头。",
    "你要去哪里？¦我要回家。¦天已经黑了。",
    "公司成立于1998年，总部设在深圳。¦目前有员工两万余人。",
    "他问：“你吃饭了吗？”¦我说：“吃了。”",
    "妈妈说：“快点！要迟到了！”¦我赶紧跑了出去。",
    "第一，要努力。¦第二，要坚持。¦第三，要有耐心。",
    "Python 是一种编程语言。¦它的作者是 Guido van Rossum。",
    "价格是 99.9 元。¦太贵了！",
    "风停了。¦雨也停了。¦太阳出来了。",
    "他的名字叫阿Q。¦没有人知道他姓什么。",
    "什么？¦你再说一遍！¦我没听清楚。",
    "这部电影（2019年上映）非常感人。¦我看了三遍。",
    "（完）¦谢谢大家。",
    "他大喊：“救命！”¦没有人听见。",
    "“是谁？”¦老人慢慢地抬起头，看了看门口。",
    "本法自2021年1月1日起施行。¦《民法通则》同时废止。",
]


def cut(paragraph: str) -> tuple[str, set[int]]:
    """The text of a gold paragraph and its inner boundaries, counted in characters other than white space."""
    boundaries, n = set(), 0
    for sentence in paragraph.split("¦")[:-1]:
        n += len("".join(sentence.split()))
        boundaries.add(n)
    return paragraph.replace("¦", ""), boundaries


def inner(sentences: list[str]) -> set[int]:
    """The inner boundaries of some sentences, counted likewise."""
    boundaries, n = set(), 0
    for sentence in sentences[:-1]:
        n += len("".join(sentence.split()))
        boundaries.add(n)
    return boundaries


def scores(gold: list[str], split: Callable[[str], list[str]]) -> dict[str, float]:
    """Precision, recall and F1 of the inner boundaries that `split` (text -> sentences) finds."""
    right = found = wanted = 0
    for paragraph in gold:
        text, boundaries = cut(paragraph)
        mine = inner(split(text))
        right, found, wanted = right + len(mine & boundaries), found + len(mine), wanted + len(boundaries)
    precision, recall = right / max(found, 1), right / max(wanted, 1)
    return {"precision": precision, "recall": recall, "f1": 2 * right / max(found + wanted, 1), "n": wanted}


def sentences(text: str, language: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text, language)]


@pytest.mark.parametrize(
    ("language", "gold", "enough", "more"), [("en", ENGLISH, 0.96, 0.2), ("zh", CHINESE, 0.93, 0.1)]
)
def test_finds_the_sentences_of_the_gold(language: str, gold: list[str], enough: float, more: float) -> None:
    ours = scores(gold, lambda text: sentences(text, language))
    naive = scores(gold, lambda text: re.split(r"(?<=[.!?])\s+|(?<=[。！？])(?!$)", text))
    assert ours["f1"] >= enough, ours
    assert ours["f1"] >= naive["f1"] + more, (ours, naive)


def test_is_no_worse_than_pysbd_on_the_gold() -> None:
    pysbd = pytest.importorskip("pysbd")
    for language, gold in (("en", ENGLISH), ("zh", CHINESE)):
        peer = scores(gold, pysbd.Segmenter(language=language, clean=False).segment)
        assert scores(gold, lambda text: sentences(text, language))["f1"] >= peer["f1"] - 0.02  # noqa: B023


def test_a_hard_wrapped_line_does_not_end_a_sentence() -> None:
    text = (
        "The house stood at the end of a long lane, and nobody had lived in it\n"
        "for twenty years, as far as anyone in the village could say, until the\n"
        "stranger came\n"
        "Then all was changed"
    )
    assert [s.split()[0] for s in sentences(text, "en")] == ["The", "Then"]


def test_one_paragraph_a_line_ends_a_sentence_at_every_line_end() -> None:
    line = "A paragraph that goes on for a very long time without any mark at its end " * 3
    assert len(sentences("\n".join([line] * 4), "en")) == 4


def test_blank_lines_headings_and_list_items_end_sentences() -> None:
    assert sentences("Chapter One\n\nIt was night", "en") == ["Chapter One", "It was night"]
    assert (
        len(
            sentences(
                "The things that we need for the long journey:\n- a rope and a lamp and a knife\n- bread",
                "en",
            )
        )
        == 3
    )
    assert sentences("第一章\n\n天黑了", "zh") == ["第一章", "天黑了"]


def test_punctuation_alone_is_no_sentence() -> None:
    assert sentences("![](https://example.com/a.jpg) 图一。", "zh") == [
        "![](https://example.com/a.jpg) 图一。"
    ]


@pytest.mark.parametrize("text", ["", " \n \n", "\n", "......", "。。。", "\t\n a"])
def test_covers_what_little_there_is(text: str) -> None:
    for language in ("en", "zh"):
        covered = "".join(sentences(text, language))
        assert "".join(covered.split()) == "".join(text.split())


def test_a_line_without_an_end_takes_no_quadratic_time() -> None:
    start = time.process_time()
    found = sentence_spans("“你好。" * 8000, "zh")  # 32,000 characters; unguarded, this takes over a second
    assert len(found) >= 1
    assert time.process_time() - start < 0.5
