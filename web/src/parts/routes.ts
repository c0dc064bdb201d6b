// openapi.json as a list to read: every route with its fields, and a request that the served runs can answer.

import { pieces } from "../segment";
import type { RunAbout } from "../types";

interface Schema {
  $ref?: string;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  items?: Schema;
  prefixItems?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
}

export interface OpenApi {
  paths: Record<string, Record<string, { summary?: string; requestBody?: { content: { "application/json": { schema: Schema } } } }>>;
  components: { schemas: Record<string, Schema> };
}

export interface Field {
  name: string;
  type: string;
  required: boolean;
  usual: string;
}

export interface Described {
  method: string;
  /** As a request has it, and as the document has it. */
  path: string;
  shown: string;
  summary: string;
  body: Record<string, unknown> | null;
  fields: Field[];
}

export interface Group {
  id: "ours" | "openai" | "tei" | "hf" | "server";
  routes: Described[];
}

const SUMMARIES: Record<string, string> = {
  "GET /health": "Whether the server is up.",
  "GET /metrics": "Counters for Prometheus.",
  "GET /openapi.json": "All routes, with every field and its bounds.",
  "GET /api/server": "Limits, what waits, what is loaded.",
  "GET /api/runs": "The runs and what each can do.",
  "GET /api/runs/{run}": "What polyseme inspect says of a run.",
  "GET /api/runs/{run}/about": "One of the runs.",
  "GET /api/runs/{run}/metrics": "The lines of metrics.jsonl behind a byte.",
  "DELETE /api/work/{id}": "Stop what is being answered, by its X-Work.",
  "GET /v1/models": "The runs.",
  "GET /v1/models/{run}": "One of them.",
  "GET /info": "What a run is.",
  "GET /tokenizer_info": "What a run's vocabulary is.",
  "POST /v1/chat/completions": "Refused: these models continue texts.",
  "POST /tokenize": "Texts to cut.",
};
/** What a route asks a run for, where its name does not say it. */
const NEEDS: Record<string, string> = {
  mask: "fill",
  pairs: "score",
  next: "next_tokens",
  similarity: "similarity",
  cosines: "encode",
  cka: "encode",
  senses: "encode",
  holes: "fill",
  embeddings: "embed",
  embed_all: "encode",
  completions: "generate",
  rerank: "predict",
};

function groupOf(path: string): Group["id"] {
  if (path.startsWith("/api/")) return "ours";
  if (path.startsWith("/v1/") || path === "/tokenizer_info" || path === "/detokenize") return "openai";
  if (path === "/" || path === "/models" || path.startsWith("/pipeline")) return "hf";
  return ["/health", "/metrics", "/openapi.json"].includes(path) ? "server" : "tei";
}

export function grouped(document: OpenApi, runs: readonly RunAbout[], asked: { text: string; lang: "en" | "zh" }): Group[] {
  const groups: Group[] = (["ours", "openai", "hf", "tei", "server"] as const).map((id) => ({ id, routes: [] }));
  for (const [shown, methods] of Object.entries(document.paths)) {
    const group = groups.find((each) => each.id === groupOf(shown))!;
    for (const [name, about] of Object.entries(methods)) {
      const method = name.toUpperCase();
      const schema = resolved(about.requestBody?.content["application/json"].schema, document);
      const verb = shown.split("/").at(-1)!;
      const run = runs.find((each) => each.error === undefined && each.abilities.includes(NEEDS[verb] ?? verb)) ?? runs.find((each) => each.error === undefined);
      const body = method === "POST" ? example(shown, schema, run, asked) : null;
      group.routes.push({
        method,
        path: shown.replace("{run}", encodeURIComponent(run?.run ?? "RUN")).replace("{task}", "feature-extraction").replace("{id}", "ID"),
        shown,
        summary: SUMMARIES[`${method} ${shown}`] ?? about.summary ?? "",
        body,
        fields: fieldsOf(schema, document),
      });
    }
  }
  return groups.filter((group) => group.routes.length);
}

