"""Senses for people: a page of figures and maps, and the same in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyseme.core.config import to_json
from polyseme.report.figures import columns
from polyseme.report.language import Speaker, speaker
from polyseme.report.page import Figure, Page, Part, Section, Table
from polyseme.train.run import saving, write_atomic

__all__ = ["senses_page", "senses_sections", "senses_text", "write_senses"]

_LISTED = 3
"""Typical contexts of a group that are shown."""


def senses_page(document: Mapping[str, Any], lang: str = "en") -> Page:
    """The page of a study of senses.

    Args:
        document: of `Senses`, or the JSON of an earlier one.
        lang: "en" or "zh".
    Raises:  ConfigError: another language.
    """
    say = speaker(lang, _CHINESE)
    names = ", ".join(run["name"] for run in document["runs"])
    return Page(
        say("Senses of words"),
        f"{names} · {Path(document['file']).name}",
        senses_sections(document, say),
        lang,
    )


def senses_sections(document: Mapping[str, Any], say: Speaker, prefix: str = "") -> list[Section]:
    """The sections of a study of senses: figures, charts, maps.

    Args:
        document: of `Senses`, or the JSON of an earlier one.
        say: who says the words; its table must hold those of `_CHINESE`.
        prefix: stands before the names of figures.
    """
    return _labelled(document, say, prefix) if document["labelled"] else _unlabelled(document, say, prefix)


def _labelled(document: Mapping[str, Any], say: Speaker, prefix: str) -> list[Section]:
    from polyseme.report.senses_charts import best_chart, layers_chart, map_chart, words_chart

    runs, words = document["runs"], document["words"]
    several = len(words) > 1
    figures: list[Part] = [
        say(
            "Each use of a word gets the sense of the use that is nearest to it among those of other texts, by the cosine "
            "of their vectors. What is called the best layer was chosen without the uses on which it is reported."
        ),
        _best_table(document, say),
    ]
    if len(runs) > 1:
        figures.append(
            Figure(
                f"{prefix}senses_runs",
                best_chart(document, say),
                say(
                    "Accuracy at the best layer, with 95 % intervals; dashed: always the most frequent sense."
                ),
                say("Accuracy of every run at its best layer"),
            )
        )
        figures.append(_difference_table(document, say))
    layers: list[Part] = [
        Figure(
            f"{prefix}senses_layers",
            layers_chart(document, say),
            say("Accuracy by layer, {what}; bands and bars are 95 % intervals.", what=_what(words, say)),
            say("Accuracy of the nearest neighbour by layer"),
        )
    ]
    if several:
        layers.append(
            Figure(
                f"{prefix}senses_words",
                words_chart(document, say),
                say("The same for every word. Dashed: always the most frequent sense of that word."),
                say("Accuracy of the nearest neighbour by layer, for every word"),
            )
        )
    layers += [_layer_table(run, say) for run in runs]
    maps: list[Part] = [
        say(
            "Every point is a use of the word; the sentence shows when the pointer rests on it. A representation that "
            "does not look at the context has one point for all uses."
        )
    ]
    for place, word in enumerate(words):
        maps.append(
            Figure(
                f"{prefix}senses_map_{_slug(word['word'], place)}",
                map_chart(document, place, say),
                _map_caption(document, place, say),
                say("Map of the uses of {word}", word=word["word"]),
            )
        )
    return [
        Section(say("How well senses are told apart"), figures),
        Section(say("Layer by layer"), layers),
        Section(say("Maps of the uses"), maps),
    ]


def _what(words: Sequence[Mapping[str, Any]], say: Speaker) -> str:
    return say("the mean of {n} words", n=len(words)) if len(words) > 1 else str(words[0]["word"])


def _best_table(document: Mapping[str, Any], say: Speaker) -> Table:
    head = [
        say("run"),
        say("word"),
        say("uses"),
        say("senses"),
        say("most frequent sense"),
        say("nearest neighbour, best layer"),
        say("over the most frequent"),
        "p",
        say("balanced"),
        say("macro-F1"),
        say("centroid, best layer"),
        say("highest layer"),
    ]
    rows = []
    for run in document["runs"]:
        if len(document["words"]) > 1:
            rows.append(_mean_row(run, document, say))
        for word, entry in zip(document["words"], run["words"], strict=True):
            best = entry["best"]["nearest"]
            over = best["over_ceiling"]
            rows.append(
                [
                    run["name"],
                    word["word"],
                    f"{word['uses']:,}",
                    str(len(word["senses"])),
                    _shown(word["ceiling"]),
                    _shown(best["accuracy"]),
                    _shown(over, "+"),
                    _p(over),
                    f"{best['balanced_accuracy']['value']:.3f}",
                    f"{best['macro_f1']['value']:.3f}",
                    f"{entry['best']['centroid']['accuracy']['value']:.3f}",
                    _highest(best),
                ]
            )
    caption = say(
        "Most frequent sense: what a representation with one vector a word can reach. Balanced: the mean of the senses' "
        "own accuracies. Highest layer: chosen on the same uses, so it flatters."
    )
    return Table(head, rows, caption, left=(0, 1))


def _mean_row(run: Mapping[str, Any], document: Mapping[str, Any], say: Speaker) -> list[str]:
    best = run["mean"]["best"]
    over = best["nearest"]["over_ceiling"]
    uses = sum(word["uses"] for word in document["words"])
    return [
        run["name"],
        say("mean of the words"),
        f"{uses:,}",
        "",
        _shown(document["mean"]["ceiling"]),
        _shown(best["nearest"]["accuracy"]),
        _shown(over, "+"),
        _p(over),
        "",
        "",
        f"{best['centroid']['accuracy']['value']:.3f}",
        _highest(best["nearest"]),
    ]


def _difference_table(document: Mapping[str, Any], say: Speaker) -> Table:
    rows = [
        [
            f"{one['first']} - {one['second']}",
            one["word"] or say("mean of the words"),
            _shown(one, "+"),
            _p(one),
        ]
        for one in document["differences"]
    ]
    caption = say("Differences of nearest-neighbour accuracy at the best layers, paired on the same uses.")
    return Table([say("runs"), say("word"), say("difference"), "p"], rows, caption, left=(0, 1))


def _layer_table(run: Mapping[str, Any], say: Speaker) -> Table:
    head = [
        say("layer"),
        say("nearest neighbour"),
        say("centroid"),
        say("balanced"),
        say("macro-F1"),
        say("silhouette"),
    ]
    rows = [
        [
            str(one["layer"]),
            _shown(one["nearest"]["accuracy"]),
            _shown(one["centroid"]["accuracy"]),
            f"{one['nearest']['balanced_accuracy']['value']:.3f}",
            f"{one['nearest']['macro_f1']['value']:.3f}",
            _shown(one["silhouette"], "+"),
        ]
        for one in run["mean"]["layers"]
    ]
    return Table(head, rows, say("{run}: means over the words, by cross-validation.", run=run["name"]))


def _map_caption(document: Mapping[str, Any], place: int, say: Speaker) -> str:
    word = document["words"][place]
    method = document["runs"][0]["words"][place]["map"]["method"]
    how = say("two principal components") if method == "pca" else "UMAP"
    caption = say("{word}: {how}.", word=word["word"], how=how)
    if len(word["drawn"]) < word["uses"]:
        caption += " " + say(
            "{n} of {uses} uses are drawn, chosen by hash.",
            n=f"{len(word['drawn']):,}",
            uses=f"{word['uses']:,}",
        )
    return caption


def _unlabelled(document: Mapping[str, Any], say: Speaker, prefix: str) -> list[Section]:
    from polyseme.report.senses_charts import map_chart

    sections = []
    for place, word in enumerate(document["words"]):
        parts: list[Part] = [
            say(
                "The uses have no labels: they are clustered by their vectors. The number of groups is a suggestion: the "
                "one that stands out most from a cloud of one piece with the same spread, or one where none does."
            ),
            _suggestion_table(document, place, say),
            Figure(
                f"{prefix}senses_map_{_slug(word['word'], place)}",
                map_chart(document, place, say),
                _map_caption(document, place, say),
                say("Map of the uses of {word}", word=word["word"]),
            ),
        ]
        parts += [_group_table(run, run["words"][place], say) for run in document["runs"]]
        sections.append(Section(word["word"], parts))
    return sections


def _suggestion_table(document: Mapping[str, Any], place: int, say: Speaker) -> Table:
    rows = []
    for run in document["runs"]:
        for one in run["words"][place]["layers"]:
            rows.append([run["name"], str(one["layer"]), str(one["groups"]), *_tabled(one, one["table"])])
    word = document["words"][place]
    head = [
        say("run"),
        say("layer"),
        say("groups"),
        say("silhouette"),
        say("silhouette of one piece"),
        "z",
        say("z to pass"),
    ]
    return Table(head, rows, say("{n} uses of {word}", n=f"{word['uses']:,}", word=word["word"]))


def _tabled(layer: Mapping[str, Any], table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Silhouette, the expected one, z and its threshold at the suggestion, or, of one group, at the highest z."""
    if not table:
        return ["—"] * 4
    one = next((t for t in table if t["groups"] == layer["groups"]), None) or max(table, key=lambda t: t["z"])
    return [
        f"{one['silhouette']:.3f}",
        f"{one['expected']:.3f}",
        f"{one['z']:.1f}",
        f"{layer['threshold']:.1f}",
    ]


