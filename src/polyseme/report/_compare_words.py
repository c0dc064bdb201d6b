"""The Chinese words of a comparison's page."""

from __future__ import annotations

__all__ = ["CHINESE"]

CHINESE = {
    # the page
    "Representations compared": "表示方法对比",
    "{n} runs ({models}) on the same texts, tasks and questions, by one protocol.": (
        "{n} 个模型（{models}），同样的文本、任务与问题，统一的评测方式。"
    ),
    "Run": "运行",
    "accuracy": "准确率",
    "accuracy, %": "准确率，%",
    "layer (0 = embeddings)": "层（0 = 嵌入层）",
    "share": "占比",
    "Best less this": "最佳减本行",
    "p": "p",
    # reasons
    "trained on text of another language ({detail})": "训练文本是另一种语言（{detail}）",
    "nothing in this model can be trained by gradients": "该模型没有可用梯度训练的参数",
    "this model gives texts no probability": "该模型不能给出文本的概率",
    "not done yet: the same command goes on": "尚未完成：用同一条命令继续",
    "the run was imported, so how it was trained is not known": "模型是导入的，训练情况未知",
    "its run.json does not say": "run.json 中没有记录",
    "there is nothing to count": "没有可统计的内容",
    "nothing was done": "没有做",
    "the model has one layer": "该模型只有一层",
    "it has no weights": "该模型没有权重",
    "left out in the file": "文件中未要求",
    "no layer adds anything": "增加层数没有提升",
    # overview
    "Overview": "总览",
    "Model": "类型",
    "Trained on": "训练文本",
    "Time": "用时",
    "Parameters": "参数量",
    "On disk": "磁盘占用",
    "Peak memory": "峰值内存",
    "Tokens/s": "词元/秒",
    "Held-out loss": "留出集损失",
    "of {part} of the text": "基于 {part} 的留出文本",
    "no objective": "无训练目标",
    "{n} words": "{n} 词",
    "Loss: nats per predicted token of held-out text; in brackets the loss of predicting from word frequency "
    "alone. It compares only between runs of the same vocabulary that predict the same thing (a masked token, "
    "the next one, a neighbour); the figures below compare between all.": (
        "损失：留出文本上每个被预测词元的奈特数；括号内为只按词频预测的损失。只有词表相同、预测对象相同"
        "（被遮盖的词元、下一个词元、邻近的词）的模型之间才能比较损失；下表的数值在所有模型之间可比。"
    ),
    "In percent, with 95 % intervals below; in bold what surely is the best of a column and above chance.": (
        "单位为百分之一，下方小字为 95% 区间；粗体为该列中确实最佳且高于随机水平者。"
    ),
    "* surely below the best: p < 0.05 in a paired bootstrap over the same test examples and the seeds, with Holm's "
    "correction over the runs of a column. Intervals that overlap may differ all the same: most of an interval "
    "is the luck of the examples, which all runs share.": (
        "* 表示显著低于最佳：在相同测试样例与随机种子上做配对自助法检验，p < 0.05，并对该列各模型作 Holm 校正。"
        "区间重叠也可能有显著差异：区间大多来自样例的偶然性，而各模型共用同样的样例。"
    ),
    "{d} from the best, p = {p}": "与最佳相差 {d}，p = {p}",
    # curves
    "How they learned": "训练过程",
    "minutes of training": "训练分钟数",
    "tokens seen in training": "训练所见词元数",
    "held-out loss, nats per predicted token": "留出集损失（奈特/被预测词元）",
    "nats below the frequency baseline": "低于词频基线的奈特数",
    "bits per character of held-out text": "留出文本每字符比特数",
    "Each curve is in the unit of its own model: what is predicted, and from how many words, differs. Runs with "
    "the same vocabulary and objective compare directly; below the frequency baseline, others do roughly.": (
        "每条曲线用各模型自己的单位：预测的对象和词表大小各不相同。词表与训练目标相同的模型可直接比较；"
        "其余模型可大致比较其低于词频基线的程度。"
    ),
    "Held-out loss over minutes of training.": "留出集损失随训练分钟数的变化。",
    "Lines of held-out loss over minutes, one a run": "各模型留出集损失随分钟数变化的折线",
    "The same over tokens; the axis is logarithmic.": "同上，横轴为词元数（对数刻度）。",
    "Lines of held-out loss over tokens, one a run": "各模型留出集损失随词元数变化的折线",
    "What was learned beyond word frequency: the baseline's loss less the run's. Higher is better.": (
        "在词频之外学到了多少：基线损失减去模型损失，越高越好。"
    ),
    "Lines of the loss below the frequency baseline over minutes, one a run": (
        "各模型低于词频基线的损失随分钟数变化的折线"
    ),
    "Models that predict the next token, in bits per character: comparable whatever the vocabulary, where the "
    "held-out text is the same.": "预测下一个词元的模型，按每字符比特数计：只要留出文本相同，不同词表也可比较。",
    "Lines of bits per character over minutes, one a run": "各模型每字符比特数随分钟数变化的折线",
    "No losses were recorded for: {names}.": "没有损失记录：{names}。",
    # tasks
    "Tasks": "任务",
    "Way": "方式",
    "Seeds": "各种子",
    "Trained parameters": "训练的参数",
    "frozen, layers mixed": "冻结，各层加权",
    "trained as a whole": "整体训练",
    "random weights, frozen": "随机权重，冻结",
    "random weights, trained as a whole": "随机权重，整体训练",
    "Every run is adapted to every task with the same examples, once a seed ({seeds}), and judged on the same test "
    "examples. Figures are means over the seeds; intervals draw the seeds and the test examples again.": (
        "每个模型用同样的样例适配每个任务，每个随机种子（{seeds}）一次，并在同样的测试样例上评测。"
        "数值为各种子的平均；区间对种子和测试样例都重抽样。"
    ),
    "With fewer than three seeds the luck of a seed is hardly in the intervals: they are too narrow.": (
        "种子少于三个时，区间几乎不含种子的偶然性，因此偏窄。"
    ),
    "At most {learned} training examples; {n} test items. The difference is that of the best run; p after Holm's "
    "correction over the runs of a way; * p < 0.05.": (
        "训练样例至多 {learned} 个；测试项 {n} 个。差值为最佳模型减本行；"
        "p 已按同一方式内各模型作 Holm 校正；* 为 p < 0.05。"
    ),
    "{task}: {metric} with 95 % intervals; * surely below the best.": (
        "{task}：{metric} 与 95% 区间；* 为显著低于最佳。"
    ),
    "Which layers the tasks read": "各任务读取的层",
    "What share of each layer a task learned to read while the run stayed frozen (softmax of the scalar mix, "
    "mean over seeds).": "模型冻结时，任务学到的各层权重（标量加权的 softmax，各种子平均）。",
    "Not shown, since they have one layer, were not used frozen or are not above chance: {names}.": (
        "只有一层、未以冻结方式使用或不高于随机水平、因而未画出的：{names}。"
    ),
    "Heat maps of layer weights by task, one a run": "各模型按任务的层权重热图",
    # probes
    "Probes": "探针",
    "probe, micro-F1": "探针，微平均 F1",
    "Micro-F1": "微平均 F1",
    "micro-F1, %": "微平均 F1，%",
    "Layer 0 alone": "仅第 0 层",
    "Random encoder": "随机编码器",
    "Random labels": "随机标签",
    "Most frequent": "最常见标签",
    "Centre of gravity": "重心",
    "Expected layer": "期望层",
    "Divergence": "散度（奈特）",
    "surely lower": "显著更低",
    "layers 0 to …": "第 0 层至第 … 层",
    "A small classifier learns to read a property of words or pairs of words from the frozen layers. The centre of "
    "gravity is the mean layer that it reads; the expected layer is where adding layers helps.": (
        "用一个小分类器从冻结的各层中读取词或词对的性质。重心是它所读取的平均层；期望层是增加层数带来提升的位置。"
    ),
    "{train} targets to learn from, {test} to judge. Random encoder: the same model with random weights; random "
    "labels: what a probe learns by heart.": (
        "训练目标 {train} 个，评测目标 {test} 个。随机编码器：同一模型、随机权重；随机标签：探针靠死记能学到的程度。"
    ),
    "What share of each layer the probes read (mean over seeds); runs with one layer have no choice, and probes that "
    "are not above the most frequent label read nothing.": (
        "探针对各层的读取权重（各种子平均）；只有一层的模型没有选择；不高于最常见标签的探针什么也没有读到。"
    ),
    "Without any knowledge of the text: {value}.": "完全不看文本时：{value}。",
    "not above the most frequent label": "不高于最常见标签",
    "Heat maps of layer weights by probe, one a run": "各模型按探针的层权重热图",
    "Score with layers 0 to l: where the line rises, the layer adds what the probe looks for.": (
        "使用第 0 层至第 l 层的得分：折线上升处，该层增加了探针所需的信息。"
    ),
    # senses
    "Senses": "义项",
    "Senses of words": "词的义项",
    "nearest neighbour, best layer": "最近邻（最佳层）",
    "mean of the words": "各词平均",
    "Over the ceiling": "超过上限",
    "always the most frequent sense": "总选最常见义项",
    "Every use of a word gets the sense of the use nearest to it, those in the same text left out; the layer is "
    "chosen without the uses it is judged on. A model that does not look at the context has one vector for all "
    "uses: it cannot pass the share of the most frequent sense, the grey line.": (
        "每个用例取与其最近的用例（同一文本除外）的义项；选层时不使用被评测的用例。"
        "不看上下文的模型对所有用例只有一个向量，因此不可能超过最常见义项的占比，即灰线。"
    ),
    "The uses have no labels: they are clustered, and the number of groups is suggested.": (
        "用例没有标注：对其聚类，并给出建议的组数。"
    ),
    "The nearest neighbours' figure at the best layer, with 95 % intervals; grey: the static ceiling.": (
        "最佳层的最近邻指标与 95 % 区间；灰线为静态表示的上限。"
    ),
    "The same layer by layer, mean of the words.": "同上，逐层，各词平均。",
    "The nearest neighbours' figure by layer": "各层最近邻指标",
    "The nearest neighbours' accuracy at the best layer, percent, by word; balanced accuracy where one sense has more "
    "than 80 % of the uses. Intervals draw the uses again.": (
        "最佳层的最近邻准确率（百分比），按词；某一义项占用例的 80 % 以上时为均衡准确率。区间对用例重抽样。"
    ),
    "figure, %": "指标，%",
    "balanced accuracy, %": "均衡准确率，%",
    "nearest neighbour, balanced accuracy": "最近邻，均衡准确率",
    "Groups of uses that are suggested, last layer.": "建议的用例组数，最后一层。",
    "Maps of the uses": "用例图",
    "{word}: every use is a point, with its sentence on hover; a panel a run.": (
        "{word}：每点为一个用例，悬停显示句子；每个模型一幅。"
    ),
    # pairs
    "Minimal pairs": "最小对立体",
    "all: mean over paradigms": "总体：各范式的平均",
    "Two texts differ in one thing: in how many pairs is the good one more probable to the run? A tie counts one "
    "half; chance is 50. Decoders give log-likelihoods, masked models pseudo-log-likelihoods (within words from "
    "left to right), ELMo the sum of both directions.": (
        "两个文本只有一处不同：模型在多少对中认为好的文本概率更高？相等计半分，随机水平为 50。"
        "解码器给出对数似然，遮盖模型给出伪对数似然（词内从左到右），ELMo 为两个方向之和。"
    ),
    "Two texts differ in one thing: in how many pairs is the good one more probable to the run? A tie counts one "
    "half; chance is 50. Decoders give log-likelihoods, masked models pseudo-log-likelihoods, ELMo the sum of both "
    "directions.": (
        "两个文本只有一处不同：模型在多少对中认为好的文本概率更高？相等计半分，随机水平为 50。"
        "解码器给出对数似然，遮盖模型给出伪对数似然，ELMo 为两个方向之和。"
    ),
    "Accuracy by phenomenon with 95 % intervals; grey: chance.": (
        "各语言现象的准确率与 95% 区间；灰线为随机水平。"
    ),
    "{n} pairs; intervals draw the pairs of each paradigm again. The difference from the best is tested on the same "
    "pairs; p is the larger one of bootstrap and randomisation, after Holm's correction; * p < 0.05.": (
        "{n} 个句对；区间在各范式内对句对重抽样。与最佳的差异在相同句对上检验；"
        "p 取自助法与随机化检验中较大者，并作 Holm 校正；* 为 p < 0.05。"
    ),
    # costs
    "Costs": "代价",
    "Pretraining": "预训练",
    "Tokens seen": "所见词元",
    "Adapting": "适配",
    "Probing": "探针",
    "Pairs": "句对",
    "Time of pretraining and its peak memory are those of the run's own machine. Adapting is all tasks, ways and "
    "seeds together, on {threads} thread(s); what was kept from an earlier call counts with the time it took then.": (
        "预训练的用时与峰值内存来自训练该模型的机器。适配为全部任务、方式与种子之和，使用 {threads} 个线程；"
        "此前保留的结果按当时的用时计算。"
    ),
    # reproduce
    "How to get the same figures": "如何复现",
    "This page, from the runs as they are; what is kept is not computed again:": (
        "由现有模型生成本页；已保留的结果不再计算："
    ),
    "The file that says what is compared ({file}):": "说明比较内容的文件（{file}）：",
    "The runs, from their texts; settings that are not the model's own recipe's stand as --set:": (
        "由文本训练各模型；与该模型自带配方不同的设置写作 --set："
    ),
    "How these were made is not known: {names}.": "以下模型的来历未知：{names}。",
    "One adaptation by itself, then `polyseme evaluate` on its test file (once with each of the seeds {seeds}; "
    "this page takes at most {dev} dev and {test} test examples, always the same ones):": (
        "单独做一次适配，然后对其测试文件运行 `polyseme evaluate`（种子 {seeds} 各一次；"
        "本页至多取 {dev} 个开发样例和 {test} 个测试样例，且总是相同的）："
    ),
    "The other studies by themselves:": "单独做其他各项：",
    "Versions and machine": "版本与机器",
    "What": "项目",
    "Value": "数值",
    "System": "系统",
    "Processor": "处理器",
    "Cores": "核数",
    "Memory": "内存",
    "The runs were made with": "训练各模型所用版本",
}
