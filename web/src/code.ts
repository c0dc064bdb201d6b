// The question of a view as something to type: the same request from a shell, from Python, and over HTTP.

import { hasToken } from "./api";

export interface Code {
  cli: string;
  python: string;
  curl: string;
}

/** A word of a POSIX shell. */
export function sh(text: string): string {
  return /^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A string of Python: JSON's is one, but for characters that are written as they are. */
export function py(text: string): string {
  return JSON.stringify(text);
}

export function curl(path: string, body: Record<string, unknown>): string {
  const json = JSON.stringify(body);
  const token = hasToken() ? " -H 'authorization: Bearer TOKEN'" : "";
  return `curl -s ${location.origin}/${path} -H 'content-type: application/json'${token} -d ${sh(json)}`;
}

/** Where a run lies is the server's alone to know. */
export function folder(run: string): string {
  return sh(`runs/${run}`);
}

/** Texts and options of a command line; behind `--` where a text would be taken for an option. */
export function given(texts: string[], options: string[] = []): string {
  const [quoted, flags] = [texts.map(sh), options.filter(Boolean)];
  return (texts.some((text) => text.startsWith("-")) ? [...flags, "--", ...quoted] : [...quoted, ...flags]).join(" ");
}

/**
 * A question to one run, for all three.
 *
 * @param verb of the command line; what it is given stands behind the run.
 * @param call of Python's `model`.
 */
export function codeOf(run: string, verb: string, asked: string, call: string, path: string, body: Record<string, unknown>): Code {
  return {
    cli: `polyseme ${verb} ${folder(run)} ${asked}`,
    python: `import polyseme\n\nmodel = polyseme.load(${py(`runs/${run}`)})\n${call}`,
    curl: curl(path, { run, ...body }),
  };
}
