// Pictures for slides and papers, drawn from data: black on white, whatever the page's theme is.

export const INK = "#1a1a1a";
export const SOFT = "#5f6368";
export const LINE = "#c9ccd1";
export const BLUE = "#0072b2";
export const ORANGE = "#e69f00";
const FONT = 'system-ui, "Helvetica Neue", Arial, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif';

export function escape(text: string): string {
  // what XML does not allow at all would leave no picture
  return text.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd").replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign] as string);
}

interface TextStyle {
  size?: number;
  fill?: string;
  anchor?: "start" | "middle" | "end";
  bold?: boolean;
}

interface PathStyle {
  stroke?: string;
  fill?: string;
  width?: number;
  opacity?: number;
  dashes?: string;
}

/** Shapes that are put down one after another; the picture is as large as they need. */
export class Drawing {
  private parts: string[] = [];
  width = 0;
  height = 0;

  /** Makes room for a place. */
  reach(x: number, y: number): void {
    this.width = Math.max(this.width, x);
    this.height = Math.max(this.height, y);
  }

  text(x: number, y: number, words: string, { size = 14, fill = INK, anchor = "start", bold = false }: TextStyle = {}): void {
    const weight = bold ? ' font-weight="600"' : "";
    this.parts.push(
      `<text x="${round(x)}" y="${round(y)}" font-size="${size}" fill="${fill}" text-anchor="${anchor}"${weight}>${escape(words)}</text>`,
    );
    this.reach(x + (anchor === "start" ? widthOf(words, size) : anchor === "middle" ? widthOf(words, size) / 2 : 0), y + size * 0.4);
  }

  rect(x: number, y: number, width: number, height: number, fill: string, stroke = "none"): void {
    this.parts.push(
      `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" fill="${fill}" stroke="${stroke}"/>`,
    );
    this.reach(x + width, y + height);
  }

  line(x1: number, y1: number, x2: number, y2: number, stroke = LINE): void {
    this.parts.push(`<path d="M${round(x1)} ${round(y1)}L${round(x2)} ${round(y2)}" stroke="${stroke}" fill="none"/>`);
    this.reach(Math.max(x1, x2), Math.max(y1, y2));
  }

  /** A path; its room has to be made beside it. */
  path(d: string, { stroke = "none", fill = "none", width = 1, opacity = 1, dashes = "" }: PathStyle = {}): void {
    const dash = dashes ? ` stroke-dasharray="${dashes}"` : "";
    const faint = opacity < 1 ? ` opacity="${round(opacity)}"` : "";
    this.parts.push(`<path d="${d}" stroke="${stroke}" fill="${fill}" stroke-width="${round(width)}"${dash}${faint}/>`);
  }

  toString(): string {
    const width = Math.ceil(this.width + 16);
    const height = Math.ceil(this.height + 12);
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
      `font-family='${FONT}'><rect width="${width}" height="${height}" fill="#ffffff"/>${this.parts.join("")}</svg>\n`
    );
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

let context: CanvasRenderingContext2D | null = null;

/** How wide words will be, nearly. */
export function widthOf(words: string, size = 14): number {
  context ??= document.createElement("canvas").getContext("2d");
  if (context === null) return words.length * size * 0.6;
  context.font = `${size}px ${FONT}`;
  return context.measureText(words).width;
}
