"""The head view of a page: a small matrix for every head, and the chosen head as lines between two columns of tokens.

The drawing is a script of this file alone, which stands in the page and asks for nothing. Its data hang on the element
as an attribute, escaped like any text, and it writes tokens as text nodes, so that no token becomes markup.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.report.charts import BLUE, GREY, VERMILION
from polyseme.report.language import Speaker

__all__ = ["COLOURS", "head_view", "label"]

COLOURS = (BLUE, VERMILION, GREY)
"""Of tokens of A, of B, and of separators."""

_BYTES = re.compile(r"\\x[0-9a-f]{2}")
_SPACES = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "↵"}


def label(token: Mapping[str, Any], texts: Sequence[str]) -> str:
    r"""A token as the picture writes it: without the space before it, and readable where it is a part of a character.

    Example:
        >>> [label({"token": t, "text": 0, "start": 0, "end": 1}, ["京"]) for t in (" the", " ", "\\xe4")]
        ['the', '␣', '京…']
    """
    shown = str(token["token"])
    if _BYTES.search(shown) and token["text"] is not None:
        shown = texts[token["text"]][token["start"] : token["end"]].strip() + "…"
    return shown.strip() or "".join(_SPACES.get(c, "␣") for c in shown) or "␣"


def head_view(
    document: Mapping[str, Any], figures: Sequence[Mapping[str, str]], say: Speaker, prefix: str = ""
) -> str:
    """The interactive view of the text that a document shows.

    Args:
        document: `Attention.document`, with a view.
        figures: for every head, in the document's order, what is said of it: names and values in words.
        say: speaks the page's language.
        prefix: tells several views of a page apart.
    """
    view = document["view"]
    payload = {
        "layers": document["layers"],
        "heads": document["heads"],
        "layer": document["chosen"]["layer"],
        "head": document["chosen"]["head"],
        "tokens": [label(token, view["texts"]) for token in view["tokens"]],
        "kinds": [2 if token["text"] is None else token["text"] for token in view["tokens"]],
        "edges": [_edges(head, len(view["tokens"])) for head in view["heads"]],
        "figures": [dict(one) for one in figures],
        "colours": list(COLOURS),
        "words": {
            "layer": say("Layer"),
            "head": say("Head"),
            "name": say("Layer {layer}, head {head}"),
            "from": say("looks …"),
            "to": say("… at"),
            "hide": say("hide shares below"),
        },
    }
    data = html.escape(json.dumps(payload, ensure_ascii=False, separators=(",", ":")), quote=True)
    name = html.escape(f"{prefix}heads", quote=True)
    help_text = html.escape(
        say(
            "Choose a head in the grid, by clicking or with the arrow keys; darker cells are larger shares. Below, "
            "every line leads from a token to one that it looks at: thicker and darker is more. Point at a token, or "
            "touch it, to see its own shares alone; touch it again, or press Escape, to see all."
        )
    )
    return (
        f"{_STYLE}<p>{help_text}</p>"
        f'<div class="heads" id="{name}" data-view="{data}"></div><noscript><p>'
        f"{html.escape(say('This view needs scripts; the pictures beside the page do not.'))}</p></noscript>{_SCRIPT}"
    )


def _edges(head: Mapping[str, Any], n: int) -> list[Any]:
    """For every token in turn: whom it looks at, and with how many ten thousandths of its attention."""
    found: list[list[int]] = [[] for _ in range(n)]
    for i, j, share in zip(head["from"], head["to"], head["share"], strict=True):
        found[i] += [j, round(share * 10_000)]
    return found


_STYLE = """<style>
.heads .grid{display:grid;gap:3px;margin:.6em 0;width:max-content;max-width:none}
.heads .grid span{font-size:12px;color:var(--soft,#59636e);text-align:center;align-self:center;min-width:1.4em}
.heads button{padding:0;border:1px solid var(--line,#d8dee4);background:#fff;cursor:pointer;line-height:0;
border-radius:3px;overflow:hidden}
.heads button canvas{width:100%;height:100%;image-rendering:pixelated}
.heads button[aria-pressed=true]{outline:3px solid #E69F00;outline-offset:-1px;border-color:#E69F00}
.heads button:focus-visible{box-shadow:0 0 0 4px #56B4E9}
.heads .bar{display:flex;flex-wrap:wrap;gap:4px 20px;align-items:center;margin:.8em 0 .2em}
.heads .bar b{font-size:1.05rem}
.heads .bar label{font-size:.9rem}
.heads .bar input{vertical-align:middle;width:130px;margin:0 6px}
.heads .say{font-size:.9rem;color:var(--soft,#59636e);max-width:none}
.heads .lines{overflow:auto;max-height:85vh;width:max-content;max-width:100%;
border:1px solid var(--line,#d8dee4);border-radius:6px}
.heads svg{display:block;font:14px system-ui,-apple-system,"Segoe UI","Noto Sans","PingFang SC","Microsoft YaHei",
"Noto Sans CJK SC",sans-serif}
.heads svg text{fill:var(--ink,#1f2328)}
.heads svg text.soft{fill:var(--soft,#59636e)}
.heads svg g.token{cursor:pointer;outline:none}
.heads svg g.token:focus-visible text{text-decoration:underline}
</style>"""

_SCRIPT = """<script>
(() => {
"use strict";
const template = document.createElement("template");
template.innerHTML = "<svg></svg>";
const NS = template.content.firstChild.namespaceURI;
const make = (name, attributes, parent, text) => {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
};
const html = (name, parent, attributes = {}, text) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
};
const start = root => {
  const d = JSON.parse(root.getAttribute("data-view"));
  root.removeAttribute("data-view");
  const n = d.tokens.length, row = 23;
  let chosen = (d.layer - 1) * d.heads + d.head - 1, pinned = null, hovered = null, least = 0.03, current = 0;
  const named = index =>
    d.words.name.replace("{layer}", Math.floor(index / d.heads) + 1).replace("{head}", index % d.heads + 1);
  const same = (a, b) => Boolean(a && b && a.side === b.side && a.token === b.token);

  const frame = html("div", root, {class: "wide"});
  const grid = html("div", frame, {class: "grid", role: "group", "aria-label": d.words.layer + " / " + d.words.head});
  const side = Math.max(30, Math.min(76, Math.floor((root.clientWidth - 90) / d.heads)));
  grid.style.gridTemplateColumns = "auto repeat(" + d.heads + "," + side + "px)";
  html("span", grid);
  for (let h = 1; h <= d.heads; h++) html("span", grid, {}, (d.heads > 8 && h > 1 ? "" : d.words.head + " ") + h);
  const buttons = [];
  for (let l = 0; l < d.layers; l++) {
    html("span", grid, {}, (d.heads > 8 && l ? "" : d.words.layer + " ") + (l + 1));
    for (let h = 0; h < d.heads; h++) {
      const index = l * d.heads + h;
      const name = named(index);
      const button = html("button", grid, {type: "button", "aria-label": name, title: name, tabindex: "-1"});
      button.style.width = button.style.height = side + "px";
      paint(html("canvas", button), d.edges[index]);
      button.addEventListener("click", () => choose(index));
      button.addEventListener("keydown", event => {
        const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -d.heads, ArrowDown: d.heads}[event.key];
        if (step === undefined) return;
        event.preventDefault();
        if (Math.abs(step) === 1 && (h + step < 0 || h + step >= d.heads)) return;
        if (index + step >= 0 && index + step < d.edges.length) { choose(index + step); buttons[chosen].focus(); }
      });
      buttons.push(button);
    }
  }
  const bar = html("div", root, {class: "bar"});
  const title = html("b", bar);
  const slider = html("label", bar, {}, d.words.hide);
  const range = html("input", slider, {type: "range", min: "0", max: "50", value: String(least * 100)});
  const percent = html("output", slider, {}, least * 100 + " %");
  range.addEventListener("input", () => {
    least = range.value / 100;
    percent.textContent = range.value + " %";
    draw();
  });
  const said = html("p", root, {class: "say"});
  const box = html("div", root, {class: "lines", tabindex: "0"});
  root.addEventListener("keydown", event => { if (event.key === "Escape") { pinned = null; draw(); } });
  box.addEventListener("mouseleave", () => { hovered = null; if (!pinned) draw(); });

  function paint(canvas, edges) {
    const size = Math.min(n, 64), scale = size / n;
    canvas.width = canvas.height = size;
    const most = new Float32Array(size * size);
    edges.forEach((list, i) => {
      for (let e = 0; e < list.length; e += 2) {
        const at = Math.floor(i * scale) * size + Math.floor(list[e] * scale);
        most[at] = Math.max(most[at], list[e + 1] / 10000);
      }
    });
    const context = canvas.getContext("2d"), image = context.createImageData(size, size);
    most.forEach((share, at) => {
      const dark = Math.sqrt(share);
      [8, 48, 107].forEach((end, c) => { image.data[4 * at + c] = 255 + (end - 255) * dark; });
      image.data[4 * at + 3] = 255;
    });
    context.putImageData(image, 0, 0);
  }
  function choose(index) {
    chosen = index;
    pinned = null;
    draw();
  }
  function draw() {
    buttons.forEach((button, index) => {
      button.setAttribute("aria-pressed", String(index === chosen));
      button.tabIndex = index === chosen ? 0 : -1;
    });
    title.textContent = named(chosen);
    said.textContent = Object.entries(d.figures[chosen]).map(([name, value]) => name + " " + value).join(" · ");
    const focus = pinned || hovered, edges = d.edges[chosen];
    const width = Math.max(300, Math.min(760, root.clientWidth - 2));
    const longest = Math.max(...d.tokens.map(wide));
    const side = Math.min(Math.max(96, longest * 8 + 56), width * 0.36), left = side, right = width - side;
    const height = n * row + 34;
    const svg = make("svg", {width, height, viewBox: "0 0 " + width + " " + height, role: "group"});
    make("text", {x: left - 8, y: 18, "text-anchor": "end", class: "soft"}, svg, d.words.from);
    make("text", {x: right + 8, y: 18, class: "soft"}, svg, d.words.to);
    const y = i => 34 + i * row + row / 2;
    const got = new Float32Array(n), lines = [];
    edges.forEach((list, i) => {
      for (let e = 0; e < list.length; e += 2) {
        const j = list[e], share = list[e + 1] / 10000;
        const mine = !focus || (focus.side === 0 ? focus.token === i : focus.token === j);
        if (focus && mine) got[focus.side === 0 ? j : i] = share;
        if (mine && (focus || share >= least)) lines.push([i, j, share]);
      }
    });
    lines.sort((a, b) => a[2] - b[2]);
    for (const [i, j, share] of lines) make("line", {
      x1: left, y1: y(i), x2: right, y2: y(j), stroke: d.colours[d.kinds[i]], "stroke-linecap": "round",
      "stroke-width": 0.8 + 4 * share,
      "stroke-opacity": focus ? 0.15 + 0.8 * Math.sqrt(share) : 0.06 + 0.9 * share}, svg);
    for (const where of [0, 1]) d.tokens.forEach((token, i) => {
      const here = focus && focus.side === where && focus.token === i;
      const share = focus && focus.side !== where ? got[i] : 0;
      const g = make("g", {class: "token", role: "button", tabindex: where === 0 && i === current ? 0 : -1}, svg);
      const x = where ? right : 0, span = where ? width - right : left;
      make("rect", {x: x, y: y(i) - row / 2 + 1, width: span, height: row - 2, rx: 3,
        fill: here ? "#E69F00" : d.colours[d.kinds[i]], "fill-opacity": here ? 0.35 : share * 0.6}, g);
      const room = Math.floor((span - 16 - (share >= 0.005 ? 34 : 0)) / 8);
      make("text", {x: where ? right + 8 : left - 8, y: y(i) + 5, "text-anchor": where ? "start" : "end",
        class: d.kinds[i] === 2 ? "soft" : ""}, g, cut(token, room));
      if (share >= 0.005) make("text", {x: where ? width - 4 : 4, y: y(i) + 5, "font-size": 12,
        "text-anchor": where ? "end" : "start"}, g,
        (share * 100).toFixed(share < 0.095 ? 1 : 0) + "%");
      make("title", {}, g, token);
      const own = {side: where, token: i};
      g.addEventListener("mouseenter", () => {
        if (same(own, hovered)) return;
        hovered = own;
        if (!pinned) draw();
      });
      g.addEventListener("click", () => {
        pinned = same(own, pinned) ? null : own;
        hovered = null;
        current = where ? current : i;
        draw();
      });
      g.addEventListener("keydown", event => {
        const step = {ArrowUp: -1, ArrowDown: 1}[event.key];
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          g.dispatchEvent(new Event("click"));
          box.querySelectorAll("g.token")[current].focus();
        }
        if (step === undefined || where || current + step < 0 || current + step >= n) return;
        event.preventDefault();
        current += step;
        pinned = {side: 0, token: current};
        draw();
        box.querySelectorAll("g.token")[current].focus();
      });
    });
    box.replaceChildren(svg);
  }
  function wide(text) {
    let total = 0;
    for (const c of text) total += c.codePointAt(0) > 0x2e7f ? 2 : 1;
    return total;
  }
  function cut(text, room) {
    if (wide(text) <= room) return text;
    let shown = "", total = 1;
    for (const c of text) {
      total += c.codePointAt(0) > 0x2e7f ? 2 : 1;
      if (total > room) break;
      shown += c;
    }
    return shown + "…";
  }
  addEventListener("resize", () => draw());
  draw();
};
document.querySelectorAll(".heads[data-view]").forEach(start);
})();
</script>"""
