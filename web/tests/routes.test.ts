import { expect, test } from "vitest";
import { fieldsOf, grouped, typeOf, type OpenApi } from "../src/parts/routes";

const post = (name: string) => ({ post: { summary: "A text.", requestBody: { content: { "application/json": { schema: { $ref: `#/components/schemas/${name}` } } } } } });
const document = {
  paths: { "/api/fill": post("Fill"), "/api/runs/{run}": { get: {} }, "/v1/models": { get: {} }, "/health": { get: {} } },
  components: {
    schemas: {
      Fill: {
        properties: { run: { type: "string" }, text: { type: "string" }, top: { type: "integer", minimum: 1, maximum: 9, default: 5 } },
        required: ["text"],
      },
    },
  },
} as unknown as OpenApi;
const run = { run: "my bert", abilities: ["fill"], task: null } as never;

test("routes by who speaks them, with a request that a run can answer", () => {
  const groups = grouped(document, [run], { text: "The cat sat.", lang: "en" });
  expect(groups.map(({ id, routes }) => [id, routes.length])).toEqual([["ours", 2], ["openai", 1], ["server", 1]]);
  const [fill, one] = groups[0]!.routes;
  expect(fill).toMatchObject({ method: "POST", summary: "A text.", body: { run: "my bert", text: "The cat [MASK]." } });
  expect(one!.path).toBe("/api/runs/my%20bert");
});

test("fields in few words", () => {
  expect(fieldsOf(document.components.schemas.Fill, document)[2]).toEqual({ name: "top", type: "whole number 1 … 9", required: false, usual: "5" });
  expect(typeOf({ anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }, { type: "null" }] }, document)).toBe("text or list of text");
  expect(typeOf({ enum: ["en", "zh"] }, document)).toBe('"en" or "zh"');
  expect(typeOf({ type: "number", exclusiveMinimum: 0, maximum: 1 }, document)).toBe("number over 0 … 1");
});
