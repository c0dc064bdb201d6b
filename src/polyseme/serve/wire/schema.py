"""openapi.json, from the routes themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polyseme.core.version import __version__
from polyseme.serve.calls import Route
from polyseme.serve.errors import TYPES

__all__ = ["openapi"]

_REF = "#/components/schemas/{model}"


def openapi(routes: Sequence[Route]) -> dict[str, Any]:
    """The document for other programs."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    problem = {"description": "an error: {error: {message, type, param, code, got, expected, fix}}"}
    for route in routes:
        parts = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
        about: dict[str, Any] = {
            "operationId": f"{route.method.lower()}{route.path.replace('/', '_').replace('{', '').replace('}', '')}",
            "responses": {
                "200": {"description": "the answer"},
                **{str(status): problem for status in TYPES if status != 500},
            },
        }
        if parts:
            about["parameters"] = [
                {"name": part, "in": "path", "required": True, "schema": {"type": "string"}} for part in parts
            ]
        if route.body is not None:
            schema = route.body.model_json_schema(ref_template=_REF)
            schemas |= schema.pop("$defs", {})
            schema["properties"] = {
                route.named: {"type": "string", "description": "the run; the first one when absent"},
                **schema.get("properties", {}),
            }
            schemas[route.body.__name__] = schema
            content = {"application/json": {"schema": {"$ref": _REF.format(model=route.body.__name__)}}}
            about["requestBody"] = {"required": True, "content": content}
            about["summary"] = (route.body.__doc__ or "").strip().partition("\n")[0]
        paths.setdefault(route.path, {})[route.method.lower()] = about
    return {
        "openapi": "3.1.0",
        "info": {"title": "polyseme", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas},
    }
