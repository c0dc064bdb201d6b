import { expect, test } from "vitest";
import { curvesOf, marks, parsed, secondsLeft, short, thinned } from "../src/parts/curves";

const line = (fields: Record<string, number>): string => JSON.stringify({ step: 1, tokens: 10, seconds: 60, ...fields });

test("a line that a killed run left half is not read", () => {
  expect(parsed(`${line({ loss: 2 })}\n{"step": 2, "tok`)).toHaveLength(1);
  expect(parsed("\n[]\n")).toEqual([]);
});

test("curves, and what was logged last", () => {
  const curves = curvesOf(
    parsed([line({ heldout_loss: 6, unigram_loss: 6.5 }), line({ tokens: 20, loss: 5, lr: 0.1, tokens_per_second: 9 }), line({ tokens: 30, heldout_loss: 4 })].join("\n")),
  );
  expect(curves.heldout.map(({ tokens, loss }) => [tokens, loss])).toEqual([[10, 6], [30, 4]]);
  expect(curves.train).toEqual([{ tokens: 20, minutes: 1, loss: 5 }]);
  expect([curves.unigram, curves.speed, curves.rate, curves.last?.tokens]).toEqual([6.5, 9, 0.1, 30]);
});

test("many points become means that keep the whole", () => {
  const many = Array.from({ length: 1000 }, (_, i) => ({ tokens: i, minutes: i, loss: i }));
  const few = thinned(many, 200);
  expect(few).toHaveLength(200);
  expect(few[0]!.loss).toBe(2);
  expect(few.at(-1)!.loss).toBe(997);
});

test("time left, by the share that is done", () => {
  expect(secondsLeft({ step: 1, tokens: 1, seconds: 30, progress: 0.25 })).toBe(90);
  expect(secondsLeft({ step: 1, tokens: 1, seconds: 30, progress: 0.001 })).toBeNull();
  expect(secondsLeft(null)).toBeNull();
});

test("axes are marked at round numbers", () => {
  expect(marks(0, 10, false)).toEqual([0, 2, 4, 6, 8, 10]);
  expect(marks(3.47, 6.21, false)).toEqual([3.5, 4, 4.5, 5, 5.5, 6]);
  expect(marks(1000, 2e6, true)).toEqual([1000, 10000, 100000, 1000000]);
  expect(short(2235747)).toBe("2.24 M");
  expect(short(500)).toBe("500");
});
