// Maps of the uses of a word, as `polyseme senses --maps --json` has them: where points stand, and which are meant.

export interface LayerMap {
  layer: number;
  x: number[];
  y: number[];
  /** How many different vectors there are, where context changes none of them; else null. */
  dots: number | null;
}

export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Place {
  x: number;
  y: number;
}

/** Uses that lie on one place of a static layer. */
export interface Pile extends Place {
  uses: number[];
}

/** The box that holds the points of all layers: layers are never stretched, so that how far uses spread stays seen. */
export function boxOf(maps: readonly LayerMap[]): Box {
  const box = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
  for (const map of maps) {
    for (let i = 0; i < map.x.length; i++) {
      box.x0 = Math.min(box.x0, map.x[i]!);
      box.x1 = Math.max(box.x1, map.x[i]!);
      box.y0 = Math.min(box.y0, map.y[i]!);
      box.y1 = Math.max(box.y1, map.y[i]!);
    }
  }
  if (!Number.isFinite(box.x0)) return { x0: -1, y0: -1, x1: 1, y1: 1 };
  const least = Math.max(box.x1 - box.x0, box.y1 - box.y0, 1e-6) * 0.05;
  const grow = (low: number, high: number): [number, number] =>
    high - low < least ? [(low + high) / 2 - least, (low + high) / 2 + least] : [low, high];
  [box.x0, box.x1] = grow(box.x0, box.x1);
  [box.y0, box.y1] = grow(box.y0, box.y1);
  return box;
}

/** From a map's coordinates to a canvas's, both axes by the same factor, y upwards. */
export interface Fit {
  scale: number;
  left: number;
  top: number;
}

export function fitted(box: Box, width: number, height: number, margin: number): Fit {
  const scale = Math.min(
    Math.max(1, width - 2 * margin) / (box.x1 - box.x0),
    Math.max(1, height - 2 * margin) / (box.y1 - box.y0),
  );
  return {
    scale,
    left: width / 2 - (scale * (box.x0 + box.x1)) / 2,
    top: height / 2 + (scale * (box.y0 + box.y1)) / 2,
  };
}

/** Where the points stand between two layers: `at` 1.5 is half way from the second map to the third. */
export function between(maps: readonly LayerMap[], at: number, fit: Fit, into: Float32Array): Float32Array {
  const last = maps.length - 1;
  const low = Math.max(0, Math.min(last, Math.floor(at)));
  const high = Math.min(last, low + 1);
  const part = Math.max(0, Math.min(1, at - low));
  const a = maps[low]!;
  const b = maps[high]!;
  for (let i = 0; i < a.x.length; i++) {
    into[2 * i] = fit.left + fit.scale * (a.x[i]! + part * (b.x[i]! - a.x[i]!));
    into[2 * i + 1] = fit.top - fit.scale * (a.y[i]! + part * (b.y[i]! - a.y[i]!));
  }
  return into;
}

/** Slow at both ends. */
export function eased(t: number): number {
  return t <= 0 ? 0 : t >= 1 ? 1 : t * t * (3 - 2 * t);
}

/** The piles of a static layer, the highest first; none where context moves the points. */
export function pilesOf(map: LayerMap): Pile[] {
  if (map.dots === null || map.x.length === 0) return [];
  const spread = Math.max(...map.x) - Math.min(...map.x) + Math.max(...map.y) - Math.min(...map.y);
  const near = 1e-3 * Math.max(spread, 1e-3);
  const piles: Pile[] = [];
  for (let i = 0; i < map.x.length; i++) {
    const x = map.x[i]!;
    const y = map.y[i]!;
    const there = piles.find((pile) => Math.max(Math.abs(pile.x - x), Math.abs(pile.y - y)) < near);
    if (there) there.uses.push(i);
    else piles.push({ x, y, uses: [i] });
  }
  return piles.sort((a, b) => b.uses.length - a.uses.length);
}

/** Whether a point lies inside a closed line, by how often a ray crosses it. */
export function inside(x: number, y: number, line: readonly Place[]): boolean {
  let within = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const a = line[i]!;
    const b = line[j]!;
    if (a.y > y !== b.y > y && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) within = !within;
  }
  return within;
}

/** The points inside a lasso; positions are x, y, x, y … */
export function caught(positions: Float32Array, line: readonly Place[]): number[] {
  if (line.length < 3) return [];
  const found: number[] = [];
  for (let i = 0; i < positions.length / 2; i++) {
    if (inside(positions[2 * i]!, positions[2 * i + 1]!, line)) found.push(i);
  }
  return found;
}

/** The nearest point in the direction of an arrow: what lies ahead counts, what lies aside counts double. */
export function towards(positions: Float32Array, from: number, key: string): number {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0];
  let best = from;
  let least = Infinity;
  for (let i = 0; i < positions.length / 2; i++) {
    const x = positions[2 * i]! - positions[2 * from]!;
    const y = positions[2 * i + 1]! - positions[2 * from + 1]!;
    const ahead = x * dx! + y * dy!;
    const aside = Math.abs(x * dy!) + Math.abs(y * dx!);
    if (i !== from && ahead > 0.5 && ahead + 2 * aside < least) [best, least] = [i, ahead + 2 * aside];
  }
  return best;
}

