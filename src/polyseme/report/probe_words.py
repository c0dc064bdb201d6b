"""The words of the probing report in Chinese."""

from __future__ import annotations

__all__ = ["CHINESE"]

CHINESE = {
    "95 % intervals: of centres and divergences over {seeds} seeds, of expected layers over test texts and seeds.": (
        "95% 区间：重心与散度按 {seeds} 个随机种子计算，期望层对测试文本与种子重抽样计算。"
    ),
    "Accuracy of the most probable label: {value} %.": "取概率最大标签的准确率：{value} %。",
    "Against controls": "与对照比较",
    "Centre of gravity and expected layer of each task": "各任务的重心与期望层",
    "Centre of gravity of the mixing weights, and the layer at which a task is expected to be solved.": (
        "混合权重的重心，以及预期解决该任务的层。"
    ),
    "Dashed: equal weights. Coloured upright lines: the centre of gravity and the expected layer. Thin lines: "
    "95 % intervals.": "虚线：各层权重相等。彩色竖线：重心与期望层。细线：95% 区间。",
    "Hidden states of all layers, made by one pass of the encoder. The study took {seconds} s and {memory} of memory "
    "at most.": "各层隐状态由编码器一次前向计算得到。整个研究用时 {seconds} 秒，内存峰值 {memory}。",
    "How it was done": "方法",
    "In which layers it is": "知识在哪些层",
    "Layer weights and scores of {name}": "{name} 的各层权重与得分",
    "Dashed: equal weights. Thin lines: 95 % intervals.": "虚线：各层权重相等。细线：95% 区间。",
    "Micro-F1 in percent, differences in points on the same test texts, with 95 % intervals (texts and seeds drawn "
    "again); bold: the whole interval is above 0, and the probe above the most frequent label.": (
        "微平均 F1（%）；差值为同一批测试文本上的百分点；均附 95% 区间（对文本与种子重抽样）；"
        "粗体：整个区间大于 0，且探针高于最常见标签。"
    ),
    "Mixing weights": "混合权重",
    "The probe is not above always saying the most frequent label: its layers tell nothing.": (
        "探针不高于总是猜最常见标签：它的各层权重说明不了什么。"
    ),
    "What layer l adds": "第 l 层带来的增益",
    "—: the probe is not above always saying the most frequent label.": "—：探针不高于总是猜最常见标签。",
    "Mixing weights: centre of gravity {value}": "混合权重：重心 {value}",
    "Probes of all layers against what layer 0, a random encoder and random labels give.": (
        "使用全部层的探针，与仅第 0 层、随机编码器、随机标签对比。"
    ),
    "Probing {name}": "探测 {name}",
    "Score of each task and of its controls": "各任务及其对照的得分",
    "Score with layers 0 to l": "使用第 0 至 l 层的得分",
    "The encoder has one layer: there is nothing to mix.": "该编码器只有一层：没有可混合的层。",
    "The encoder is frozen. Each token's layers are normed and mixed, projected to {projection} numbers, pooled over "
    "a span by attention, and classified by a hidden layer of {hidden} with a sigmoid for each label (Tenney et al. "
    "2019). A label is said where its probability is at least one half. {seeds} seeds.": (
        "编码器保持冻结。每个词元的各层向量先归一化再混合，投影到 {projection} 维，在片段内用注意力汇聚，"
        "再经 {hidden} 维隐层、逐标签 sigmoid 分类（Tenney 等，2019）。概率不低于二分之一即判为该标签。"
        "共 {seeds} 个随机种子。"
    ),
    "What layer l adds: expected layer {value}": "第 l 层带来的增益：期望层 {value}",
    "What the frozen layers of {name} ({model}) know of spans of a text.": (
        "{name}（{model}）冻结的各层对文本片段知道些什么。"
    ),
    "all layers": "全部层",
    "all layers, %": "全部层，%",
    "centre of gravity": "重心",
    "divergence, nats": "散度，奈特",
    "expected layer": "期望层",
    "expected layer, losses as 0": "期望层（负增益按 0 计）",
    "gain": "增益",
    "gain, points": "增益，百分点",
    "in a file": "临时文件",
    "in memory": "内存",
    "kept as": "保存方式",
    "layer (0 = embeddings)": "层（0 = 嵌入层）",
    "layer 0 alone": "仅第 0 层",
    "micro-F1, %": "微平均 F1，%",
    "most frequent label": "最常见标签",
    "pairs of spans": "片段对",
    "random encoder": "随机编码器",
    "random labels": "随机标签",
    "score, %": "得分，%",
    "seconds": "编码用时，秒",
    "selectivity": "选择性",
    "size": "大小",
    "spans": "片段",
    "study": "研究用时，秒",
    "task": "任务",
    "texts": "文本数",
    "tokens": "词元数",
    "weight": "权重",
    "{task}: {labels} labels of {spans}; {train} targets to learn from, {dev} to choose by, {test} to judge by.": (
        "{task}：{spans}的 {labels} 种标签；训练目标 {train} 个，开发 {dev} 个，测试 {test} 个。"
    ),
}