function resolved(schema: Schema | undefined, document: OpenApi): Schema | undefined {
  if (schema?.$ref) return document.components.schemas[schema.$ref.split("/").at(-1)!];
  return schema?.anyOf?.[0]?.$ref ? resolved(schema.anyOf[0], document) : schema;
}

export function fieldsOf(schema: Schema | undefined, document: OpenApi): Field[] {
  return Object.entries(schema?.properties ?? {}).map(([name, field]) => ({
    name,
    type: typeOf(field, document),
    required: schema?.required?.includes(name) ?? false,
    usual: field.default === undefined || field.default === null ? "" : JSON.stringify(field.default),
  }));
}

/** A schema in few words: `number 0 … 1`, `"en" or "zh"`, `list of text`. */
export function typeOf(schema: Schema, document: OpenApi): string {
  if (schema.$ref) return schema.$ref.split("/").at(-1)!;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" or ");
  if (schema.anyOf) return [...new Set(schema.anyOf.filter((each) => each.type !== "null").map((each) => typeOf(each, document)))].join(" or ");
  if (schema.prefixItems) return `[${schema.prefixItems.map((each) => typeOf(each, document)).join(", ")}]`;
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {}, document)}`;
  const name = { string: "text", boolean: "true or false", integer: "whole number", number: "number", object: "object" }[schema.type ?? ""] ?? "anything";
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const bounds = low === undefined && schema.maximum === undefined ? "" : ` ${schema.exclusiveMinimum === undefined ? "" : "over "}${low ?? ""} … ${schema.maximum ?? ""}`;
  return name + bounds;
}

/** A request as a reader may send it: about the text above, where there is one. */
function example(path: string, schema: Schema | undefined, run: RunAbout | undefined, { text, lang }: { text: string; lang: "en" | "zh" }): Record<string, unknown> {
  const zh = lang === "zh";
  const one = text.trim() || (zh ? "今天天气很好。" : "The weather was fine that day.");
  const other = zh ? "他在银行工作。" : "He works at a bank.";
  const words = pieces(one).filter((piece) => piece.kind === "word").map((piece) => piece.text);
  const word = words.at(-1) ?? (zh ? "天气" : "weather");
  const masked = one.includes("[MASK]") ? one : one.replace(word, "[MASK]");
  const named = schema?.properties && "model" in schema.properties ? "model" : "run";
  const begin = run === undefined ? {} : { [named]: run.run };
  const values: Record<string, unknown> = {
    text: path === "/api/fill" ? masked : one,
    texts: path === "/api/holes" ? [masked, masked] : path === "/api/cka" ? [one, other, `${one} ${other}`] : [one, other],
    text_b: other,
    word,
    words: words.length ? words.slice(0, 8) : [word],
    items: [word, zh ? "银行" : "bank"],
    good: one,
    bad: other,
    choices: zh ? ["好", "坏"] : ["good", "bad"],
    template: zh ? "{text}这很{label}。" : "{text} It was {label}.",
    prompt: one,
    kind: "tokenize",
    document: { text: one, tokens: [], cut: 0 },
    input: [one, other],
    inputs: path === "/similarity" ? { source_sentence: one, sentences: [other] } : [one, other],
    query: one,
    tokens: [1, 2],
    ids: [[1, 2]],
  };
  const wanted = Object.keys(schema?.properties ?? {}).filter((name) => schema?.required?.includes(name));
  if (path === "/api/predict") wanted.push(...(run?.task === "qa" ? ["question", "context"] : run?.task === "pair" ? ["text", "text_b"] : ["text"]));
  if (path === "/api/senses") wanted.push("from");
  if (path === "/v1/completions") wanted.push("prompt");
  if (["/tokenize", "/predict", "/", "/models"].includes(path) || path.startsWith("/pipeline")) return { ...begin, inputs: one };
  if (path === "/v1/chat/completions") return { ...begin, messages: [] };
  const more: Record<string, unknown> = { question: zh ? "天气怎么样？" : "How was the weather?", context: one, from: [one, other] };
  return { ...begin, ...Object.fromEntries([...new Set(wanted)].map((name) => [name, values[name] ?? more[name] ?? null])) };
}
