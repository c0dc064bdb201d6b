// A text with what an objective hides of it, as `polyseme mask --json` has it.

export interface HiddenUnit {
  start: number;
  end: number;
  text: string;
  /** token, word, basic, phrase, entity … */
  kind: string;
  source: string;
  type: string;
  outcome: "masked" | "random" | "kept";
  shown: string[];
}

export interface MaskLine {
  model: string;
  stage: string;
  rate: number;
  tokens: number;
  hidden: number;
  masked: string;
  /** Units of several tokens that could be hidden whole. */
  cut: [number, number, string][];
  units: HiddenUnit[];
}

export interface MaskDocument {
  text: string;
  seed: number;
  lines: MaskLine[];
}

/** A stretch of the text: hidden or not, in a unit of several tokens or not. */
export interface Stretch {
  text: string;
  unit: HiddenUnit | null;
  kind: string | null;
}

/** The text in stretches, each wholly inside or outside of what is hidden and of every unit. */
export function stretches(text: string, line: MaskLine): Stretch[] {
  const characters = [...text]; // Python's counting
  const borders = new Set([0, characters.length]);
  for (const { start, end } of line.units) borders.add(start).add(end);
  for (const [start, end] of line.cut) borders.add(start).add(end);
  const places = [...borders].filter((at) => at >= 0 && at <= characters.length).sort((a, b) => a - b);
  const found: Stretch[] = [];
  for (let i = 0; i + 1 < places.length; i++) {
    const [from, to] = [places[i]!, places[i + 1]!];
    const unit = line.units.find((each) => each.start <= from && to <= each.end) ?? null;
    const kind = line.cut.find(([start, end]) => start <= from && to <= end)?.[2] ?? null;
    found.push({ text: characters.slice(from, to).join(""), unit, kind });
  }
  return found;
}

/** How many units of each kind are hidden, the most frequent first. */
export function tally(lines: readonly MaskLine[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { units } of lines) for (const { kind } of units) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}