export const SHAPES = ["circle", "square", "triangle", "diamond", "cross", "plus", "down", "star"] as const;
export type Shape = (typeof SHAPES)[number];

/** The corners of a shape of about the area of a circle with radius 1; none of a circle. */
export const CORNERS: Record<Exclude<Shape, "circle">, readonly (readonly [number, number])[]> = {
  square: [[-0.89, -0.89], [0.89, -0.89], [0.89, 0.89], [-0.89, 0.89]],
  triangle: [[0, -1.3], [1.15, 0.8], [-1.15, 0.8]],
  down: [[0, 1.3], [-1.15, -0.8], [1.15, -0.8]],
  diamond: [[0, -1.3], [1.05, 0], [0, 1.3], [-1.05, 0]],
  cross: turned(plus(), Math.PI / 4),
  plus: plus(),
  star: Array.from({ length: 10 }, (_, i) => {
    const r = i % 2 ? 0.62 : 1.45;
    const a = (Math.PI * i) / 5 - Math.PI / 2;
    return [r * Math.cos(a), r * Math.sin(a)] as const;
  }),
};

function plus(): [number, number][] {
  const a = 0.42;
  const b = 1.25;
  return [[-a, -b], [a, -b], [a, -a], [b, -a], [b, a], [a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a]];
}

function turned(points: readonly (readonly [number, number])[], by: number): [number, number][] {
  const [c, s] = [Math.cos(by), Math.sin(by)];
  return points.map(([x, y]) => [c * x - s * y, s * x + c * y]);
}

/** Adds a shape to a path. */
export function trace(path: Pick<Path2D, "moveTo" | "lineTo" | "arc" | "closePath">, shape: Shape, x: number, y: number, r: number): void {
  if (shape === "circle") {
    path.moveTo(x + r, y);
    path.arc(x, y, r, 0, 2 * Math.PI);
    return;
  }
  CORNERS[shape].forEach(([dx, dy], i) => {
    if (i) path.lineTo(x + r * dx, y + r * dy);
    else path.moveTo(x + r * dx, y + r * dy);
  });
  path.closePath();
}

/** The same as the `d` of an SVG path. */
export function traced(shape: Shape, x: number, y: number, r: number): string {
  const f = (value: number): string => String(Math.round(value * 100) / 100);
  if (shape === "circle") return `M${f(x + r)} ${f(y)}a${f(r)} ${f(r)} 0 1 0 ${f(-2 * r)} 0a${f(r)} ${f(r)} 0 1 0 ${f(2 * r)} 0z`;
  return CORNERS[shape].map(([dx, dy], i) => `${i ? "L" : "M"}${f(x + r * dx)} ${f(y + r * dy)}`).join("") + "z";
}

/** A use with what stands beside it. */
export interface Snippet {
  id: string;
  before: string;
  form: string;
  after: string;
  sense?: number;
}

/**
 * Words beside some uses that are rarer beside the others, the most telling first.
 *
 *     δ_w = ln (y_w + α_w) / (n + α - y_w - α_w) of the chosen - the same of the others;  z_w = δ_w / σ(δ_w)
 *
 * Source: Monroe, Colaresi and Quinn (2008), equations 15-23, as in study/sense_clusters.py.
 */
export function telling(uses: readonly Snippet[], chosen: ReadonlySet<number>, top = 8): string[] {
  const inside = new Map<string, number>();
  const all = new Map<string, number>();
  uses.forEach((use, number) => {
    for (const word of wordsOf(use)) {
      all.set(word, (all.get(word) ?? 0) + 1);
      if (chosen.has(number)) inside.set(word, (inside.get(word) ?? 0) + 1);
    }
  });
  const total = sum(all.values());
  const n = sum(inside.values());
  const alpha = 0.5 * all.size;
  const scored: { word: string; z: number }[] = [];
  for (const [word, y] of inside) {
    const of = all.get(word)!;
    const prior = (0.5 * of * all.size) / Math.max(1, total);
    const odds = (k: number, m: number): number => Math.log((k + prior) / Math.max(m + alpha - k - prior, 1e-9));
    const delta = odds(y, n) - odds(of - y, total - n);
    const z = delta / Math.sqrt(1 / (y + prior) + 1 / (of - y + prior));
    if (z > 1 && y > 1) scored.push({ word, z });
  }
  return scored
    .sort((a, b) => b.z - a.z || (a.word < b.word ? -1 : 1))
    .slice(0, top)
    .map((one) => one.word);
}

/** The different words of a use's surroundings, without the use itself and without marks. */
export function wordsOf(use: Snippet): Set<string> {
  const form = use.form.toLowerCase();
  const found = new Set<string>();
  for (const text of [use.before, use.after]) {
    for (const part of segmenter().segment(text.replaceAll("…", " "))) {
      const word = part.segment.toLowerCase();
      if (part.isWordLike && word !== form) found.add(word);
    }
  }
  return found;
}

let made: Intl.Segmenter | undefined;
function segmenter(): Intl.Segmenter {
  return (made ??= new Intl.Segmenter("zh", { granularity: "word" }));
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
