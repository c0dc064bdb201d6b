// Points written into the pixels of a picture, without the help of a canvas: drawing 1,500 of them takes a millisecond,
// where the browser itself takes one call of its drawing library a point and does the work again in another process.

/** A shape to be put down many times: its pixels as runs of (place, colour times part, 128 less part). */
export interface Stamp {
  side: number;
  /** Pixels that are not transparent. */
  x: Uint8Array;
  y: Uint8Array;
  /** Red and blue, green, each times the pixel's part of 128. */
  redBlue: Int32Array;
  green: Int32Array;
  /** What is left of the pixel below, of 128. */
  rest: Uint8Array;
}

/** @param pixels RGBA as `getImageData` has them, not multiplied by their alpha. */
export function stampOf(pixels: Uint8ClampedArray, side: number): Stamp {
  const found: number[] = [];
  for (let i = 0; i < side * side; i++) if (pixels[4 * i + 3]! > 0) found.push(i);
  const stamp: Stamp = {
    side,
    x: new Uint8Array(found.length),
    y: new Uint8Array(found.length),
    redBlue: new Int32Array(found.length),
    green: new Int32Array(found.length),
    rest: new Uint8Array(found.length),
  };
  found.forEach((i, n) => {
    const [red, green, blue, alpha] = [pixels[4 * i]!, pixels[4 * i + 1]!, pixels[4 * i + 2]!, pixels[4 * i + 3]!];
    const part = Math.round((128 * alpha) / 255);
    stamp.x[n] = i % side;
    stamp.y[n] = Math.floor(i / side);
    stamp.redBlue[n] = (red | (blue << 16)) * part;
    stamp.green[n] = (green << 8) * part;
    stamp.rest[n] = 128 - part;
  });
  return stamp;
}

/** A picture's pixels, a number each: alpha, blue, green, red, as little-endian machines have RGBA. */
export class Pixels {
  readonly data: ImageData;
  private readonly numbers: Int32Array;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.data = new ImageData(width, height);
    this.numbers = new Int32Array(this.data.data.buffer);
  }

  /** All of it in one colour, red, green and blue. */
  clear([red, green, blue]: readonly [number, number, number]): void {
    this.numbers.fill(red | (green << 8) | (blue << 16) | (255 << 24));
  }

  /** Put a stamp down with its upper left corner at a place; what lies outside is left out. */
  put(stamp: Stamp, left: number, top: number): void {
    const { numbers, width, height } = this;
    const { x, y, redBlue, green, rest, side } = stamp;
    if (left < 0 || top < 0 || left + side > width || top + side > height) {
      for (let n = 0; n < x.length; n++) {
        const [px, py] = [left + x[n]!, top + y[n]!];
        if (px >= 0 && py >= 0 && px < width && py < height) this.mix(py * width + px, redBlue[n]!, green[n]!, rest[n]!);
      }
      return;
    }
    const from = top * width + left;
    for (let n = 0; n < x.length; n++) {
      const at = from + y[n]! * width + x[n]!;
      const below = numbers[at]!;
      const keep = rest[n]!;
      numbers[at] =
        ((((below & 0xff00ff) * keep + redBlue[n]!) >>> 7) & 0xff00ff) | ((((below & 0xff00) * keep + green[n]!) >>> 7) & 0xff00) | (255 << 24);
    }
  }

  private mix(at: number, redBlue: number, green: number, keep: number): void {
    const below = this.numbers[at]!;
    this.numbers[at] = ((((below & 0xff00ff) * keep + redBlue) >>> 7) & 0xff00ff) | ((((below & 0xff00) * keep + green) >>> 7) & 0xff00) | (255 << 24);
  }
}
