"""A run as a scikit-learn transformer: texts in, vectors out, in any Pipeline or GridSearchCV.

    from polyseme.sklearn import Embedder
    model = make_pipeline(Embedder("runs/demo"), LogisticRegression())
    model.fit(texts, labels)

Needs the extra `sklearn`. A run is loaded once per process and shared by all transformers of its path, so a search
over layers and poolings, with a clone for each, reads the weights once; what is pickled is the path.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from polyseme.errors import ConfigError, InputError
from polyseme.infer import embed as embedding
from polyseme.infer.embed import sparse_vectors
from polyseme.infer.inputs import one_of, texts_of
from polyseme.infer.loaded import Loaded
from polyseme.infer.model import load
from polyseme.infer.pooling import OneVector, Pooling
from polyseme.kernels.packed import Precision

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import validate_data
except ImportError:
    raise ConfigError("scikit-learn is not installed", fix="pip install 'polyseme[sklearn]'") from None

__all__ = ["EXPECTED_FAILED_CHECKS", "Embedder", "TextError"]

RUNS_IN_MEMORY = 2
"""Runs that transformers keep loaded in a process."""

_NUMBERS = "the check's data are numbers, and only text has an embedding"

_CHECKS = (
    "check_complex_data",
    "check_dict_unchanged",
    "check_dont_overwrite_parameters",
    "check_dtype_object",
    "check_estimator_sparse_array",
    "check_estimators_dtypes",
    "check_estimators_empty_data_messages",
    "check_estimators_fit_returns_self",
    "check_estimators_nan_inf",
    "check_estimators_overwrite_params",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit2d_predict1d",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_fit_score_takes_y",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_pipeline_consistency",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
    "check_transformer_data_not_an_array",
    "check_transformer_general",
    "check_transformers_unfitted_stateless",
)

EXPECTED_FAILED_CHECKS: dict[str, str] = dict.fromkeys(_CHECKS, _NUMBERS)
"""Checks of sklearn.utils.estimator_checks.check_estimator that an `Embedder` cannot pass, and why."""


class TextError(InputError, ValueError):
    """Something that is not a column of texts; also a ValueError, as scikit-learn has it for wrong data."""


class Embedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # the library is untyped
    """Turns texts into a run's vectors.

    Fitting learns nothing; it opens the run and checks the parameters and the data. `transform` may come first.

    Args:
        path: the run directory.
        pool: how a text's tokens become one vector: mean, max, cls, last; None = the run's own way.
        layer: 0 is the embedding layer, -1 the last one, "mix" the mean of all; None = the last one.
        normalize: make every vector of length one; None = the run's own way, which is no unless it was imported so.
        precision: of the linear layers: float32, bfloat16 or int8.
        sparse_output: give a sparse matrix (CSR); for runs whose vectors are sparse, onehot and word-classes.
    Attributes:
        n_features_in_: 1, a column of texts.
        feature_names_in_: the column's name, where a table with one was fitted.
    Raises:  ConfigError: no such layer or precision, a pool that means nothing here, or vectors that are not sparse.
             TextError: data that are not texts.  RunError: there is no run.

    Example:
        Embedder("runs/demo", layer=1).fit_transform(["a text", "another"]).shape   # (2, hidden_size)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        pool: OneVector | None = None,
        layer: int | Literal["mix"] | None = None,
        normalize: bool | None = None,
        precision: Precision = "float32",
        sparse_output: bool = False,
    ) -> None:
        self.path = path
        self.pool = pool
        self.layer = layer
        self.normalize = normalize
        self.precision = precision
        self.sparse_output = sparse_output

    def fit(self, X: Any, y: Any = None) -> Self:
        """Open the run and check parameters and texts; nothing is learned.

        Args:
            X: N texts: a list, an array, a column of a table, or a table with one column.
            y: not used.
        """
        if isinstance(X, Iterator):
            raise TextError(
                "X can be read only once", got=type(X).__name__, expected="a list of texts", fix="list(X)"
            )
        self._texts(X, reset=True)
        self._embed([""])
        return self

    def transform(self, X: Any) -> Any:
        """Vectors of texts.

        Shapes:  N texts -> (N, hidden_size) float32; with sparse_output a scipy CSR matrix
        """
        return self._embed(self._texts(X, reset=False))

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = True  # of one column
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    @property
    def _n_features_out(self) -> int:
        loaded = _run(self.path)
        return Pooling.of(loaded, pool=self.pool).width(int(loaded.encoder.config.hidden_size))

    def _texts(self, X: Any, reset: bool) -> list[str]:
        """The texts of X; its number of columns and their name are remembered, or compared with those of `fit`."""
        texts = column(X)
        if reset or (_is_table(X) and hasattr(self, "n_features_in_")):  # a bare list has no name to compare
            table = X if hasattr(X, "columns") else np.array(texts, object)[:, None]
            validate_data(self, table, reset=reset, skip_check_array=True)
        return texts

    def _embed(self, texts: list[str]) -> Any:
        loaded = _run(self.path)
        one_of("pool", self.pool, (None, *get_args(OneVector)))
        one_of("precision", self.precision, get_args(Precision))
        one_of("normalize", self.normalize, (None, True, False))
        one_of("sparse_output", self.sparse_output, (True, False))
        pooling = Pooling.of(loaded, pool=self.pool, normalize=self.normalize)
        embedder = embedding.Embedder(loaded, pooling, self.layer, self.precision)
        if not self.sparse_output:
            return np.stack(embedder.vectors(texts))
        if not embedder.sparse:
            raise ConfigError(
                "only sparse vectors give a sparse matrix",
                got=loaded.recipe.architecture,
                expected="a run of onehot or word-classes",
                fix="sparse_output=False",
            )
        return sparse_vectors(loaded, texts, pooling)[0]


def column(X: Any) -> list[str]:
    """The texts of a list, an array, a column, or a table or array with one column.

    Raises:  TextError: there are none, they are not strings, or there are several columns.
    """
    if hasattr(X, "toarray"):
        raise TextError("a sparse matrix holds no text", got=type(X).__name__, expected="a column of texts")
    if _is_table(X):
        if X.shape[1] != 1:
            raise TextError(
                f"one column of texts is expected, and X has {X.shape[1]} features",
                got=f"{type(X).__name__} of shape {tuple(X.shape)}",
                fix="select a column: X['text'], or a ColumnTransformer",
            )
        X = (X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X))[:, 0]
    elif isinstance(X, list) and X and all(isinstance(row, list | tuple) and len(row) == 1 for row in X):
        X = [row[0] for row in X]
    try:
        texts, single = texts_of(X, "X")
    except InputError as error:
        raise TextError(error.what, got=error.got, expected="a column of texts", fix=error.fix) from None
    if single:
        raise TextError("X must be several texts", got="a string", fix="[text]")
    if not texts:
        raise TextError(
            "Found array with 0 sample(s) while a minimum of 1 is required", expected="at least 1 text"
        )
    return texts


def _is_table(X: Any) -> bool:
    return len(getattr(X, "shape", ())) == 2


def _run(path: Any) -> Loaded:
    """A run, loaded when it is new or has changed."""
    if not isinstance(path, str | os.PathLike):
        return load(path)  # which says what is wrong
    meta = Path(path, "run.json")
    return _loaded(os.path.realpath(path), meta.stat().st_mtime_ns if meta.is_file() else 0)


@functools.lru_cache(RUNS_IN_MEMORY)
def _loaded(path: str, changed: int) -> Loaded:
    return load(path)
