// Keys of one letter, for readers who want them; never while something is being typed.

/** What the shown view does with [ and ], with numbers, and with Esc. */
export interface ViewKeys {
  layer?: (step: -1 | 1) => void;
  number?: (n: number) => void;
  free?: () => void;
}

export const viewKeys: { now: ViewKeys } = { now: {} };

export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  return (
    event.isComposing || (target !== null && (target.matches("input:not([type=checkbox],[type=range]), textarea, select") || target.isContentEditable))
  );
}
