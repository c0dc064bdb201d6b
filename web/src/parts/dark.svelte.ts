// Whether the page is dark now: what is drawn on a canvas has to know, as no style sheet reaches there.

import { preferences } from "../preferences.svelte";

const query = matchMedia("(prefers-color-scheme: dark)");
let system = $state(query.matches);
query.addEventListener("change", () => (system = query.matches));

export function isDark(): boolean {
  return preferences.theme === "auto" ? system : preferences.theme === "dark";
}