def _group_table(run: Mapping[str, Any], entry: Mapping[str, Any], say: Speaker) -> Table:
    rows = [
        [str(number), f"{group['uses']:,}", ", ".join(group["words"]), "\n".join(_contexts(group))]
        for number, group in enumerate(entry["groups"], 1)
    ]
    head = [say("group"), say("uses"), say("words beside it"), say("typical uses")]
    caption = say("{run}, layer {layer}", run=run["name"], layer=entry["layer"])
    return Table(head, rows, caption, left=(0, 2, 3))


def _contexts(group: Mapping[str, Any]) -> list[str]:
    return [f"{one['before']}【{one['form']}】{one['after']}" for one in group["typical"][:_LISTED]]


def write_senses(
    document: Mapping[str, Any], folder: Path, lang: str = "en"
) -> tuple[list[Path], str | None]:
    """Write senses.json, senses.html and every chart as .svg and .png.

    Returns the files, and what a person should know of the pictures, if anything.
    Raises:  StorageError: the disk refuses.  ConfigError: another language than en and zh.
    """
    page = senses_page(document, lang)
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "senses.json", to_json(document).encode())
    wrote = [folder / "senses.json", page.write(folder / "senses.html")]
    pictures, note = page.write_figures(folder)
    return [*wrote, *pictures], note


