"""The page's files: where they are, for whom, and how a browser keeps them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asked import Server
from polyseme.serve.files import PageFiles


@pytest.fixture
def page() -> Server:
    return Server({"a": Path("a")})


def test_the_page_and_what_it_names_are_there(page: Server) -> None:
    reply = page.get("/")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="(/static/[^"]+)"', reply.body.decode())
    assert len(named) >= 3
    for path in named:
        assert page.get(path).status == 200
    assert b"<style" not in reply.body
    assert not re.search(rb"<script[^>]*>[^<]", reply.body)


def test_a_browser_asks_whether_it_is_still_the_same(page: Server) -> None:
    first = page.get("/static/main.js")
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    assert "script-src 'self'" in first.headers["content-security-policy"]
    again = page.get("/static/main.js", headers={"if-none-match": f'W/"old", {first.headers["etag"]}'})
    assert (again.status, again.body) == (304, b"")
    assert page.get("/static/main.js", headers={"if-none-match": '"old"'}).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/none.js",
        "/static/index.html",
        "/app.py",
    ],
)
def test_nothing_else_is(page: Server, path: str) -> None:
    assert page.get(path).status == 404


def test_a_token_is_not_needed_for_what_holds_nothing_of_anybody_s() -> None:
    server = Server({"a": Path("a")}, token="secret")
    assert server.get("/").status == 200
    assert server.get("/static/main.js").status == 200
    assert server.get("/api/server").status == 401
    assert server.get("/static/../api/server").status == 404
    assert server.post("/static/main.js", {}).status == 404


def test_without_a_page_there_is_nothing_at_the_root() -> None:
    server = Server({"a": Path("a")}, page=False)
    assert server.get("/").status == 405  # other programs' clients may post there
    assert server.get("/static/main.js").status == 404
    assert server.get("/health").status == 200


def test_only_files_that_a_page_has_are_served(tmp_path: Path) -> None:
    for name in ("index.html", "main.js", "notes.txt", ".hidden"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.js").mkdir()
    files = PageFiles(tmp_path)
    assert files.has("/")
    assert files.has("/static/main.js")
    assert not any(
        files.has(f"/static/{name}") for name in ("notes.txt", ".hidden", "index.html", "folder.js")
    )
    assert not PageFiles(tmp_path / "none").has("/")
