import { beforeAll, expect, test } from "vitest";
import { Pixels, stampOf } from "../src/parts/pixels";

beforeAll(() => {
  // of browsers alone
  (globalThis as { ImageData?: unknown }).ImageData ??= class {
    data: Uint8ClampedArray;
    constructor(
      readonly width: number,
      readonly height: number,
    ) {
      this.data = new Uint8ClampedArray(4 * width * height);
    }
  };
});

const pixel = (pixels: Pixels, x: number, y: number): number[] => [...pixels.data.data.slice(4 * (y * pixels.width + x), 4 * (y * pixels.width + x) + 4)];

test("a stamp covers, mixes or leaves what lies below, as its alpha says", () => {
  const stamp = stampOf(Uint8ClampedArray.from([255, 0, 10, 255, 0, 200, 0, 128, 9, 9, 9, 0, 0, 0, 255, 64]), 2);
  expect(stamp.x).toHaveLength(3);
  const pixels = new Pixels(4, 4);
  pixels.clear([255, 255, 255]);
  pixels.put(stamp, 1, 1);
  expect(pixel(pixels, 1, 1)).toEqual([255, 0, 10, 255]);
  const [red, green, blue, alpha] = pixel(pixels, 2, 1);
  expect([Math.abs(red! - 127), Math.abs(green! - 227), Math.abs(blue! - 127), alpha].map((n) => n! < 3 || n === 255)).toEqual([true, true, true, true]);
  expect(pixel(pixels, 1, 2)).toEqual([255, 255, 255, 255]);
  expect(pixel(pixels, 0, 0)).toEqual([255, 255, 255, 255]);
});

test("what lies over the edge is left out", () => {
  const stamp = stampOf(new Uint8ClampedArray(16).fill(255), 2);
  const pixels = new Pixels(3, 3);
  pixels.clear([0, 0, 0]);
  pixels.put(stamp, -1, -1);
  pixels.put(stamp, 2, 2);
  expect([pixel(pixels, 0, 0)[0], pixel(pixels, 1, 0)[0], pixel(pixels, 2, 2)[0], pixel(pixels, 0, 2)[0]]).toEqual([255, 0, 255, 0]);
});
