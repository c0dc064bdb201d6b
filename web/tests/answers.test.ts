import { expect, test } from "vitest";
import { bestTokens, laneTokens, pieceAt } from "../src/parts/answers";

const text = "😀 the cat sat.";
const said = {
  tokens: [
    { start: 2, end: 5, start_probability: 0.7, end_probability: 0.1 },
    { start: 6, end: 9, start_probability: 0.2, end_probability: 0.8 },
    { start: 10, end: 13, start_probability: 0.1, end_probability: 0.1 },
  ],
};

test("a passage is shown whole, its tokens by their places in Python's characters", () => {
  const tokens = laneTokens(text, said);
  const pieces = pieceAt(text, tokens, [3, 10]);
  expect(pieces.map((piece) => piece.text).join("")).toBe(text);
  expect(pieces.filter((piece) => piece.token).map((piece) => piece.text)).toEqual(["the", "cat", "sat"]);
  expect(pieces.filter((piece) => piece.inside).map((piece) => piece.text)).toEqual(["the", " ", "cat"]);
});

test("pieces of one character are shown once", () => {
  const twice = [0, 1].map(() => ({ start: 0, end: 2, first: 0.5, last: 0.5 }));
  expect(pieceAt("😀", twice, null)).toHaveLength(1);
});

test("where an answer most probably begins and ends", () => {
  const tokens = laneTokens(text, said);
  const words = (side: "first" | "last"): string[] => bestTokens(tokens, side, 2).map((token) => text.slice(token.start, token.end));
  expect(words("first")).toEqual(["the", "cat"]);
  expect(words("last")[0]).toBe("cat");
});