def senses_text(document: Mapping[str, Any]) -> str:
    """The figures for a terminal."""
    parts = _labelled_text(document) if document["labelled"] else _unlabelled_text(document)
    return "\n\n".join("\n".join(part) for part in parts)


def _labelled_text(document: Mapping[str, Any]) -> list[list[str]]:
    parts = []
    for run in document["runs"]:
        rows = [
            [
                "word",
                "uses",
                "senses",
                "most frequent",
                "nearest neighbour",
                "over it",
                "p",
                "macro-F1",
                "centroid",
                "highest",
            ]
        ]
        for word, entry in zip(document["words"], run["words"], strict=True):
            best = entry["best"]["nearest"]
            rows.append(
                [
                    word["word"],
                    f"{word['uses']:,}",
                    str(len(word["senses"])),
                    f"{word['ceiling']['value']:.3f}",
                    _shown(best["accuracy"]),
                    _shown(best["over_ceiling"], "+"),
                    _p(best["over_ceiling"]),
                    f"{best['macro_f1']['value']:.3f}",
                    f"{entry['best']['centroid']['accuracy']['value']:.3f}",
                    _highest(best),
                ]
            )
        if len(document["words"]) > 1:
            mean = run["mean"]["best"]
            over = mean["nearest"]["over_ceiling"]
            rows.append(
                [
                    "mean",
                    "",
                    "",
                    f"{document['mean']['ceiling']['value']:.3f}",
                    _shown(mean["nearest"]["accuracy"]),
                    _shown(over, "+"),
                    _p(over),
                    "",
                    f"{mean['centroid']['accuracy']['value']:.3f}",
                    _highest(mean["nearest"]),
                ]
            )
        static = ": every use of a word has the same vector" if run["static"] else ""
        head = f"{run['name']} ({run['model']}){static}"
        parts.append([head, *columns(rows, [1, 2, 3, 7, 8, 9])])
        rows = [["layer", "nearest neighbour", "centroid", "balanced", "macro-F1", "silhouette"]]
        for one in run["mean"]["layers"]:
            rows.append(
                [
                    str(one["layer"]),
                    _shown(one["nearest"]["accuracy"]),
                    _shown(one["centroid"]["accuracy"]),
                    f"{one['nearest']['balanced_accuracy']['value']:.3f}",
                    f"{one['nearest']['macro_f1']['value']:.3f}",
                    _shown(one["silhouette"], "+"),
                ]
            )
        parts.append(columns(rows, [0]))
        parts += _test_text(document, run)
    if document["differences"]:
        rows = [["difference", "word", "nearest neighbour", "p"]]
        for one in document["differences"]:
            rows.append(
                [f"{one['first']} - {one['second']}", one["word"] or "mean", _shown(one, "+"), _p(one)]
            )
        parts.append(columns(rows, [3]))
    return parts


