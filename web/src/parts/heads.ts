// The attention of a text, as `polyseme attention --json` has it, and how a head of it is laid out.

/** A measure of a head: a share, nats or tokens; null where no token could be counted. */
export interface Figure {
  value: number | null;
  low: number | null;
  high: number | null;
  n: number;
}

export interface Token {
  token: string;
  /** Which text it is of; null for separators. */
  text: number | null;
  start: number | null;
  end: number | null;
  word: number | null;
}

/** The strongest shares of a head, an edge each: token `from[e]` gives `share[e]` to token `to[e]`. */
export interface Edges {
  layer: number;
  head: number;
  from: number[];
  to: number[];
  share: number[];
}

export interface AttentionDocument {
  run: string;
  model: string;
  layers: number;
  heads: number;
  sees: { reach: string; window: number | null; local_layers: number[] };
  figures: (Record<string, Figure | number> & { layer: number; head: number })[];
  chosen: { layer: number; head: number };
  view: {
    texts: string[];
    tokens: Token[];
    heads: Edges[];
    edges: { shown: number; left_out: number; share_of_attention: number; top: number; above: number };
    hidden_pairs: number;
    cut: number;
  };
  notes: string[];
}

/** A token that is looked at by itself: what it gives (side 0), or what it gets (side 1). */
export interface Focus {
  side: 0 | 1;
  token: number;
}

/** More tokens than these are drawn as a matrix, as lines would cover each other. */
export const MOST_LINES = 64;

/** The measures, in the order in which they are told; the others of a document follow. */
export const MEASURES = [
  "previous",
  "next",
  "itself",
  "first",
  "separators",
  "same_word",
  "same_word_elsewhere",
  "a_to_b",
  "b_to_a",
  "entropy",
  "relative_entropy",
  "distance",
] as const;
export type Measure = (typeof MEASURES)[number];

const SPACES: Record<string, string> = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "↵" };

/** A token as a person reads it: without the space before it, and readable where it is a part of a character. */
export function label(token: Token, texts: readonly string[]): string {
  let shown = token.token;
  if (/\\x[0-9a-f]{2}/.test(shown) && token.text !== null && token.start !== null && token.end !== null) {
    const text = [...(texts[token.text] ?? "")];
    shown = text.slice(token.start, token.end).join("").trim() + "…";
  }
  return shown.trim() || [...shown].map((c) => SPACES[c] ?? "␣").join("") || "␣";
}

/** The number of a head, layer by layer. */
export function indexOf(layer: number, head: number, heads: number): number {
  return (layer - 1) * heads + head - 1;
}

/** The head that an arrow leads to; the same where there is none. */
export function stepped(index: number, key: string, layers: number, heads: number): number {
  const column = index % heads;
  if (key === "ArrowLeft") return column > 0 ? index - 1 : index;
  if (key === "ArrowRight") return column < heads - 1 ? index + 1 : index;
  if (key === "ArrowUp") return index - heads >= 0 ? index - heads : index;
  if (key === "ArrowDown") return index + heads < layers * heads ? index + heads : index;
  if (key === "Home") return index - column;
  if (key === "End") return index - column + heads - 1;
  return index;
}

/** All shares of a head, row by row: [i · n + j] is what token i gives to token j; 0 where it is not listed. */
export function matrixOf(edges: Edges, n: number): Float32Array {
  const cells = new Float32Array(n * n);
  for (let e = 0; e < edges.share.length; e++) {
    cells[edges.from[e]! * n + edges.to[e]!] = edges.share[e]!;
  }
  return cells;
}

/** A small picture of a matrix: the largest share of the cells that fall together, in `size` × `size` cells. */
export function shrunk(cells: Float32Array, n: number, size: number): Float32Array {
  if (n <= size) return cells;
  const small = new Float32Array(size * size);
  for (let i = 0; i < n; i++) {
    const row = Math.floor((i * size) / n) * size;
    for (let j = 0; j < n; j++) {
      const at = row + Math.floor((j * size) / n);
      small[at] = Math.max(small[at]!, cells[i * n + j]!);
    }
  }
  return small;
}

export interface Line {
  from: number;
  to: number;
  share: number;
  kind: number;
}

/** The lines that are drawn, faint ones first: all above `least`, or every one of the token in focus. */
export function linesOf(edges: Edges, kinds: readonly number[], focus: Focus | null, least: number): Line[] {
  const lines: Line[] = [];
  for (let e = 0; e < edges.share.length; e++) {
    const from = edges.from[e]!;
    const to = edges.to[e]!;
    const share = edges.share[e]!;
    const mine = focus === null || (focus.side === 0 ? focus.token === from : focus.token === to);
    if (mine && (focus !== null || share >= least)) lines.push({ from, to, share, kind: kinds[from] ?? 0 });
  }
  return lines.sort((a, b) => a.share - b.share);
}

/** What a token in focus gives to each, or gets from each. */
export function sharesOf(edges: Edges, n: number, focus: Focus | null): Float32Array {
  const shares = new Float32Array(n);
  if (focus === null) return shares;
  for (let e = 0; e < edges.share.length; e++) {
    if (focus.side === 0 && edges.from[e] === focus.token) shares[edges.to[e]!] = edges.share[e]!;
    if (focus.side === 1 && edges.to[e] === focus.token) shares[edges.from[e]!] = edges.share[e]!;
  }
  return shares;
}

/** The largest shares, largest first: what a person is told of a token in words. */
export function largest(shares: Float32Array, most: number): { token: number; share: number }[] {
  return [...shares]
    .map((share, token) => ({ token, share }))
    .filter((one) => one.share > 0)
    .sort((a, b) => b.share - a.share || a.token - b.token)
    .slice(0, most);
}

/** 0 = of the first text, 1 = of the second, 2 = a separator. */
export function kindsOf(tokens: readonly Token[]): number[] {
  return tokens.map((token) => (token.text === null ? 2 : token.text));
}

/** The token of another reading of the same texts that holds the same characters; null where there is none. */
export function sameCharacters(of: Token | undefined, among: readonly Token[]): number | null {
  if (!of || of.text === null || of.start === null || of.end === null) return null;
  let best: number | null = null;
  let most = 0;
  among.forEach((token, number) => {
    if (token.text !== of.text || token.start === null || token.end === null) return;
    const shared = Math.min(token.end, of.end!) - Math.max(token.start, of.start!);
    if (shared > most) [best, most] = [number, shared];
  });
  return best;
}

/** A share as a person reads it: one decimal below ten percent. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** A measure: a share in percent, nats and tokens as numbers. */
export function told(measure: string, figure: Figure | undefined): string {
  if (!figure || figure.value === null) return "—";
  if (measure === "entropy" || measure === "distance") return figure.value.toFixed(2);
  if (measure === "relative_entropy") return figure.value.toFixed(2);
  return percent(figure.value);
}

/** The head that has most of a measure; null where none was measured. */
export function headWithMost(document: AttentionDocument, measure: string): number | null {
  let best: number | null = null;
  let most = -Infinity;
  document.figures.forEach((head, number) => {
    const value = (head[measure] as Figure | undefined)?.value;
    if (value !== null && value !== undefined && value > most) [best, most] = [number, value];
  });
  return best;
}
