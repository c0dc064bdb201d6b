// The heads that are shown, as a picture for slides: drawn from data, black on white.

import { Drawing, SOFT, widthOf } from "../svg";
import { kindsOf, label, linesOf, matrixOf, MOST_LINES, percent, sharesOf, type AttentionDocument, type Focus } from "./heads";

export interface ShownHead {
  title: string;
  document: AttentionDocument;
  index: number;
  focus: Focus | null;
}

const ROW = 22;
const COLOURS = ["#0072b2", "#a83e00", "#777b80"];

export function headsPicture(shown: ShownHead[], least: number, says: [string, string]): string {
  const drawing = new Drawing();
  let left = 16;
  for (const one of shown) left = pane(drawing, left, one, least, says) + 40;
  return drawing.toString();
}

function pane(drawing: Drawing, left: number, one: ShownHead, least: number, says: [string, string]): number {
  const { view } = one.document;
  const edges = view.heads[one.index]!;
  const n = view.tokens.length;
  drawing.text(left, 24, one.title, { size: 15, bold: true });
  if (n > MOST_LINES) return matrix(drawing, left, matrixOf(edges, n), n);
  const labels = view.tokens.map((token) => label(token, view.texts));
  const wide = Math.min(190, Math.max(60, ...labels.map((text) => widthOf(text, 14)))) + 12;
  const across = 190;
  const top = 64;
  const y = (i: number): number => top + i * ROW;
  const kinds = kindsOf(view.tokens);
  const shares = sharesOf(edges, n, one.focus);
  drawing.text(left + wide - 8, 48, says[0], { size: 12, fill: SOFT, anchor: "end" });
  drawing.text(left + wide + across + 8, 48, says[1], { size: 12, fill: SOFT });
  for (const line of linesOf(edges, kinds, one.focus, least)) {
    const strength = one.focus === null ? 0.1 + 0.9 * line.share : 0.25 + 0.75 * Math.sqrt(line.share);
    drawing.path(`M${left + wide} ${y(line.from) - 5}L${left + wide + across} ${y(line.to) - 5}`, {
      stroke: COLOURS[line.kind]!,
      width: 0.8 + 4 * line.share,
      opacity: strength,
      dashes: line.kind === 1 ? "7 4" : "",
    });
  }
  labels.forEach((text, i) => {
    const fill = kinds[i] === 2 ? SOFT : undefined;
    for (const side of [0, 1] as const) {
      const here = one.focus?.side === side && one.focus.token === i;
      const style = { ...(fill ? { fill } : {}), bold: here };
      if (side === 0) drawing.text(left + wide - 8, y(i), text, { ...style, anchor: "end" });
      else drawing.text(left + wide + across + 8, y(i), text, style);
      if (one.focus !== null && one.focus.side !== side && shares[i]! >= 0.005) {
        const at = side === 0 ? left - 6 : left + 2 * wide + across + 6;
        drawing.text(at, y(i), percent(shares[i]!), { size: 11, fill: SOFT, anchor: side === 0 ? "end" : "start" });
      }
    }
  });
  return left + 2 * wide + across + 40;
}

function matrix(drawing: Drawing, left: number, cells: Float32Array, n: number): number {
  const size = Math.max(1, Math.min(8, 480 / n));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const share = cells[i * n + j]!;
      if (share < 0.01) continue;
      const d = `M${left + j * size} ${40 + i * size}h${size}v${size}h${-size}z`;
      drawing.path(d, { fill: "#0072b2", opacity: Math.sqrt(share) });
    }
  }
  drawing.path(`M${left} 40h${n * size}v${n * size}h${-n * size}z`, { stroke: "#c9ccd1" });
  drawing.reach(left + n * size, 40 + n * size);
  return left + n * size;
}
