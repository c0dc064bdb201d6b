// Every view: one line here, one file in views/, its words in words/en.ts and words/zh.ts.

import type { Component } from "svelte";

interface View {
  id: string;
  /** Behind g, it opens the view. */
  key: string;
  /** Abilities of which a run needs one; none = any run will do. */
  needs: readonly string[];
  load: () => Promise<{ default: Component }>;
}

export const views = [
  { id: "line", key: "l", needs: [], load: () => import("./views/Line.svelte") },
  { id: "tokens", key: "t", needs: ["tokenize"], load: () => import("./views/Tokens.svelte") },
  { id: "fill", key: "f", needs: ["fill", "directions"], load: () => import("./views/Fill.svelte") },
  { id: "masks", key: "m", needs: ["fill"], load: () => import("./views/Masks.svelte") },
  { id: "attention", key: "a", needs: ["attention"], load: () => import("./views/Attention.svelte") },
  { id: "senses", key: "e", needs: [], load: () => import("./views/Senses.svelte") },
  { id: "neighbours", key: "n", needs: ["neighbours"], load: () => import("./views/Neighbours.svelte") },
  { id: "compare", key: "c", needs: [], load: () => import("./views/Compare.svelte") },
  { id: "write", key: "w", needs: ["generate"], load: () => import("./views/Write.svelte") },
  { id: "score", key: "s", needs: ["score"], load: () => import("./views/Score.svelte") },
  { id: "tasks", key: "k", needs: ["predict"], load: () => import("./views/Tasks.svelte") },
  { id: "mix", key: "x", needs: ["mix"], load: () => import("./views/Mix.svelte") },
  { id: "training", key: "r", needs: [], load: () => import("./views/Training.svelte") },
  { id: "api", key: "i", needs: [], load: () => import("./views/Api.svelte") },
] as const satisfies readonly View[];

export type ViewId = (typeof views)[number]["id"];

export const firstView: ViewId = "line";

export function isView(id: string): id is ViewId {
  return views.some((view) => view.id === id);
}

export function viewOf(id: ViewId): View {
  return views.find((view) => view.id === id) as View;
}
