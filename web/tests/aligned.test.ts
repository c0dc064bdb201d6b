import { expect, test } from "vitest";
import { cellsOf, linesOf } from "../src/parts/aligned";

const shown = (text: string, width: number, stretches: [number, number][] = []): string[] =>
  linesOf(text, stretches.map(([start, end]) => ({ start, end })), width).map((line) => text.slice(line.start, line.end));

test("a Chinese character takes two cells, and so do its marks", () => {
  expect(["a", "é", "天", "，", "😀"].map(cellsOf)).toEqual([1, 1, 2, 2, 2]);
});

test("lines end at spaces, and where the text has a line break", () => {
  expect(shown("the cat sees\na dog", 9)).toEqual(["the cat ", "sees\n", "a dog"]);
});

test("no stretch is cut unless it is wider than a line", () => {
  expect(shown("abcdefgh", 5)).toEqual(["abcde", "fgh"]);
  expect(shown("abcdefgh", 5, [[3, 6]])).toEqual(["abc", "defgh"]);
  expect(shown("new york is", 9, [[0, 8]])).toEqual(["new york ", "is"]);
  expect(shown("abcdefgh", 3, [[0, 8]])).toEqual(["abc", "def", "gh"]);
});

test("cells say where characters begin, halves of one in the same place", () => {
  const [line] = linesOf("天a😀b", [], 20);
  expect(line).toEqual({ start: 0, end: 5, cells: [0, 2, 3, 3, 5, 6] });
  expect(linesOf("天气好", [], 4).map(({ cells }) => cells)).toEqual([[0, 2, 4], [0, 2]]);
});
