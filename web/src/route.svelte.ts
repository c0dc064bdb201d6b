// What is asked, and the address that says it: #view=fill&runs=bert,gpt&text=…&top=10. Whoever opens the address asks the same.

import { decoded, takeToken } from "./api";
import { firstView, isView, type ViewId } from "./views";

const LONGEST = 2000;
const OURS = ["view", "runs", "text", "lang"];

class Route {
  view = $state<ViewId>(firstView);
  /** Names of the chosen runs; null = all that there are. */
  runs = $state<string[] | null>(null);
  /** The text that was asked last; `draft` is what stands in the box. */
  text = $state("");
  draft = $state("");
  /** Counts how often "run" was pressed: the same question may be asked again. */
  asked = $state(0);
  /** A view's own settings. Each view keeps its own while another is shown. */
  private settings = $state<Partial<Record<ViewId, Record<string, string>>>>({});
  lang = $state<"en" | "zh" | null>(null);

  option(name: string, fallback = ""): string {
    return this.settings[this.view]?.[name] ?? fallback;
  }

  number(name: string, fallback: number, least: number, most: number): number {
    const typed = this.option(name);
    const value = Number(typed);
    return typed !== "" && Number.isFinite(value) ? Math.min(most, Math.max(least, value)) : fallback;
  }

  /** Change a setting; an empty one is the default, and not in the address. */
  set(name: string, value: string | number | boolean): void {
    const now = { ...this.settings[this.view] };
    const text = value === true ? "1" : value === false ? "" : String(value);
    if (text === "") delete now[name];
    else now[name] = text;
    this.settings = { ...this.settings, [this.view]: now };
  }

  /** Ask what stands in the box. */
  ask(): void {
    this.text = this.draft;
    this.asked += 1;
  }

  /** Ask another text, with the settings that go with it. */
  show(text: string, settings: Record<string, string> = {}): void {
    this.settings = { ...this.settings, [this.view]: settings };
    this.draft = text;
    this.ask();
  }

  /** Go to a view; the text and the runs stay. */
  go(view: ViewId): void {
    if (view === this.view) return;
    history.pushState(null, "", this.hash(view));
    this.view = view;
    this.text = this.draft;
  }

  get tooLong(): boolean {
    return this.text.length > LONGEST;
  }

  hash(view: ViewId = this.view, lang = this.lang): string {
    const parts = new URLSearchParams({ view });
    if (this.runs !== null) parts.set("runs", this.runs.map(encodeURIComponent).join(","));
    for (const [name, value] of Object.entries(this.settings[view] ?? {})) parts.set(name, value);
    if (this.text && !this.tooLong) parts.set("text", this.text);
    if (lang !== null) parts.set("lang", lang);
    return `#${parts.toString().replaceAll("+", "%20")}`;
  }

  /** Take over what an address says. */
  read(hash: string): void {
    const rest = takeToken(hash);
    if (rest !== hash) history.replaceState(null, "", rest || location.pathname);
    const parts = new URLSearchParams(rest.replace(/^#/, ""));
    const view = parts.get("view");
    if (view !== null && isView(view)) this.view = view;
    const runs = parts.get("runs");
    this.runs = runs === null ? null : runs.split(",").filter(Boolean).map(decoded);
    const text = parts.get("text");
    if (text !== null) this.text = this.draft = text;
    const lang = parts.get("lang");
    if (lang === "en" || lang === "zh") this.lang = lang;
    const settings: Record<string, string> = {};
    for (const [name, value] of parts) if (!OURS.includes(name)) settings[name] = value;
    this.settings = { ...this.settings, [this.view]: settings };
  }
}

export const route = new Route();
