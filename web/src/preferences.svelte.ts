// How a reader likes the page: kept in this browser, never sent. Nothing that is typed is among it.

import { route } from "./route.svelte";
import { en, type Words } from "./words/en";
import { zh } from "./words/zh";

export type Theme = "auto" | "light" | "dark";
const THEMES: Theme[] = ["auto", "light", "dark"];

function kept(name: string): string | null {
  try {
    return localStorage.getItem(`polyseme-${name}`);
  } catch {
    return null; // a browser that keeps nothing
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`polyseme-${name}`, value);
  } catch {
    // then it holds for this visit
  }
}

class Preferences {
  theme = $state<Theme>((kept("theme") as Theme | null) ?? "auto");
  letters = $state(kept("letters") !== "off");
  private chosen = $state(kept("lang") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"));

  get lang(): "en" | "zh" {
    return route.lang ?? (this.chosen === "zh" ? "zh" : "en");
  }

  get words(): Words {
    return this.lang === "zh" ? zh : en;
  }

  switchLang(): void {
    this.chosen = this.lang === "zh" ? "en" : "zh";
    route.lang = route.lang === null ? null : (this.chosen as "en" | "zh");
    keep("lang", this.chosen);
  }

  switchTheme(): void {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length] as Theme;
    keep("theme", this.theme);
  }

  switchLetters(): void {
    this.letters = !this.letters;
    keep("letters", this.letters ? "on" : "off");
  }
}

export const preferences = new Preferences();
