// A text as words with their places: for clicking on, in English and Chinese.

/** What stands for a hidden word, as `polyseme fill` reads it. */
const MASKS =
  /[[［【]\s*(?:mask|blank)\s*[\]］】]|[<＜]\s*(?:mask|blank)\s*[>＞]|\{\s*mask\s*\}|<\|mask\|>|(?<!_)_{3,}(?!_)|＿{2,}/giu;

export interface Piece {
  text: string;
  start: number;
  end: number;
  kind: "word" | "mask" | "other";
}

const segmenters = new Map<string, Intl.Segmenter>();

function segmenter(text: string): Intl.Segmenter {
  const lang = /\p{Script=Han}/u.test(text) ? "zh" : "en";
  const known = segmenters.get(lang) ?? new Intl.Segmenter(lang, { granularity: "word" });
  segmenters.set(lang, known);
  return known;
}

/** All of a text, in order: words, masks and what stands between them. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  const between = (start: number, end: number): void => {
    for (const part of segmenter(text).segment(text.slice(start, end))) {
      const at = start + part.index;
      const kind = part.isWordLike ? "word" : "other";
      found.push({ text: part.segment, start: at, end: at + part.segment.length, kind });
    }
  };
  let at = 0;
  for (const mask of text.matchAll(MASKS)) {
    between(at, mask.index);
    at = mask.index + mask[0].length;
    found.push({ text: mask[0], start: mask.index, end: at, kind: "mask" });
  }
  between(at, text.length);
  return found;
}

export function words(text: string): Piece[] {
  return pieces(text).filter((piece) => piece.kind === "word");
}

/** Python counts characters, JavaScript halves of them: places in Python's counting of a place here. */
export function codePoints(text: string, at: number): number {
  let n = 0;
  for (const _ of text.slice(0, at)) n += 1;
  return n;
}

/** The place here of a place in Python's counting. */
export function unitsOf(text: string): number[] {
  const places: number[] = [];
  let at = 0;
  for (const character of text) {
    places.push(at);
    at += character.length;
  }
  places.push(at);
  return places;
}
