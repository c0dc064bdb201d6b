"""The Chinese words of pages on senses."""

from __future__ import annotations

__all__ = ["CHINESE"]

CHINESE = {
    "Senses of words": "词的义项",
    "How well senses are told apart": "义项分得多清楚",
    "Layer by layer": "逐层",
    "Maps of the uses": "用例图",
    "Each use of a word gets the sense of the use that is nearest to it among those of other texts, by the "
    "cosine of their vectors. What is called the best layer was chosen without the uses that it is reported on.": (
        "每个用例取其他文本中与它最近（向量余弦最大）的用例的义项。“最佳层”的选择没有用到报告成绩的那些用例。"
    ),
    "The figure of each word at the best layer, with 95 % intervals; dashed: always the most frequent sense. "
    "Each chart has its own scale.": (
        "各词在最佳层的指标和 95 % 区间；虚线：总是猜最常见的义项。每幅图有自己的刻度。"
    ),
    "The figure of every run at its best layer": "各运行在最佳层的指标",
    "{figure} by layer, {what}; bands and bars are 95 % intervals.": "各层{figure}，{what}；色带和竖线是 95 % 区间。",
    "The nearest neighbours' figure by layer": "各层最近邻指标",
    "The same for every word. Dashed: always the most frequent sense of that word.": (
        "每个词的同样曲线。虚线：总是猜该词最常见的义项。"
    ),
    "The nearest neighbours' figure by layer, for every word": "每个词各层的最近邻指标",
    "Every point is a use of the word; the sentence shows when the pointer rests on it. A representation that "
    "does not look at the context has one point for all uses that are written alike: such points are numbered.": (
        "每个点是该词的一个用例；指针停在上面时显示句子。不看上下文的表示，写法相同的用例都在同一个点上；这样的点有编号。"
    ),
    "figure": "指标",
    "accuracy": "准确率",
    "balanced accuracy": "均衡准确率",
    "point": "点",
    "written": "写法",
    "{run}: the uses of {word} that lie on each point.": "{run}：“{word}”的用例各在哪个点上。",
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
    "macro-F1": "宏平均 F1",
    "centroid, best layer": "质心（最佳层）",
    "highest layer": "最高的层",
    "Most frequent sense: what a representation with one vector a word can reach. Figure: balanced accuracy, the mean "
    "of the senses' own accuracies, where one sense has more than 80 % of the uses, else accuracy. Highest layer: "
    "chosen on the same uses, so it flatters.": (
        "最常见义项：每个词只有一个向量的表示所能达到的上限。指标：某一义项占用例的 80 % 以上时用均衡准确率"
        "（各义项准确率的平均），否则用准确率。最高的层：在同一批用例上选出，因此偏高。"
    ),
    "mean of the words": "各词平均",
    "difference": "差",
    "Differences of the nearest neighbours' figure at the best layers, paired on the same uses.": (
        "最佳层最近邻指标之差，在同一批用例上配对。"
    ),
    "layer": "层",
    "nearest neighbour": "最近邻",
    "centroid": "质心",
    "silhouette": "轮廓系数",
    "{run}: means over the words, by cross-validation.": "{run}：各词平均，交叉验证。",
    "two principal components": "前两个主成分",
    "the axes that part the senses best, learned from one half of the uses and drawn with the other": (
        "最能分开义项的轴，由一半用例学得，画出另一半"
    ),
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
    "{figure} of the nearest neighbour": "最近邻{figure}",
    "always the most frequent sense: {value}": "总是最常见的义项：{value}",
    "group {n} ({uses})": "第 {n} 组（{uses}）",
    "one point: all {n} uses have the same vector": "一个点：全部 {n} 个用例的向量相同",
    "{n} points for {uses} uses, whatever stands around them": "{uses} 个用例只有 {n} 个点，与上下文无关",
    "nearest neighbour {value}": "最近邻 {value}",
}
