"""One self-contained HTML page: text, tables and charts that open anywhere and ask nothing of a network.

The parts are those of report/parts.py; report/terminal.py shows the same ones as text, and `Page.document` gives them
as JSON to whoever draws them elsewhere.

The drawing library stands in the page once, however many charts there are, and a content security policy forbids every
request. Wide tables and charts scroll inside their own frame, so a page reads on a telephone. The same charts are
written as .svg and .png beside it where a person wants pictures.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from polyseme.core.files import make_folder, write_atomic
from polyseme.core.version import __version__
from polyseme.report import terminal
from polyseme.report.charts import theme
from polyseme.report.figures import width
from polyseme.report.parts import (
    Commands,
    Figure,
    Heading,
    Notes,
    Part,
    Strip,
    Table,
    View,
    figures_of,
    shown,
)
from polyseme.text.clean import replace_surrogates

__all__ = ["Page"]


@dataclass(frozen=True)
class Page:
    """A title and parts, shown as a page and as text.

    Args:
        title: the heading and the name of the tab; "" for none.
        lead: a paragraph below it; "" for none.
        parts: in order; with more than three sections there is a table of contents.
        lang: "en" or "zh", the language of the page's own words.

    Example:
        Page("Senses", "What it knows.", [Heading("Layers"), Figure("layers", chart)]).write(Path("senses.html"))
    """

    title: str
    lead: str
    parts: Sequence[Part]
    lang: str = "en"

    @property
    def figures(self) -> list[Figure]:
        """All charts, in order."""
        return list(figures_of(self.parts))

    def text(self, columns: int | None = None) -> str:
        """Lead and parts for a terminal.

        Args:
            columns: of the terminal; None = those that it has, 80 where there is none.
        """
        return terminal.text([self.lead, *self.parts], columns)

    def html(self) -> str:
        """The page as one document; U+FFFD stands for what is no character, as in a path of other bytes."""
        parts = list(shown(self.parts, page=True))
        title = self.title or next((figure.name for figure in self.figures), "")
        titles = [part.text for part in parts if isinstance(part, Heading) and part.level == 2]
        whole = _PAGE.format(
            lang=self.lang,
            title=_escaped(title),
            heading=f"<h1>{_escaped(self.title)}</h1>" if self.title else "",
            policy=_POLICY,
            style=_STYLE,
            library=f"<script>{_library()}</script>\n<script>{_drawing()}</script>" if self.figures else "",
            lead=f'<p class="lead">{_escaped(self.lead)}</p>' if self.lead else "",
            contents=_contents(titles),
            body="\n".join(_body(parts)),
            foot=f"polyseme {__version__}",
        )
        return replace_surrogates(whole)

    def document(self) -> dict[str, Any]:
        """The page as JSON, for a reader that draws it: {"title", "lead", "lang", "blocks"}.

        A block has a "kind", and what it shows is what the page shows:

            heading   level, text
            text      text
            table     head, rows, left (columns of words), caption, strong and hints by [row, column], keys
            chart     name, spec (Vega-Lite, without colours of paper and ink: `charts.theme`), caption, describes,
                      elastic, chinese
            commands  lines
            notes     lines, each [about or "", remark]

        A view, which is HTML of this page alone, is the charts that stand for it.
        """
        blocks = [block for part in shown(self.parts, page=True) for block in _blocks(part)]
        page = {"title": self.title, "lead": self.lead, "lang": self.lang, "blocks": blocks}
        document: dict[str, Any] = json.loads(replace_surrogates(json.dumps(page, ensure_ascii=False)))
        return document

    def write(self, path: Path) -> Path:
        """Write the page into a file.

        Raises:  StorageError: it cannot be written.
        """
        make_folder(path.parent)
        write_atomic(path, self.html().encode("utf-8", "backslashreplace"))
        return path


def _blocks(part: Part) -> Iterator[dict[str, Any]]:
    """A part as blocks of JSON: one, or for a view its charts; an empty part is none."""
    if isinstance(part, str):
        yield from [{"kind": "text", "text": part}] if part else []
    elif isinstance(part, Heading):
        yield {"kind": "heading", "level": part.level, "text": part.text}
    elif isinstance(part, Table):
        yield {
            "kind": "table",
            "head": list(part.head),
            "rows": [list(row) for row in part.rows],
            "left": list(part.left),
            "caption": part.caption,
            "strong": [list(cell) for cell in sorted(part.strong)],
            "hints": [[*cell, hint] for cell, hint in sorted(part.hints.items())],
            "keys": part.keys,
        }
    elif isinstance(part, Figure):
        yield {
            "kind": "chart",
            "name": part.name,
            "spec": dict(part.chart.spec),
            "caption": part.caption,
            "describes": part.describes,
            "elastic": part.chart.elastic,
            "chinese": part.chart.chinese,
        }
    elif isinstance(part, View):
        for picture in part.pictures:
            yield from _blocks(picture)
    elif isinstance(part, Commands):
        yield {"kind": "commands", "lines": list(part.lines)}
    elif isinstance(part, Notes) and part.lines:
        lines = [["", line] if isinstance(line, str) else list(line) for line in part.lines]
        yield {"kind": "notes", "lines": lines}


def _contents(titles: Sequence[str]) -> str:
    if len(titles) <= 3:
        return ""
    links = "".join(f'<li><a href="#s{n}">{_escaped(title)}</a></li>' for n, title in enumerate(titles, 1))
    return f"<nav><ul>{links}</ul></nav>"


def _body(parts: Sequence[Part]) -> Iterator[str]:
    """The parts as sections: each heading of level 2 begins one."""
    number = 0
    yield '<section id="s0">'
    for place, part in enumerate(parts, 1):
        if isinstance(part, Heading) and part.level == 2:
            number += 1
            yield f'</section>\n<section id="s{number}">'
        yield from _part(f"f{place}", part)
    yield "</section>"


def _part(name: str, part: Part) -> Iterator[str]:
    if isinstance(part, str):
        yield f"<p>{_escaped(part)}</p>" if part else ""
    elif isinstance(part, Heading):
        yield f"<h{part.level}>{_escaped(part.text)}</h{part.level}>"
    elif isinstance(part, Table):
        yield "".join(_table(part))
    elif isinstance(part, Strip):
        yield "".join(_strip(part))
    elif isinstance(part, Figure):
        yield _figure(name, part)
    elif isinstance(part, View):
        yield part.html
    elif isinstance(part, Commands):
        yield f"<pre><code>{_escaped(chr(10).join(part.lines))}</code></pre>"
    elif isinstance(part, Notes):
        yield f'<ul class="notes">{"".join(map(_note, part.lines))}</ul>' if part.lines else ""


def _strip(strip: Strip) -> Iterator[str]:
    yield '<div class="strip">'
    for piece, figure, shade in strip.pieces:
        heat = f"background:rgba(213,94,0,{0.75 * min(1.0, max(0.0, shade)):.2f})"
        yield f'<span style="{heat}"><b>{_escaped(piece.strip() or "␣")}</b><small>{_escaped(figure)}</small></span>'
    yield f'</div><div class="caption">{_escaped(strip.caption)}</div>' if strip.caption else "</div>"


def _note(note: str | tuple[str, str]) -> str:
    about, said = ("", note) if isinstance(note, str) else note
    return f"<li>{f'<b>{_escaped(about)}</b> ' if about else ''}{_escaped(said)}</li>"


def _figure(name: str, figure: Figure) -> str:
    label = _escaped(figure.describes or figure.caption or figure.name)
    caption = f"<figcaption>{_escaped(figure.caption)}</figcaption>" if figure.caption else ""
    spec = dict(figure.chart.spec) | ({"width": "container"} if figure.chart.elastic else {})
    kind = ' class="elastic"' if figure.chart.elastic else ""
    written = _in_script(json.dumps(spec, ensure_ascii=False))
    return (
        f'<figure{kind}><div class="wide" tabindex="0" role="img" aria-label="{label}"><div id="{name}"></div></div>'
        f'{caption}</figure>\n<script>draw("{name}",{written},{int(figure.chart.chinese)});</script>'
    )


def _table(table: Table) -> Iterator[str]:
    left = set(table.left)
    side = ["" if column in left else ' class="n"' for column in range(len(table.head))]
    yield '<div class="table"><div class="wide" tabindex="0"><table>'
    if any(table.head):
        heads = (
            f'<th scope="col"{where}>{_lines(text)}</th>'
            for where, text in zip(side, table.head, strict=True)
        )
        yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    yield "<tbody>"
    for row, cells in enumerate(table.rows):
        yield "<tr>"
        for column, text in enumerate(cells):
            hint = table.hints.get((row, column))
            title = f' title="{_escaped(hint)}"' if hint else ""
            kind = side[column]
            if column in left:
                kind = ' class="long"' if width(text) > _LONG else ""
            else:  # a figure's interval stands below it
                text = re.sub(r" (?=\([^()]*\)$)", "\n", text)
            yield f"<td{kind}{title}>{_lines(text, (row, column) in table.strong)}</td>"
        yield "</tr>"
    yield "</tbody></table></div>"
    yield f'<p class="caption">{_escaped(table.caption)}</p></div>' if table.caption else "</div>"


_LONG = 36
"""Columns of a terminal beyond which a cell of words is wrapped."""


def _lines(text: str, strong: bool = False) -> str:
    """A cell's first line, and what stands below it in small print."""
    first, *below = _escaped(text).split("\n")
    first = f"<b>{first}</b>" if strong else first
    return first + "".join(f"<br><small>{line}</small>" for line in below)


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)


