// One question to several runs: each has its state, and its answer comes when it is done.

import { untrack } from "svelte";
import { askRun, GoneError, ServerError, type Answered } from "./api";
import { preferences } from "./preferences.svelte";
import { server } from "./server.svelte";
import type { ErrorBody } from "./types";

const RETRY_S = 2;
/** One more than a browser lets out to one server at once would only wait there. */
const AT_ONCE = 5;

export interface Job {
  /** Under which its answer is found: a run's name where a run is asked once. */
  id: string;
  run: string;
  path: string;
  body: Record<string, unknown>;
  /** What the view wants to know of the question when it draws the answer. */
  meta?: unknown;
}

export interface State<T> {
  /** The last answer; it stays, dimmed, while another is awaited, and goes where none comes. */
  answer: (Answered<T> & { meta: unknown; asked: string }) | null;
  /** What is asked now: an answer to something else is not to be read as one to this. */
  asked: string;
  waiting: boolean;
  stopped: boolean;
  /** When it began, in `performance.now`. */
  since: number;
  /** In how many seconds a full queue is asked again. */
  again: number | null;
  error: ErrorBody | null;
}

const NEW: State<never> = { answer: null, asked: "", waiting: false, stopped: false, since: 0, again: null, error: null };

function keyOf({ run, path, body }: Job): string {
  return JSON.stringify([run, path, body]);
}

/** The answer, where it is one to what is asked. */
function own<T>(state: State<T>): State<T>["answer"] {
  return state.answer?.asked === state.asked ? state.answer : null;
}

/** How many requests of all questions are out: while there are some, the page says that it is busy. */
export const out = $state({ requests: 0 });

export class Question<T> {
  states = $state.raw<Record<string, State<T>>>({});
  private aborting: AbortController | null = null;

  state(id: string): State<T> {
    return this.states[id] ?? NEW;
  }

  value(id: string): T | null {
    return this.states[id]?.answer?.value ?? null;
  }

  get waiting(): boolean {
    return Object.values(this.states).some((state) => state.waiting);
  }

  /** Ask; what was asked before is left. */
  ask(jobs: Job[]): void {
    this.aborting?.abort();
    const aborting = (this.aborting = new AbortController());
    const since = performance.now();
    const states: Record<string, State<T>> = {};
    for (const job of jobs) states[job.id] = { ...NEW, answer: this.states[job.id]?.answer ?? null, asked: keyOf(job), waiting: true, since };
    this.states = states;
    const left = [...jobs];
    const worker = async (): Promise<void> => {
      untrack(() => out.requests++);
      try {
        for (let job = left.shift(); job !== undefined; job = left.shift()) await this.one(job, aborting.signal);
      } finally {
        out.requests--;
      }
    };
    for (let n = 0; n < Math.min(AT_ONCE, jobs.length); n++) void worker();
  }

  /** Leave it; answers to what is asked stay. */
  stop(): void {
    this.aborting?.abort();
    this.aborting = null;
    const waiting = Object.entries(this.states).filter(([, state]) => state.waiting);
    if (waiting.length) {
      const stopped = waiting.map(([id, state]) => [id, { ...state, answer: own(state), waiting: false, stopped: true, again: null }]);
      this.states = { ...this.states, ...Object.fromEntries(stopped) };
    }
  }

  private change(id: string, signal: AbortSignal, change: Partial<State<T>>): void {
    if (!signal.aborted) this.states = { ...this.states, [id]: { ...this.state(id), ...change } };
  }

  private async one(job: Job, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const answer = { ...(await askRun<T>(job.path, job.run, { ...job.body, lang: preferences.lang }, signal)), meta: job.meta, asked: keyOf(job) };
        this.change(job.id, signal, { answer, waiting: false, error: null });
        if (!signal.aborted) server.told(job.run, answer.ms, answer.tokens);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ServerError && error.status === 429) {
          for (let left = Math.ceil(error.retryAfter ?? RETRY_S); left > 0 && !signal.aborted; left--) {
            this.change(job.id, signal, { again: left });
            await new Promise((done) => setTimeout(done, 1000));
          }
          this.change(job.id, signal, { again: null });
        } else if (error instanceof ServerError) {
          this.change(job.id, signal, { answer: null, waiting: false, error: error.body });
          return;
        } else {
          if (error instanceof GoneError) server.lost();
          this.change(job.id, signal, { answer: own(this.state(job.id)), waiting: false }); // asked again when the server is back
          if (!(error instanceof GoneError)) throw error;
          return;
        }
      }
    }
  }
}

/** One document that is asked of no run by itself: when a view opens, and again when its effect runs again. */
export class Once<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ErrorBody | null>(null);

  /** Ask; what comes back leaves it. */
  ask(load: (signal: AbortSignal) => Promise<T>): () => void {
    const aborting = new AbortController();
    untrack(() => out.requests++);
    const asked = load(aborting.signal);
    void asked.catch(() => null).finally(() => out.requests--);
    asked.then(
      (found) => {
        if (!aborting.signal.aborted) [this.value, this.error] = [found, null];
      },
      (failed: unknown) => {
        if (aborting.signal.aborted) return;
        if (failed instanceof ServerError) this.error = failed.body;
        else if (failed instanceof GoneError) server.lost();
        else throw failed;
      },
    );
    return () => aborting.abort();
  }
}
