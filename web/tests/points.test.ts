import { describe, expect, test } from "vitest";
import { between, boxOf, caught, eased, fitted, pilesOf, SHAPES, telling, towards, traced, wordsOf, type LayerMap, type Snippet } from "../src/parts/points";
import { pasted } from "../src/parts/pasted";

const maps: LayerMap[] = [
  { layer: 0, x: [0, 0, 0], y: [0, 0, 0], dots: 1 },
  { layer: 1, x: [-1, 0, 1], y: [0, 1, 0], dots: null },
];

describe("places", () => {
  test("one box for all layers, so that spread stays seen", () => {
    expect(boxOf(maps)).toEqual({ x0: -1, y0: 0, x1: 1, y1: 1 });
    const flat = boxOf([maps[0]!]);
    expect(flat.x1).toBeGreaterThan(flat.x0);
    expect(boxOf([])).toEqual({ x0: -1, y0: -1, x1: 1, y1: 1 });
  });
  test("points move between layers; y points upwards", () => {
    const fit = fitted(boxOf(maps), 240, 140, 20);
    expect(fit.scale).toBe(100);
    const at = (layer: number): number[] => [...between(maps, layer, fit, new Float32Array(6))];
    expect(at(1)).toEqual([20, 120, 120, 20, 220, 120]);
    expect(at(0.5)).toEqual([70, 120, 120, 70, 170, 120]);
    expect(at(7)).toEqual(at(1));
  });
  test("motion is slow at both ends", () => {
    expect([eased(-1), eased(0.5), eased(2)]).toEqual([0, 0.5, 1]);
    expect(eased(0.1)).toBeLessThan(0.1);
  });
  test("a static layer is piles", () => {
    expect(pilesOf(maps[0]!)).toEqual([{ x: 0, y: 0, uses: [0, 1, 2] }]);
    expect(pilesOf(maps[1]!)).toEqual([]);
    expect(pilesOf({ layer: 0, x: [0, 1, 1], y: [0, 0, 0], dots: 2 }).map((pile) => pile.uses)).toEqual([[1, 2], [0]]);
  });
});

test("a lasso catches what lies inside", () => {
  const square = [{ x: 0, y: 0 }, { x: 10, y: 0 }, { x: 10, y: 10 }, { x: 0, y: 10 }];
  expect(caught(Float32Array.from([5, 5, 15, 5, 9, 1]), square)).toEqual([0, 2]);
  expect(caught(Float32Array.from([5, 5]), square.slice(0, 2))).toEqual([]);
});

test("arrows lead to the nearest point ahead", () => {
  const where = Float32Array.from([0, 0, 10, 1, 4, 9, -5, 0]);
  expect(towards(where, 0, "ArrowRight")).toBe(1);
  expect(towards(where, 0, "ArrowDown")).toBe(2);
  expect(towards(where, 0, "ArrowLeft")).toBe(3);
  expect(towards(where, 0, "ArrowUp")).toBe(0);
});

test("every class has a shape of its own", () => {
  const drawn = SHAPES.map((shape) => traced(shape, 0, 0, 4));
  expect(new Set(drawn).size).toBe(SHAPES.length);
  for (const d of drawn) expect(d).toMatch(/^M[-\d. LaMz]+z$/);
});

describe("words beside uses", () => {
  const use = (before: string, after: string, form = "bank"): Snippet => ({ id: "1", before, form, after });
  test("are those of the chosen, in English and Chinese", () => {
    const uses = [use("the river", "was wet"), use("a river", "with reeds"), use("the river", "grew"), use("money in the", "was lent"), use("the", "lent money"), use("a", "counts money")];
    expect(telling(uses, new Set([0, 1, 2]))[0]).toBe("river");
    expect(telling(uses, new Set([3, 4, 5]))[0]).toBe("money");
    expect([...wordsOf(use("他在", "边看书…", "河"))]).toContain("看书");
  });
  test("are never the word itself, nor marks", () => {
    expect([...wordsOf(use("…Bank, a", "!"))]).toEqual(["a"]);
  });
});

test("pasted lines: texts, or a sense, a tab and a text", () => {
  expect(pasted("river\tthe bank\n\n the bank \nsense\ttext")).toEqual({ lines: ["the bank", "the bank"], senses: ["river", null] });
});