def _test_text(document: Mapping[str, Any], run: Mapping[str, Any]) -> list[list[str]]:
    """The given split, where the uses have one."""
    rows = [["test part", "train", "test", "nearest neighbour", "macro-F1", "layer", "centroid"]]
    for word, entry in zip(document["words"], run["words"], strict=True):
        test = entry["test"]
        if test:
            rows.append(
                [
                    word["word"],
                    f"{test['train']:,}",
                    f"{test['nearest']['accuracy']['n']:,}",
                    _shown(test["nearest"]["accuracy"]),
                    f"{test['nearest']['macro_f1']['value']:.3f}",
                    str(test["nearest"]["layer"]),
                    f"{test['centroid']['accuracy']['value']:.3f}",
                ]
            )
    return [columns(rows, [1, 2, 4, 5, 6])] if len(rows) > 1 else []


def _unlabelled_text(document: Mapping[str, Any]) -> list[list[str]]:
    parts = []
    for place, word in enumerate(document["words"]):
        for run in document["runs"]:
            entry = run["words"][place]
            rows = [["layer", "groups", "silhouette", "of one piece", "z", "z to pass"]]
            rows += [
                [str(one["layer"]), str(one["groups"]), *_tabled(one, one["table"])]
                for one in entry["layers"]
            ]
            parts.append(
                [
                    f"{word['word']}, {word['uses']:,} uses, {run['name']} ({run['model']})",
                    *columns(rows, range(6)),
                ]
            )
            for number, group in enumerate(entry["groups"], 1):
                beside = f": {', '.join(group['words'])}" if group["words"] else ""
                parts.append(
                    [
                        f"group {number}, {group['uses']:,} uses{beside}",
                        *(f"  {one}" for one in _contexts(group)),
                    ]
                )
    return parts


def _shown(one: Mapping[str, Any], sign: str = "") -> str:
    if one["value"] is None:
        return "—"
    low = "" if one["low"] is None else f" ({one['low']:{sign}.3f} … {one['high']:{sign}.3f})"
    return f"{one['value']:{sign}.3f}{low}"


def _p(one: Mapping[str, Any]) -> str:
    p = max(one["p"], one.get("p_randomisation", 0.0))
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _highest(best: Mapping[str, Any]) -> str:
    return f"{best['maximum']['accuracy']['value']:.3f} @ {best['maximum']['layer']}"


def _slug(word: str, place: int) -> str:
    """A word as part of a file's name."""
    safe = "".join(c if c.isalnum() else "_" for c in word)[:40].strip("_")
    return safe or str(place + 1)


