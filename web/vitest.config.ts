import { defineConfig } from "vitest/config";

// The parts that are plain functions; what is seen is tested in a browser, by tests/page.
export default defineConfig({ test: { include: ["tests/**/*.test.ts"], environment: "node" } });
