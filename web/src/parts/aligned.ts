// A text laid out by its characters, so that what several runs make of it stands below it, place by place.

/** A stretch of the text that something covers. */
export interface Stretch {
  start: number;
  end: number;
}

/** How many cells a character takes: two where it is as wide as high, as in Chinese. */
export function cellsOf(character: string): number {
  return /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u.test(character) ? 2 : 1;
}

/** A line of the layout: its place in the text, and in which cell (from 0) each of its characters begins; the last is its width. */
export interface Line extends Stretch {
  cells: number[];
}

/**
 * Lines of at most `width` cells. They end where no stretch is cut, at a space if there is one; where that cannot be
 * they end anywhere. A line break of the text ends one, too.
 *
 * @param text in JavaScript's units, as are the stretches.
 */
export function linesOf(text: string, stretches: readonly Stretch[], width: number): Line[] {
  const cut = new Uint8Array(text.length + 1); // 1 = a stretch goes on over this place
  for (const { start, end } of stretches) for (let at = start + 1; at < end; at++) cut[at] = 1;
  const lines: Line[] = [];
  let start = 0;
  while (start < text.length) {
    const cells: number[] = [];
    let [at, filled, best, bestSpace] = [start, 0, -1, -1];
    let broken = false;
    while (at < text.length) {
      const character = String.fromCodePoint(text.codePointAt(at)!);
      const wide = cellsOf(character);
      if (filled + wide > width && at > start) break;
      for (let i = 0; i < character.length; i++) cells.push(filled);
      at += character.length;
      filled += wide;
      if (!cut[at]) {
        best = at;
        if (/\s/u.test(character) || at === text.length) bestSpace = at;
      }
      if (character === "\n") {
        broken = true;
        break;
      }
    }
    const end = broken || at >= text.length ? at : bestSpace > start ? bestSpace : best > start ? best : at;
    lines.push({ start, end, cells: [...cells.slice(0, end - start), end - start < cells.length ? cells[end - start]! : filled] });
    start = end;
  }
  return lines;
}
