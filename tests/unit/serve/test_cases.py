"""Requests that schemathesis makes from openapi.json, right and wrong ones: each is answered, none by a failure.

POLYSEME_CASES=10000 pytest tests/unit/serve/test_cases.py     as many in all
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from asked import Server
from polyseme.serve.app import all_routes
from polyseme.serve.wire.schema import openapi

schemathesis = pytest.importorskip("schemathesis")
CASES = int(os.environ.get("POLYSEME_CASES", "300"))
DOCUMENT = openapi(all_routes())
OPERATIONS = [each.ok() for each in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
POSTED = [each for each in OPERATIONS if each.method == "post"]


@pytest.fixture(scope="module")
def bounded(runs: dict[str, Path]) -> Iterator[Server]:
    """A server that writes no long texts."""
    server = Server(runs, max_tokens=300)
    server.service.start()
    yield server
    server.service.stop(5.0)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_no_request_is_answered_by_a_failure(operation: Any, wrong: bool, bounded: Server) -> None:
    mode = schemathesis.GenerationMode.NEGATIVE if wrong else schemathesis.GenerationMode.POSITIVE
    if operation not in POSTED and (wrong or not operation.path_parameters):
        pytest.skip("nothing is given")
    share = max(1, CASES // (2 * len(POSTED)))

    @settings(
        max_examples=share,
        deadline=None,
        derandomize=CASES <= 300,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        body = case.body
        if type(body).__name__ == "NotSet":
            body = None
        elif not isinstance(body, bytes):
            body = json.dumps(body).encode()
        path = case.formatted_path + (
            f"?{urlencode(case.query)}" if isinstance(case.query, dict) and case.query else ""
        )
        reply = asyncio.run(bounded.ask(case.method.upper(), path, body))
        assert 200 <= reply.status < 500, (case.method, path, body, reply.body)
        assert reply.headers["x-content-type-options"] == "nosniff"

    try:
        ask()
    except Unsatisfiable:
        pytest.skip("nothing is wrong there")
