"""The protocol of reporters."""

from __future__ import annotations

import pytest

from polyseme.core.reporter import NullReporter, Reporter


def test_the_null_reporter_takes_everything_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = NullReporter()
    reporter.stage("reading", 1, None)
    reporter.log({"loss": 1.0})
    reporter.note("hello")
    reporter.close()
    reporter.close()
    assert capsys.readouterr() == ("", "")
    assert isinstance(reporter, Reporter)
