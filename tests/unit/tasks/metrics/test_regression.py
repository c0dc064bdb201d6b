from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as peer

from polyseme.errors import InputError
from polyseme.tasks.metrics.regression import LinearCorrelation, RankCorrelation, measures, spearman


@pytest.mark.parametrize("digits", [0, 1, 8])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1000.0, 0.01)])
def test_as_scipy_and_scikit_learn(digits: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(3, 1, 300).round(digits)
    y = (x + rng.normal(0, 1, 300)).round(digits) * scale + shift
    found = {name: figure.value for name, figure in measures(x, y).items()}
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(x, y).statistic, rel=1e-9)
    assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert found["spearman"] == pytest.approx(spearman(x[None], y[None])[0])
    assert found["mean_squared_error"] == pytest.approx(peer.mean_squared_error(x, y))
    assert found["mean_absolute_error"] == pytest.approx(peer.mean_absolute_error(x, y))


def test_constants_have_no_correlation() -> None:
    x = np.arange(7.0)
    for a, b in ((x, np.full(7, 0.1)), (np.full(7, 0.1), x)):
        assert np.isnan(LinearCorrelation("pearson", a, b).value)
        assert np.isnan(RankCorrelation("spearman", a, b).value)


def test_what_is_not_a_number_is_not_ranked() -> None:
    x = np.array([1.0, 2.0, np.nan])
    assert np.isnan(RankCorrelation("spearman", np.arange(3.0), x).value)
    assert np.isnan(LinearCorrelation("pearson", np.arange(3.0), x).value)


def test_lengths_must_fit() -> None:
    with pytest.raises(InputError, match="do not fit"):
        measures([1.0], [1.0, 2.0])