def _in_script(text: str) -> str:
    """JSON that may stand inside a script element: nothing in it ends the element."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _library() -> str:
    """The drawing library (vega, vega-lite, vega-embed), which puts vegaEmbed into the page."""
    import vl_convert

    library: Any = vl_convert  # its types demand what the function does not
    return re.sub(r"</(script)", r"<\\/\1", library.javascript_bundle(), flags=re.IGNORECASE)


def _drawing() -> str:
    """The script that draws a chart in the colours that the reader prefers, and again where that changes."""
    themes = [
        [{**theme(dark, chinese), "background": None} for dark in (False, True)] for chinese in (False, True)
    ]
    return f"const THEMES = {json.dumps(themes, ensure_ascii=False)};{_DRAW}"


_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'unsafe-inline'",  # and no 'unsafe-eval': the drawing library interprets its expressions
        "style-src 'unsafe-inline'",
        "img-src data:",
    ]
)

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--soft:#59636e;--line:#d8dee4;--paper:#fff;--shade:#f6f8fa;--link:#0550ae;
--edge:rgba(31,35,40,.28);--bar:#afb8c1}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--paper:#0d1117;--shade:#151b23;
--link:#58a6ff;--edge:rgba(230,237,243,.3);--bar:#59636e}}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:var(--paper);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:1280px;margin:0 auto;padding:24px 20px 64px}
section{display:flex;flex-wrap:wrap;align-items:flex-start;column-gap:32px}
section>*{flex:1 0 100%;min-width:0;max-width:100%}
h1{font-size:1.9rem;line-height:1.2;margin:.4em 0 .3em}
h2{font-size:1.3rem;margin:2.2em 0 .6em;padding-bottom:.25em;border-bottom:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.6em 0 .4em}
p,.notes{margin:.6em 0;padding-right:max(0px,100% - 46em);overflow-wrap:anywhere}
.lead{font-size:1.1rem;color:var(--soft)}
.caption,figcaption{color:var(--soft);font-size:.9rem;padding:0;margin:.5em 0 1.2em}
.table,figure{flex:0 1 auto;min-width:min(100%,400px);margin:.6em 0}
.elastic{flex:1 1 480px}
.caption,figcaption{width:0;min-width:min(100%,52em)}
/* what scrolls has a shadow at each side where there is more */
.wide{overflow-x:auto;max-width:100%;background:
linear-gradient(to right,var(--paper) 40%,transparent) 0 0/48px 100% no-repeat local,
linear-gradient(to left,var(--paper) 40%,transparent) 100% 0/48px 100% no-repeat local,
linear-gradient(to right,var(--edge),transparent) 0 0/16px 100% no-repeat scroll,
linear-gradient(to left,var(--edge),transparent) 100% 0/16px 100% no-repeat scroll}
.wide::-webkit-scrollbar{height:9px}
.wide::-webkit-scrollbar-thumb{background:var(--bar);border-radius:5px}
.elastic .wide>div{display:block;width:100%;min-width:440px}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
td{white-space:nowrap}
th{word-break:keep-all;font-weight:600;vertical-align:bottom;border-bottom:2px solid var(--line)}
.long{white-space:normal;min-width:16em}
td:first-child,th:first-child{position:sticky;left:0;background:var(--paper)}
.n{text-align:right}
small{font-size:.82em;color:var(--soft);font-weight:400}
td[title]{cursor:help;text-decoration:underline dotted var(--line);text-underline-offset:3px}
.strip{display:flex;flex-wrap:wrap;gap:2px;margin:.6em 0}
.strip span{padding:1px 4px;border-radius:3px;text-align:center}
.strip b{display:block;font-weight:400}
.strip small{color:inherit}
.notes b::after{content:":"}
.notes b:lang(zh)::after{content:"："}
.notes{color:var(--soft);font-size:.9rem;padding-left:1.2em;margin-bottom:1.2em}
pre{background:var(--shade);border:1px solid var(--line);border-radius:6px;padding:12px;overflow-x:auto;
font-size:.85rem}
nav ul{list-style:none;padding:0;margin:1em 0;display:flex;flex-wrap:wrap;gap:6px 18px}
a{color:var(--link)}
footer{margin-top:48px;color:var(--soft);font-size:.85rem}
@media (max-width:600px){main{padding:14px 12px 48px}h1{font-size:1.5rem}th,td{padding:4px 8px}
td:first-child{white-space:normal;max-width:38vw;overflow-wrap:break-word;min-width:min(7em,28vw)}}
"""

_DRAW = """
const dark = matchMedia("(prefers-color-scheme: dark)");
function draw(name, spec, chinese) {
  const options = {mode: "vega-lite", actions: false, renderer: "svg", ast: true};
  const again = () => vegaEmbed("#" + name, spec, {...options, config: THEMES[chinese][Number(dark.matches)],
    tooltip: {theme: dark.matches ? "dark" : "light"}});
  dark.addEventListener("change", again);
  addEventListener("DOMContentLoaded", again);  // when what stands beside the chart has taken its room
}
"""

_PAGE = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
{library}
</head>
<body>
<main>
{heading}
{lead}
{contents}
{body}
<footer>{foot}</footer>
</main>
</body>
</html>
"""
