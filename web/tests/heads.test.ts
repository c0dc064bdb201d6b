import { describe, expect, test } from "vitest";
import {
  headWithMost, label, largest, linesOf, matrixOf, percent, sameCharacters, sharesOf, shrunk, stepped, told,
  type AttentionDocument, type Edges, type Token,
} from "../src/parts/heads";

const token = (text: string, start: number, end: number, of: number | null = 0): Token => ({ token: text, text: of, start, end, word: 0 });
const edges: Edges = { layer: 1, head: 1, from: [0, 0, 1, 2], to: [1, 2, 1, 0], share: [0.7, 0.3, 0.02, 1] };

describe("a head's edges", () => {
  test("fill a matrix by rows", () => {
    const cells = matrixOf(edges, 3);
    expect([...cells].map((x) => Math.round(x * 100))).toEqual([0, 70, 30, 0, 2, 0, 100, 0, 0]);
  });
  test("a small picture keeps the largest share of the cells that fall together", () => {
    const small = shrunk(Float32Array.from([0, 0.7, 0.3, 0, 0, 0.02, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0.4]), 4, 2);
    expect([...small].map((x) => Math.round(x * 100))).toEqual([70, 30, 100, 40]);
    expect(shrunk(small, 2, 8)).toBe(small);
  });
  test("lines are those above the bound, or all of the token in focus", () => {
    expect(linesOf(edges, [0, 1, 2], null, 0.1).map((line) => [line.from, line.to, line.kind])).toEqual([[0, 2, 0], [0, 1, 0], [2, 0, 2]]);
    expect(linesOf(edges, [0, 1, 2], { side: 1, token: 1 }, 0.9).map((line) => line.from)).toEqual([1, 0]);
  });
  test("a token's own shares, largest first", () => {
    expect(largest(sharesOf(edges, 3, { side: 0, token: 0 }), 5).map((one) => one.token)).toEqual([1, 2]);
    expect(largest(sharesOf(edges, 3, null), 5)).toEqual([]);
  });
});

test("arrows go from head to head and stay inside", () => {
  expect(["ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "End", "Home", "x"].map((key) => stepped(4, key, 3, 4))).toEqual([5, 4, 8, 0, 7, 4, 4]);
  expect(stepped(11, "ArrowDown", 3, 4)).toBe(11);
});

test("tokens are readable: spaces, parts of a character, characters beyond 16 bits", () => {
  expect(label(token(" the", 0, 3), ["the"])).toBe("the");
  expect(label(token(" ", 0, 1), [" "])).toBe("␣");
  expect(label(token("\\xe4", 1, 2), ["😀京"])).toBe("京…");
});

test("the same characters in another run's tokens", () => {
  const bert = [token("[CLS]", 0, 0, null), token("un", 0, 2), token("##able", 2, 6), token("cat", 7, 10)];
  expect(sameCharacters(token("unable", 0, 6), bert)).toBe(2);
  expect(sameCharacters(token("[CLS]", 0, 0, null), bert)).toBe(null);
  expect(sameCharacters(token("cat", 7, 10, 1), bert)).toBe(null);
});

test("figures are told as they are meant", () => {
  const figure = (value: number | null) => ({ value, low: null, high: null, n: 3 });
  expect([percent(0.0312), percent(0.0996), told("next", figure(0.5)), told("entropy", figure(1.234)), told("next", figure(null))]).toEqual(["3.1 %", "10 %", "50 %", "1.23", "—"]);
  const figures = [{ layer: 1, head: 1, next: figure(0.1) }, { layer: 1, head: 2, next: figure(null) }, { layer: 2, head: 1, next: figure(0.4) }];
  expect(headWithMost({ figures } as unknown as AttentionDocument, "next")).toBe(2);
  expect(headWithMost({ figures } as unknown as AttentionDocument, "a_to_b")).toBe(null);
});
