"""Spans and their figures against seqeval, where it is installed, on fresh random sequences."""

from __future__ import annotations

import random
import warnings

import pytest

from polyseme.tasks.metrics.spans import measures

seqeval = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
@pytest.mark.parametrize("strict", [False, True])
def test_figures(scheme: str, strict: bool) -> None:
    from seqeval.metrics import v1
    from seqeval.scheme import IOB2, IOBES

    rng = random.Random(11)
    tags = [
        "O",
        *(f"{letter}-{kind}" for letter in scheme.replace("O", "") for kind in ("PER", "LOC", "MISC")),
    ]
    gold = [rng.choices(tags, k=rng.randint(1, 12)) for _ in range(300)]
    said = [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence] for sentence in gold]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if strict:
            options = {"scheme": IOB2 if scheme == "BIO" else IOBES, "zero_division": 0}
            micro = v1.precision_recall_fscore_support(gold, said, average="micro", **options)[:3]
            macro = v1.precision_recall_fscore_support(gold, said, average="macro", **options)[2]
        else:
            score = seqeval.precision_score, seqeval.recall_score, seqeval.f1_score
            micro = [figure(gold, said) for figure in score]
            macro = seqeval.f1_score(gold, said, average="macro")
    found = measures(gold, said, scheme if strict else None)
    assert [found[name].value for name in ("precision", "recall", "f1")] == pytest.approx(list(micro))
    assert found["macro_f1"].value == pytest.approx(macro)
    assert found["token_accuracy"].value == pytest.approx(seqeval.accuracy_score(gold, said))
