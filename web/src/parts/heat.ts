// A table of numbers, each shaded by its size: what parts/Heat.svelte shows, and its picture for slides.

import { BLUE, Drawing, INK, SOFT, widthOf } from "../svg";

export interface HeatCell {
  value: number | null;
  /** What is shown when the pointer rests there. */
  hint?: string;
  /** Framed. */
  strong?: boolean;
}

export interface HeatRow {
  name: string;
  cells: HeatCell[];
}

/** Columns up to which every number is written; of more only the shade is seen. */
export const WRITTEN = 14;

const ROW = 26;
const COLUMN = 52;

/** How dark a cell is: `most` is the darkest, 0 and less is paper. */
export function darkness(value: number | null, most = 1): number {
  return value === null ? 0 : Math.min(1, Math.max(0, value / most));
}

/** Adds a table below what is drawn; returns where it ends. */
export function drawHeat(drawing: Drawing, top: number, title: string, columns: string[], rows: HeatRow[], explains: string, most = 1): number {
  drawing.text(16, top + 24, title, { size: 15, bold: true });
  const left = 24 + Math.max(0, ...rows.map((row) => widthOf(row.name)));
  const wide = columns.length > WRITTEN ? COLUMN / 2 : Math.max(COLUMN, ...columns.map((name) => widthOf(name, 12) + 10));
  columns.forEach((name, j) => drawing.text(left + (j + 0.5) * wide, top + 50, name, { size: 12, anchor: "middle" }));
  rows.forEach((row, i) => {
    const y = top + 58 + i * ROW;
    drawing.text(left - 8, y + 16, row.name, { anchor: "end" });
    row.cells.forEach(({ value, strong }, j) => {
      if (value === null) return;
      const box = `M${left + j * wide} ${y}h${wide - 2}v24h${2 - wide}z`;
      drawing.path(box, { fill: BLUE, opacity: Math.max(0.01, 0.75 * darkness(value, most)) });
      if (strong) drawing.path(box, { stroke: INK, width: 1.5 });
      if (columns.length <= WRITTEN) drawing.text(left + (j + 0.5) * wide - 1, y + 16, value.toFixed(2), { size: 12, anchor: "middle" });
    });
  });
  const end = top + 66 + rows.length * ROW;
  drawing.reach(left + columns.length * wide, end);
  drawing.text(left, end + 12, explains, { size: 11, fill: SOFT });
  return end + 20;
}
