"""The transformer for scikit-learn: its own checks, pipelines, searches, and real labelled text."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

import polyseme
import polyseme.sklearn as door
from polyseme import Budget, PretrainRequest, pretrain
from polyseme.errors import ConfigError, InputError, RunError
from polyseme.sklearn import EXPECTED_FAILED_CHECKS, Embedder, TextError
from trained import WORDS, make_run

TEXTS = ["the cat sees", "", "a dog likes the river", "北京"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def onehot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("onehot"), "onehot", 50)


class Rows(Embedder):
    """The same transformer for checks that know only numbers: a row becomes a text, a number a word."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = False
        return tags

    def _texts(self, X: Any, reset: bool) -> list[str]:
        X = door.validate_data(self, X, reset=reset, dtype="numeric")
        words = np.array(WORDS)
        return [" ".join(words[np.abs(row * 7).astype(int) % len(words)]) for row in np.asarray(X, float)]


def results_of(estimator: Embedder, expected: dict[str, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"passed": set(), "xfail": set(), "failed": set(), "skipped": set()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        for result in estimator_checks.check_estimator(
            estimator, expected_failed_checks=expected, on_fail=None, on_skip=None
        ):
            found[result["status"]].add(result["check_name"])
    return found


def test_sklearn_s_checks_fail_exactly_where_text_is_not_what_they_bring(bert: Path) -> None:
    found = results_of(Embedder(bert), EXPECTED_FAILED_CHECKS)
    assert found["failed"] == set()
    assert found["xfail"] == set(EXPECTED_FAILED_CHECKS)
    assert {
        "check_estimator_cloneable",
        "check_fit1d",
        "check_get_params_invariance",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    } <= found["passed"]


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_with_numbers_written_as_words_sklearn_s_checks_pass(onehot: Path, pool: Any) -> None:
    found = results_of(Rows(onehot, pool=pool), {})
    assert found["failed"] == set()
    assert set(EXPECTED_FAILED_CHECKS) - found["skipped"] <= found["passed"]


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")  # a check hands over both
@pytest.mark.parametrize(
    "check",
    [
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
        "check_dataframe_column_names_consistency",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_global_output_transform_pandas",
    ],
)
def test_names_and_tables_are_as_sklearn_wants_them(onehot: Path, check: str) -> None:
    getattr(estimator_checks, check)("Rows", Rows(onehot))


@pytest.mark.parametrize(
    "given",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, object)[:, None],
        [[text] for text in TEXTS],
        pd.Series(TEXTS),
        pd.DataFrame({"text": TEXTS}),
    ],
    ids=["list", "tuple", "array", "column", "rows", "series", "table"],
)
def test_a_column_of_texts_in_any_form(bert: Path, given: Any) -> None:
    embedder = Embedder(bert)
    found = embedder.fit(given).transform(given)
    np.testing.assert_allclose(found, polyseme.load(bert).embed(TEXTS), atol=1e-6)
    assert found.dtype == np.float32
    assert embedder.n_features_in_ == 1
    assert list(embedder.get_feature_names_out()) == [f"embedder{i}" for i in range(16)]
    np.testing.assert_array_equal(Embedder(bert).transform(given), found)  # fitting learns nothing
    check_is_fitted(Embedder(bert))


@pytest.mark.parametrize(
    "given",
    [
        "a text",
        [],
        np.zeros((0, 1)),
        [b"bytes"],
        ["a", None],
        [1, 2],
        np.zeros((3, 1)),
        np.array([["a", "b"]]),
        pd.DataFrame({"text": ["a"], "label": ["b"]}),
        pd.Series(["a", None]),
        [["a", "b"]],
        [["a"], "b"],
        {"text": ["a"]},
        None,
        scipy.sparse.eye(3, 1, format="csr"),
    ],
    ids=str,
)
def test_what_is_no_column_of_texts_is_refused(bert: Path, given: Any) -> None:
    for method in (Embedder(bert).fit, Embedder(bert).transform):
        with pytest.raises(InputError) as caught:
            method(given)
        assert isinstance(caught.value, ValueError)
        assert caught.value.got is not None or caught.value.expected is not None


def test_the_name_of_a_column_is_remembered(bert: Path) -> None:
    embedder = Embedder(bert).fit(pd.DataFrame({"text": TEXTS}))
    assert embedder.feature_names_in_.tolist() == ["text"]
    embedder.transform(TEXTS)  # a list has no name
    with pytest.raises(ValueError, match="feature names should match"):
        embedder.transform(pd.DataFrame({"title": TEXTS}))
    assert not hasattr(embedder.fit(TEXTS), "feature_names_in_")


