// Tokens in a row and bars in a column, as pictures for slides: drawn from data, black on white.

import { BLUE, Drawing, LINE, ORANGE, SOFT, widthOf } from "../svg";
import type { Bar } from "./Bars.svelte";
import type { StripToken } from "./TokenStrip.svelte";

const LEFT = 16;
const RIGHT = 960;

/** The paper of the shade that a page shows: 0 is white. */
export function paper(shade = 0): string {
  return `rgb(${[169, 75, 22].map((by) => Math.round(255 - by * shade)).join(",")})`;
}

/** Adds a strip of tokens whose upper edge is at y; returns its lower one. */
export function drawStrip(drawing: Drawing, y: number, tokens: readonly StripToken[]): number {
  const numbered = tokens.some((token) => token.below);
  let x = LEFT;
  for (const token of tokens) {
    const wide = Math.max(widthOf(token.label), numbered ? widthOf(token.below ?? "", 11) : 0) + 10;
    if (x + wide > RIGHT) [x, y] = [LEFT, y + (numbered ? 46 : 28)];
    drawing.rect(x, y, wide, 24, token.unknown ? "#e4e4e4" : paper(token.shade), LINE);
    drawing.text(x + 5, y + 17, token.label);
    if (token.below) drawing.text(x + 5, y + 37, token.below, { size: 11, fill: SOFT });
    x += wide + 3;
  }
  return y + (numbered ? 42 : 26);
}

/** Adds bars, a line each; returns where they end. */
export function drawBars(drawing: Drawing, y: number, bars: readonly Bar[], most = 1): number {
  const left = LEFT + Math.min(300, Math.max(0, ...bars.map((bar) => widthOf(bar.label)))) + 10;
  for (const bar of bars) {
    drawing.text(left - 8, y + 15, bar.label, { anchor: "end", bold: bar.marked ?? false });
    drawing.rect(left, y + 4, Math.max(1, (240 * bar.value) / most), 13, bar.marked ? ORANGE : BLUE);
    drawing.text(left + 248, y + 15, bar.shown ?? bar.value.toFixed(2), { size: 12, fill: SOFT });
    y += 22;
  }
  return y;
}
