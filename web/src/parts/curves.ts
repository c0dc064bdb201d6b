// The lines of metrics.jsonl as curves: what a run's loss did while it learned.

import type { Metrics } from "../types";

export interface Point {
  tokens: number;
  minutes: number;
  loss: number;
}

export interface Curves {
  /** Thinned: more would be a band of noise. */
  train: Point[];
  heldout: Point[];
  /** The loss of the words' frequencies alone, as it was logged last. */
  unigram: number | null;
  /** The last line of each kind that says how it goes. */
  last: Metrics | null;
  speed: number | null;
  rate: number | null;
}

const POINTS = 200;

/** Whole lines of JSON; one that cannot be read, as a killed run may leave it, is left out. */
export function parsed(text: string): Metrics[] {
  return text.split("\n").flatMap((line) => {
    try {
      const found = JSON.parse(line) as Metrics;
      return typeof found.seconds === "number" ? [found] : [];
    } catch {
      return [];
    }
  });
}

export function curvesOf(records: readonly Metrics[]): Curves {
  const found: Curves = { train: [], heldout: [], unigram: null, last: null, speed: null, rate: null };
  for (const record of records) {
    const at = { tokens: record.tokens, minutes: record.seconds / 60 };
    if (record.loss != null) found.train.push({ ...at, loss: record.loss });
    if (record.heldout_loss != null) found.heldout.push({ ...at, loss: record.heldout_loss });
    found.unigram = record.unigram_loss ?? found.unigram;
    found.speed = record.tokens_per_second ?? found.speed;
    found.rate = record.lr ?? found.rate;
    found.last = record;
  }
  found.train = thinned(found.train, POINTS);
  return found;
}

/** Means over equal shares. */
export function thinned(points: readonly Point[], most: number): Point[] {
  if (points.length <= most) return [...points];
  return Array.from({ length: most }, (_, i) => {
    const share = points.slice(Math.round((i * points.length) / most), Math.round(((i + 1) * points.length) / most));
    const mean = (of: keyof Point): number => share.reduce((sum, point) => sum + point[of], 0) / share.length;
    return { tokens: mean("tokens"), minutes: mean("minutes"), loss: mean("loss") };
  });
}

/** Seconds that are left, by the share of the budget that is used up; null where that is not known yet. */
export function secondsLeft(last: Metrics | null): number | null {
  if (last === null || last.progress === undefined || last.progress < 0.02) return null;
  return Math.max(0, (last.seconds * (1 - last.progress)) / last.progress);
}

/** Where an axis is marked: round numbers, about `count` of them. */
export function marks(low: number, high: number, log: boolean, count = 6): number[] {
  if (log) {
    const found: number[] = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const times of high / low < 60 ? [1, 2, 5] : [1]) found.push(times * 10 ** power);
    }
    return found.filter((mark) => mark >= low * 0.999 && mark <= high * 1.001);
  }
  const rough = Math.max(high - low, 1e-9) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((times) => times * power >= rough) ?? 10);
  const found: number[] = [];
  for (let mark = Math.ceil(low / step) * step; mark <= high + step * 1e-6; mark += step) found.push(Math.round(mark / step) * step);
  return found;
}

/** 2,235,747 as 2.24 M. */
export function short(n: number): string {
  const [by, unit] = n >= 1e9 ? [1e9, "B"] : n >= 1e6 ? [1e6, "M"] : n >= 1e3 ? [1e3, "k"] : [1, ""];
  return `${String(Number((n / by).toPrecision(3)))}${unit ? ` ${unit}` : ""}`;
}
