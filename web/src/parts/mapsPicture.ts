// The maps that are shown, as a picture for slides: drawn from data, black on white.

import { Drawing, INK, LINE } from "../svg";
import { boxOf, fitted, pilesOf, SHAPES, traced, type LayerMap } from "./points";

export interface ShownMap {
  title: string;
  map: LayerMap;
  /** Of all layers: they have one scale. */
  maps: LayerMap[];
}

const SIDE = 420;

export function mapsPicture(
  shown: ShownMap[],
  classes: number[] | null,
  colours: readonly string[],
  legend: string[],
): string {
  const drawing = new Drawing();
  shown.forEach(({ title, map, maps }, number) => {
    const left = 16 + number * (SIDE + 28);
    drawing.text(left, 24, title, { size: 15, bold: true });
    drawing.path(`M${left} 38h${SIDE}v${SIDE}h${-SIDE}z`, { stroke: LINE });
    drawing.reach(left + SIDE, 38 + SIDE);
    const fit = fitted(boxOf(maps), SIDE, SIDE, 22);
    const x = (value: number): number => left + fit.left + fit.scale * value;
    const y = (value: number): number => 38 + fit.top - fit.scale * value;
    const piles = pilesOf(map);
    if (piles.length) {
      for (const pile of piles) {
        const r = 13 + 20 * Math.sqrt(pile.uses.length / map.x.length);
        drawing.path(traced("circle", x(pile.x), y(pile.y), r), { fill: "#ffffff", stroke: INK });
        drawing.text(x(pile.x), y(pile.y) + 5, String(pile.uses.length), { size: 13, bold: true, anchor: "middle" });
      }
      return;
    }
    for (let i = 0; i < map.x.length; i++) {
      const kind = classes?.[i] ?? 0;
      drawing.path(traced(SHAPES[kind % SHAPES.length]!, x(map.x[i]!), y(map.y[i]!), 4), {
        fill: colours[kind % colours.length]!,
        stroke: INK,
        width: 0.4,
        opacity: 0.85,
      });
    }
  });
  let left = 22;
  legend.forEach((name, kind) => {
    const top = 38 + SIDE + 28;
    drawing.path(traced(SHAPES[kind % SHAPES.length]!, left, top - 5, 5), { fill: colours[kind % colours.length]!, stroke: INK, width: 0.4 });
    drawing.text(left + 12, top, name);
    left += 40 + name.length * 8;
  });
  return drawing.toString();
}