_CHINESE = {
    "Senses of words": "词的义项",
    "How well senses are told apart": "义项分得多清楚",
    "Layer by layer": "逐层",
    "Maps of the uses": "用例图",
    "Each use of a word gets the sense of the use that is nearest to it among those of other texts, by the cosine "
    "of their vectors. What is called the best layer was chosen without the uses on which it is reported.": (
        "每个用例取其他文本中与它最近（向量余弦最大）的用例的义项。“最佳层”的选择没有用到报告成绩的那些用例。"
    ),
    "Accuracy at the best layer, with 95 % intervals; dashed: always the most frequent sense.": (
        "最佳层的准确率和 95 % 区间；虚线：总是猜最常见的义项。"
    ),
    "Accuracy of every run at its best layer": "各运行在最佳层的准确率",
    "Accuracy by layer, {what}; bands and bars are 95 % intervals.": "各层准确率，{what}；色带和竖线是 95 % 区间。",
    "Accuracy of the nearest neighbour by layer": "各层最近邻准确率",
    "The same for every word. Dashed: always the most frequent sense of that word.": (
        "每个词的同样曲线。虚线：总是猜该词最常见的义项。"
    ),
    "Accuracy of the nearest neighbour by layer, for every word": "每个词各层的最近邻准确率",
    "Every point is a use of the word; the sentence shows when the pointer rests on it. A representation that "
    "does not look at the context has one point for all uses.": (
        "每个点是该词的一个用例；指针停在上面时显示句子。不看上下文的表示，所有用例只有一个点。"
    ),
    "Map of the uses of {word}": "“{word}”的用例图",
    "the mean of {n} words": "{n} 个词的平均",
    "run": "运行",
    "runs": "运行",
    "word": "词",
    "uses": "用例",
    "senses": "义项",
    "most frequent sense": "最常见义项",
    "nearest neighbour, best layer": "最近邻（最佳层）",
    "over the most frequent": "高出最常见义项",
    "balanced": "均衡准确率",
    "macro-F1": "宏平均 F1",
    "centroid, best layer": "质心（最佳层）",
    "highest layer": "最高的层",
    "Most frequent sense: what a representation with one vector a word can reach. Balanced: the mean of the senses' "
    "own accuracies. Highest layer: chosen on the same uses, so it flatters.": (
        "最常见义项：每个词只有一个向量的表示所能达到的上限。均衡准确率：各义项准确率的平均。最高的层：在同一批用例上选出，因此偏高。"
    ),
    "mean of the words": "各词平均",
    "difference": "差",
    "Differences of nearest-neighbour accuracy at the best layers, paired on the same uses.": (
        "最佳层最近邻准确率之差，在同一批用例上配对。"
    ),
    "layer": "层",
    "nearest neighbour": "最近邻",
    "centroid": "质心",
    "silhouette": "轮廓系数",
    "{run}: means over the words, by cross-validation.": "{run}：各词平均，交叉验证。",
    "two principal components": "前两个主成分",
    "{word}: {how}.": "{word}：{how}。",
    "{n} of {uses} uses are drawn, chosen by hash.": "共 {uses} 个用例，按散列选画 {n} 个。",
    "The uses have no labels: they are clustered by their vectors. The number of groups is a suggestion: the "
    "one that stands out most from a cloud of one piece with the same spread, or one where none does.": (
        "这些用例没有标注，按向量聚类。组数只是建议：取比同样散布的单一点云最突出的组数；若都不突出，则为一组。"
    ),
    "groups": "组数",
    "silhouette of one piece": "单一点云的轮廓系数",
    "z to pass": "需超过的 z",
    "{n} uses of {word}": "“{word}”的 {n} 个用例",
    "group": "组",
    "words beside it": "旁边的词",
    "typical uses": "典型用例",
    "{run}, layer {layer}": "{run}，第 {layer} 层",
    "layer (0 = embeddings)": "层（0 = 嵌入层）",
    "accuracy of the nearest neighbour": "最近邻准确率",
    "always the most frequent sense: {value}": "总是最常见的义项：{value}",
    "group {n} ({uses})": "第 {n} 组（{uses}）",
    "one dot: all uses have the same vector": "一个点：所有用例的向量相同",
    "{n} dots: one for each form of the word": "{n} 个点：每种词形一个",
    "nearest neighbour {value}": "最近邻 {value}",
}
