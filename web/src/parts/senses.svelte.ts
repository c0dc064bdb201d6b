// The uses of a word in several runs: one list of uses, then of every run its maps, and seconds later its groups.

import { GoneError, lines, post, ServerError } from "../api";
import { server } from "../server.svelte";
import type { ErrorBody } from "../types";
import type { LayerMap, Snippet } from "./points";

export interface UsesDocument {
  word: string;
  from: string;
  uses: { id: string; text: string; start: number; end: number }[];
  found: number;
  texts_read: number;
  notes: string[];
}

export interface Maps {
  word: string;
  uses: number;
  model: string;
  reach: "none" | "left" | "right" | "both";
  drawn: Snippet[];
  layers: LayerMap[];
  notes: string[];
}

export interface Group {
  uses: number;
  words: string[];
  typical: Snippet[];
}

export interface SensesDocument {
  words: { word: string; uses: number; drawn: Snippet[] }[];
  runs: {
    name: string;
    model: string;
    static: boolean;
    seconds: number;
    words: { layer: number; groups: Group[]; map: { group: number[] }; maps: LayerMap[] }[];
  }[];
  notes: string[];
}

export interface Seen {
  maps: Maps | null;
  answer: SensesDocument | null;
  error: ErrorBody | null;
  /** Milliseconds until the maps and until the groups were there. */
  ms: [number, number];
}

interface SensesLine {
  run: string;
  maps?: Maps;
  answer?: SensesDocument;
  error?: ErrorBody;
}

export interface AskedUses {
  word: string;
  /** The run whose own text is searched. */
  of: string;
  from: "store" | "texts" | string[];
  limit: number;
  seed: number;
}

const NEW: Seen = { maps: null, answer: null, error: null, ms: [0, 0] };

export class SenseQuestion {
  uses = $state.raw<UsesDocument | null>(null);
  seen = $state.raw<Record<string, Seen>>({});
  error = $state.raw<ErrorBody | null>(null);
  waiting = $state(false);
  stopped = $state(false);
  since = $state(0);
  again = $state<number | null>(null);
  private aborting: AbortController | null = null;

  of(run: string): Seen {
    return this.seen[run] ?? NEW;
  }

  /** Look for the uses, then have every run read them; what was asked before is left, and stays until the new is there. */
  async ask(asked: AskedUses, runs: string[], lang: string): Promise<void> {
    this.aborting?.abort();
    const { signal } = (this.aborting = new AbortController());
    this.since = performance.now();
    this.waiting = true;
    this.stopped = false;
    this.error = null;
    try {
      while (!signal.aborted) {
        try {
          await this.once(asked, runs, lang, signal);
          break;
        } catch (error) {
          if (!(error instanceof ServerError && error.status === 429)) throw error;
          for (let left = Math.ceil(error.retryAfter ?? 2); left > 0 && !signal.aborted; left--) {
            this.again = left;
            await new Promise((done) => setTimeout(done, 1000));
          }
          this.again = null;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ServerError) this.error = error.body;
      else if (error instanceof GoneError) server.lost();
      else throw error;
    } finally {
      if (!signal.aborted) this.waiting = false;
    }
  }

  private async once(asked: AskedUses, runs: string[], lang: string, signal: AbortSignal): Promise<void> {
    const { word, of, from, limit, seed } = asked;
    const uses = await post<UsesDocument>("api/uses", { run: of, word, from, limit, seed, lang }, signal);
    if (signal.aborted) return;
    const body = { runs, word, uses: uses.uses.map(({ id, text, start, end }) => ({ id, text, start, end })), seed, lang };
    let fresh: Record<string, Seen> = {};
    for await (const line of lines<SensesLine>("api/senses", body, signal)) {
      if (signal.aborted) return;
      if (this.uses !== uses) {
        this.uses = uses;
        this.seen = {};
      }
      const before = fresh[line.run] ?? NEW;
      const ms = performance.now() - this.since;
      fresh = {
        ...fresh,
        [line.run]: {
          maps: line.maps ?? before.maps,
          answer: line.answer ?? before.answer,
          error: line.error ?? before.error,
          ms: line.maps ? [ms, 0] : [before.ms[0], ms],
        },
      };
      if (line.maps) server.told(line.run, ms, 0);
      this.seen = fresh;
    }
  }

  stop(): void {
    if (!this.waiting) return;
    this.aborting?.abort();
    this.waiting = false;
    this.again = null;
    this.stopped = true;
  }
}
