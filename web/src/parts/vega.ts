// The drawing libraries in a chunk of their own: 258 KB that only charts need.

import * as vega from "vega";
import { expressionInterpreter } from "vega-interpreter";
import { compile, type TopLevelSpec } from "vega-lite";

/** Draw a chart; what is returned takes it away. */
export async function draw(
  target: HTMLElement,
  spec: Record<string, unknown>,
  ink: string,
  line: string,
  width: number,
): Promise<() => void> {
  const config = {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: line },
    axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line },
    legend: { labelColor: ink, titleColor: ink },
    title: { color: ink },
    header: { labelColor: ink, titleColor: ink },
    text: { color: ink },
  };
  const own = (spec.config ?? {}) as Record<string, unknown>;
  const sized = { ...spec, config: { ...config, ...own } } as unknown as TopLevelSpec;
  const runtime = vega.parse(compile(sized).spec, undefined, { ast: true });
  const view = new vega.View(runtime, {
    expr: expressionInterpreter as never,
    renderer: "canvas",
    container: target,
    logLevel: vega.Error,
  });
  if (spec.width === "container") view.width(Math.max(200, width - 80));
  await view.runAsync();
  return () => view.finalize();
}
