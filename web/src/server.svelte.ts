// What is known of the server: its runs, whether it answers, and what it did last.

import { get, GoneError, ServerError } from "./api";
import { route } from "./route.svelte";
import type { ErrorBody, RunAbout, ServerAbout } from "./types";
import { viewOf, type ViewId } from "./views";

const AGAIN_MS = 2000;
/** From 1-of-N to GPT, as the lecture has them. */
const LINE = ["onehot", "word-classes", "word2vec", "elmo", "bert", "modernbert", "ernie", "gpt", "qwen3"];

class Server {
  runs = $state.raw<RunAbout[]>([]);
  about = $state.raw<ServerAbout | null>(null);
  loaded = $state(false);
  gone = $state(false);
  /** Counts how often the server came back: what was being asked then is asked again. */
  came = $state(0);
  refused = $state.raw<ErrorBody | null>(null);
  /** The last answers, a run each. */
  last = $state.raw<{ run: string; ms: number; tokens: number }[]>([]);
  waiting = $state(0);

  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Ask for the runs; again until the server answers. */
  async start(): Promise<void> {
    try {
      const [{ runs }, about] = await Promise.all([get<{ runs: RunAbout[] }>("api/runs"), get<ServerAbout>("api/server")]);
      // a mix is nothing that a run is asked for, but a view needs runs that have one
      this.runs = runs.map((run) => (run.mix ? { ...run, abilities: [...run.abilities, "mix"] } : run)).toSorted((a, b) => place(a) - place(b));
      this.about = about;
      this.loaded = true;
      this.refused = null;
      if (this.gone) {
        this.gone = false;
        this.came += 1;
      }
    } catch (error) {
      if (error instanceof ServerError) {
        this.refused = error.body;
        this.gone = false;
      } else this.lost();
    }
  }

  /** It does not answer: look for it every two seconds. */
  lost(): void {
    this.gone = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.look(), AGAIN_MS);
  }

  private async look(): Promise<void> {
    try {
      await get("health");
    } catch (error) {
      if (error instanceof GoneError) {
        this.lost();
        return;
      }
    }
    await this.start();
  }

  told(run: string, ms: number, tokens: number): void {
    this.last = [...this.last.filter((each) => each.run !== run), { run, ms, tokens }].slice(-4);
  }

  /** The chosen runs, in the order of the line. */
  get chosen(): RunAbout[] {
    const names = route.runs;
    return names === null ? suggested(this.runs, viewOf(route.view).needs) : this.runs.filter((run) => names.includes(run.run));
  }

  /** The chosen runs that a view can ask. */
  asked(view: ViewId = route.view): RunAbout[] {
    return this.chosen.filter((run) => can(run, viewOf(view).needs));
  }
}

function place(run: RunAbout): number {
  const at = LINE.indexOf(run.model ?? "");
  return at < 0 ? LINE.length : at;
}

/** Whether a run has one of some abilities. */
export function can(run: RunAbout, needs: readonly string[]): boolean {
  return run.error === undefined && (needs.length === 0 || needs.some((need) => run.abilities.includes(need)));
}

/**
 * The runs that a view begins with: those that were pretrained, if one of them can do it. A line of models beside each other
 * is what the views are for; the runs that were adapted from them would say the same again, once a task and a seed.
 */
export function suggested(runs: RunAbout[], needs: readonly string[]): RunAbout[] {
  const pretrained = runs.filter((run) => run.task === null);
  if (pretrained.some((run) => can(run, needs))) return pretrained;
  const able = runs.filter((run) => can(run, needs));
  // of those that were adapted, the ones that learned a task as a whole: a learned mix of layers has a view of its own
  const whole = needs.includes("mix") ? [] : able.filter((run) => !run.mix);
  return [whole, able, runs].find((each) => each.length > 0) ?? [];
}

export const server = new Server();
