// Lines that a reader pasted or read from a file: texts, with the senses that stand before them.

export interface Pasted {
  lines: string[];
  /** The sense of each line where the reader named one, else null. */
  senses: (string | null)[];
}

/** A text a line, or a sense, a tab and a text. */
export function pasted(text: string): Pasted {
  const found: Pasted = { lines: [], senses: [] };
  for (const line of text.split(/\r?\n/)) {
    const parts = line.split("\t");
    const words = parts.slice(parts.length > 1 ? 1 : 0).join(" ").trim();
    if (!words || (parts.length > 1 && parts[0] === "sense")) continue;
    found.lines.push(words);
    found.senses.push(parts.length > 1 && parts[0]!.trim() ? parts[0]!.trim() : null);
  }
  return found;
}
