import { defineConfig } from "vitest/config";

const report = process.env["KEYFOLD_TEST_REPORT"];

export default defineConfig({
  test: {
    include: [
      "packages/*/test/**/*.test.ts",
      "test/**/*.test.ts",
      "examples/*/test/**/*.test.ts",
      "bench/test/**/*.test.ts",
    ],
    testTimeout: 60_000,
    // Several files mostly wait: for a disk, for processes of their own, for a deadline. One worker would wait with them.
    maxWorkers: 2,
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
  },
});
