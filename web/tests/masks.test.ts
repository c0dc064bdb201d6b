import { expect, test } from "vitest";
import { stretches, tally, type HiddenUnit, type MaskLine } from "../src/parts/masks";

const unit = (start: number, end: number, kind: string): HiddenUnit => ({ start, end, text: "", kind, source: "", type: "", outcome: "masked", shown: [] });
const line = (units: HiddenUnit[], cut: [number, number, string][] = []): MaskLine => ({ model: "bert", stage: "", rate: 0.15, tokens: 9, hidden: 1, masked: "", cut, units });

test("a text in stretches: hidden, in a unit, or neither; places count characters beyond 16 bits once", () => {
  const found = stretches("😀 the River Thames flows", line([unit(6, 11, "word")], [[6, 18, "entity"]]));
  expect(found.map((each) => [each.text, each.unit !== null, each.kind])).toEqual([
    ["😀 the ", false, null],
    ["River", true, "entity"],
    [" Thames", false, "entity"],
    [" flows", false, null],
  ]);
  expect(stretches("a", line([]))).toEqual([{ text: "a", unit: null, kind: null }]);
});

test("kinds are counted over lines", () => {
  expect(tally([line([unit(0, 1, "word"), unit(2, 3, "phrase")]), line([unit(0, 1, "word")])])).toEqual([["word", 2], ["phrase", 1]]);
});
