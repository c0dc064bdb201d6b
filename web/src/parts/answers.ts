// The places of an answer in a passage, as `polyseme predict --detail` has them.

import { unitsOf } from "../segment";
import type { Prediction } from "../types";

/** A token of the passage, its place in JavaScript's units. */
export interface LaneToken {
  start: number;
  end: number;
  /** How probable it is that the answer begins, and that it ends with it. */
  first: number;
  last: number;
}

export function laneTokens(text: string, said: Prediction): LaneToken[] {
  const places = unitsOf(text);
  return (said.tokens ?? []).map((token) => ({
    start: places[token.start] ?? text.length,
    end: places[token.end] ?? text.length,
    first: token.start_probability ?? 0,
    last: token.end_probability ?? 0,
  }));
}

export interface PassagePiece {
  text: string;
  token: LaneToken | null;
  inside: boolean;
}

/** The whole passage in order: tokens and what stands between them, each inside the answer or not. */
export function pieceAt(text: string, tokens: readonly LaneToken[], answer: [number, number] | null): PassagePiece[] {
  const found: PassagePiece[] = [];
  const add = (start: number, end: number, token: LaneToken | null): void => {
    if (end > start) found.push({ text: text.slice(start, end), token, inside: answer !== null && start < answer[1] && end > answer[0] });
  };
  let at = 0;
  for (const token of tokens) {
    if (token.start < at) continue; // a piece of a character that has been shown
    add(at, token.start, null);
    add(token.start, token.end, token);
    at = Math.max(at, token.end);
  }
  add(at, text.length, null);
  return found;
}

/** The tokens where an answer most probably begins, or ends, the best first. */
export function bestTokens(tokens: readonly LaneToken[], side: "first" | "last", top = 3): LaneToken[] {
  return tokens.toSorted((a, b) => b[side] - a[side]).slice(0, top);
}
