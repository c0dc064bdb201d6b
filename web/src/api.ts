// Requests to the server that this page came from, and to nothing else.

import type { ErrorBody, RunLine } from "./types";

const KEY = "polyseme-token";

/** The token of the address: it stands behind #, which is never sent, and is kept for this tab alone. */
export function takeToken(hash: string): string {
  const parts = hash.replace(/^#/, "").split("&");
  const token = parts.find((part) => part.startsWith("token="));
  if (token === undefined) return hash;
  sessionStorage.setItem(KEY, decoded(token.slice("token=".length)));
  const rest = parts.filter((part) => part !== token).join("&");
  return rest ? `#${rest}` : "";
}

export function hasToken(): boolean {
  return sessionStorage.getItem(KEY) !== null;
}

export class ServerError extends Error {
  constructor(
    readonly status: number,
    readonly body: ErrorBody,
    readonly retryAfter: number | null = null,
  ) {
    super(body.message);
  }
}

/** The server does not answer at all. */
export class GoneError extends Error {}

function headers(body: boolean): Record<string, string> {
  const token = sessionStorage.getItem(KEY);
  return {
    ...(body ? { "content-type": "application/json" } : {}),
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  };
}

async function send(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: headers(body !== undefined),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new GoneError();
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response: Response): Promise<ServerError> {
  const retry = Number(response.headers.get("retry-after"));
  let body: ErrorBody | undefined;
  try {
    body = ((await response.json()) as { error?: ErrorBody }).error;
  } catch {
    // not ours: its status has to do
  }
  const plain: ErrorBody = {
    message: `${response.status} ${response.statusText}`,
    type: "server_error",
    param: null,
    code: null,
    got: null,
    expected: null,
    fix: null,
  };
  return new ServerError(response.status, body ?? plain, retry > 0 ? retry : null);
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await send(path, undefined, signal)).json()) as T;
}

/** What a file that grows has behind a byte, and from where to ask next. */
export async function tail(path: string, after: number, signal?: AbortSignal): Promise<{ text: string; next: number }> {
  const response = await send(`${path}?after=${after}`, undefined, signal);
  return { text: await response.text(), next: Number(response.headers.get("x-next") ?? after) };
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return (await (await send(path, body, signal)).json()) as T;
}

/** An answer of NDJSON, line by line as it comes. Leaving the loop ends the request, and its connection with it. */
export async function* lines<T>(path: string, body: unknown, signal?: AbortSignal): AsyncGenerator<T> {
  const response = await send(path, body, signal);
  const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>)
    .pipeThrough(new TextDecoderStream())
    .getReader();
  let waiting = "";
  try {
    while (true) {
      let part: ReadableStreamReadResult<string>;
      try {
        part = await reader.read();
      } catch (error) {
        if (signal?.aborted) throw error;
        throw new GoneError();
      }
      if (part.done) break;
      const whole = (waiting + part.value).split("\n");
      waiting = whole.pop() ?? "";
      for (const line of whole) if (line) yield JSON.parse(line) as T;
    }
    if (waiting) yield JSON.parse(waiting) as T;
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

/** Percent-encoded words; what was cut off in the middle of a character is left out. */
export function decoded(text: string): string {
  for (let cut = 0; cut < 10; cut++) {
    try {
      return decodeURIComponent(cut ? text.slice(0, -cut) : text) + (cut ? "…" : "");
    } catch {
      // one place less
    }
  }
  return text;
}

export interface Answered<T> {
  value: T;
  notes: string;
  ms: number;
  tokens: number;
}

/**
 * One run's answer. It is asked for in the form for several runs, in which what a run cannot do is part of the answer.
 * It is read to its end: a connection that is left before cannot be used again.
 */
export async function askRun<T>(
  path: string,
  run: string,
  body: Record<string, unknown>,
  signal?: AbortSignal,
): Promise<Answered<T>> {
  const began = performance.now();
  let found: RunLine<T> | null = null;
  let ms = 0;
  for await (const line of lines<RunLine<T>>(path, { ...body, runs: [run] }, signal)) {
    if (found === null) [found, ms] = [line, performance.now() - began];
  }
  if (found === null) throw new GoneError();
  if (found.error !== undefined) throw new ServerError(found.status ?? 500, found.error, found.retry_after ?? null);
  return {
    value: found.answer as T,
    notes: found.notes === undefined ? "" : decoded(found.notes),
    ms,
    tokens: found.tokens ?? 0,
  };
}
