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