def test_parameters_are_those_of_embed(bert: Path) -> None:
    model = polyseme.load(bert)
    for pool in (None, "mean", "max", "cls"):
        for layer in (None, 0, -1, "mix"):
            found = Embedder(bert, pool=pool, layer=layer).fit_transform(TEXTS)  # type: ignore[arg-type]
            np.testing.assert_allclose(found, model.embed(TEXTS, pool, layer), atol=1e-6)  # type: ignore[call-overload]
    unit = Embedder(bert, normalize=True).fit_transform(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), [1, 0, 1, 1], atol=1e-5)
    other = clone(Embedder(bert, layer=1, pool="max"))
    assert other.get_params() == {
        "path": bert, "layer": 1, "pool": "max", "normalize": None, "precision": "float32", "sparse_output": False,
    }  # fmt: skip
    assert other.set_params(layer="mix").layer == "mix"


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("pool", ["mean", "max"])
def test_sparse_vectors_are_the_dense_ones(onehot: Path, pool: Any, normalize: bool) -> None:
    dense = Embedder(onehot, pool=pool, normalize=normalize).fit_transform(TEXTS)
    sparse = Embedder(onehot, pool=pool, normalize=normalize, sparse_output=True).fit_transform(TEXTS)
    assert sparse.format == "csr"
    assert sparse.dtype == dense.dtype == np.float32
    np.testing.assert_allclose(sparse.toarray(), dense, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"layer": 7}, "no such layer"),
        ({"layer": "last"}, "no such layer"),
        ({"pool": "words"}, "no such pool"),
        ({"pool": "median"}, "no such pool"),
        ({"sparse_output": True}, "only sparse vectors"),
        ({"precision": "float64"}, "no such precision"),
        ({"normalize": "l2"}, "no such normalize"),
        ({"sparse_output": 1}, "no such sparse_output"),
    ],
    ids=str,
)
def test_parameters_are_checked_when_fitting(bert: Path, changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        Embedder(bert, **changes).fit(TEXTS)


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run"):
        Embedder(tmp_path).fit(TEXTS)
    with pytest.raises(InputError, match="path of a run"):
        Embedder(None).fit(TEXTS)  # type: ignore[arg-type]


def test_it_is_pickled_by_its_path(bert: Path) -> None:
    embedder = Embedder(bert, layer=1).fit(TEXTS)
    data = pickle.dumps(embedder)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).transform(TEXTS), embedder.transform(TEXTS))


def test_a_run_is_loaded_once_and_again_when_it_changes(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = door.load
    monkeypatch.setattr(door, "load", lambda path: (loads.append(path), load(path))[1])
    door._loaded.cache_clear()
    for layer in (0, 1, -1):
        Embedder(bert, layer=layer).fit_transform(TEXTS)
    assert len(loads) == 1
    meta = bert / "run.json"
    meta.write_bytes(meta.read_bytes())
    Embedder(str(bert)).fit_transform(TEXTS)
    assert len(loads) == 2


def test_in_a_pipeline_and_in_a_search_over_layer_and_pool(bert: Path) -> None:
    texts = [f"{a} {b} {c}" for a in WORDS for b in WORDS[:4] for c in ("cat", "dog")]
    labels = ["cat" in text for text in texts]
    search = GridSearchCV(
        make_pipeline(Embedder(bert), LogisticRegression(max_iter=200)),
        {"embedder__layer": [0, -1, "mix"], "embedder__pool": ["mean", "max"]},
        cv=2,
        error_score="raise",
    ).fit(texts, labels)
    assert search.best_score_ > 0.9
    assert len(search.cv_results_["params"]) == 6
    assert search.predict(["the old cat", "the old dog"]).tolist() == [True, False]


def test_beside_other_columns_and_as_a_table(onehot: Path) -> None:
    table = pd.DataFrame({"text": TEXTS, "length": [1.0, 2.0, 3.0, 4.0]})
    both = ColumnTransformer([("text", Embedder(onehot), "text"), ("rest", "passthrough", ["length"])])
    width = polyseme.load(onehot).encoder.config.hidden_size
    assert both.fit_transform(table).shape == (4, width + 1)
    framed = (
        Embedder(onehot).set_output(transform="pandas").fit_transform(pd.Series(TEXTS, index=[3, 1, 4, 2]))
    )
    assert framed.columns[0] == "embedder0"
    assert framed.index.tolist() == [3, 1, 4, 2]


def test_words_and_a_linear_classifier_on_real_sentences(any_data: Path, tmp_path: Path) -> None:
    """SST-2: the bag of words of 1-of-N vectors is a strong baseline; the majority has 50.9 %."""

    def read(name: str) -> tuple[list[str], list[int]]:
        lines = (any_data / "tasks" / "sst2" / name).read_text("utf-8").splitlines()
        return [line.rsplit("\t", 1)[0] for line in lines], [int(line.rsplit("\t", 1)[1]) for line in lines]

    (texts, labels), (dev_texts, dev_labels) = read("train.tsv"), read("dev.tsv")
    (tmp_path / "sentences.txt").write_text("\n".join(texts), "utf-8")
    run = pretrain(
        PretrainRequest(
            model="onehot", corpus=[str(tmp_path / "sentences.txt")], output=tmp_path / "run",
            budget=Budget(epochs=1), settings={"text.sentences": "line"},
        )
    )  # fmt: skip
    model = make_pipeline(
        Embedder(run.path, normalize=True, sparse_output=True), LogisticRegression(C=3.0, max_iter=200)
    )
    assert model.fit(texts, labels).score(dev_texts, dev_labels) > 0.77


def test_what_can_be_read_only_once_is_refused_when_fitting(bert: Path) -> None:
    with pytest.raises(TextError, match="only once"):
        Embedder(bert).fit_transform(iter(["a", "b"]))
    assert Embedder(bert).transform(iter(["a", "b"])).shape[0] == 2
