// Curves as a picture for slides: drawn from data, black on white.

import { Drawing, LINE, SOFT } from "../svg";
import { marks, short } from "./curves";
import type { Curve } from "./LineChart.svelte";

const [LEFT, TOP, WIDE, HIGH] = [64, 24, 720, 380];

export function curvesPicture(curves: Curve[], x: string, y: string, log: boolean): string {
  const drawing = new Drawing();
  const points = curves.flatMap((curve) => curve.points).filter(([at]) => !log || at > 0);
  const [low, high] = [log ? Math.min(...points.map(([at]) => at)) : 0, Math.max(...points.map(([at]) => at))];
  const [least, most] = [Math.min(...points.map(([, value]) => value)), Math.max(...points.map(([, value]) => value))];
  const px = (at: number): number => LEFT + WIDE * (log ? Math.log(at / low) / Math.log(high / low) : (at - low) / (high - low));
  const py = (value: number): number => TOP + (HIGH * (most - value)) / Math.max(most - least, 1e-9);
  for (const mark of marks(least, most, false)) {
    drawing.line(LEFT, py(mark), LEFT + WIDE, py(mark), LINE);
    drawing.text(LEFT - 8, py(mark) + 4, String(Number(mark.toPrecision(6))), { size: 12, anchor: "end", fill: SOFT });
  }
  for (const mark of marks(Math.max(low, log ? 1 : 0), high, log)) drawing.text(px(mark), TOP + HIGH + 18, short(mark), { size: 12, anchor: "middle", fill: SOFT });
  drawing.text(LEFT + WIDE / 2, TOP + HIGH + 40, x, { size: 13, anchor: "middle", fill: SOFT });
  drawing.text(LEFT, TOP - 8, y, { size: 13, fill: SOFT });
  let key = TOP + HIGH + 64;
  for (const curve of curves) {
    const kept = curve.points.filter(([at]) => !log || at > 0);
    const d = kept.map(([at, value], i) => `${i ? "L" : "M"}${px(at).toFixed(1)} ${py(value).toFixed(1)}`).join("");
    const style = { stroke: curve.colour, width: curve.faint ? 1 : 2.2, opacity: curve.faint ? 0.55 : 1, dashes: curve.dashes ? "7 4" : "" };
    drawing.path(d, style);
    drawing.path(`M${LEFT} ${key - 5}h30`, style);
    drawing.text(LEFT + 38, key, curve.name, { size: 13 });
    key += 20;
  }
  drawing.reach(LEFT + WIDE + 16, key);
  return drawing.toString();
}
