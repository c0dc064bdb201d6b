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
        references = []
        for body in route.bodies or ((route.body,) if route.body is not None else ()):
            schema = body.model_json_schema(ref_template=_REF)
            schemas |= schema.pop("$defs", {})
            more: dict[str, Any] = {}
            if route.several:
                names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
                more["runs"] = {**names, "description": "several runs: a line of JSON each, as they are done"}
            if route.protocol == "ours":
                more["lang"] = {"enum": ["en", "zh"], "description": "of the notes"}
            schema["properties"] = {
                route.named: {"type": "string", "description": "the run; the first one when absent"},
                **more,
                **schema.get("properties", {}),
            }
            schemas[body.__name__] = schema
            references.append({"$ref": _REF.format(model=body.__name__)})
            about.setdefault("summary", (body.__doc__ or "").strip().partition("\n")[0])
        if references:
            posted = references[0] if len(references) == 1 else {"anyOf": references}
            about["requestBody"] = {"required": True, "content": {"application/json": {"schema": posted}}}
        paths.setdefault(route.path, {})[route.method.lower()] = about
    return {
        "openapi": "3.1.0",
        "info": {"title": "polyseme", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas},
    }
