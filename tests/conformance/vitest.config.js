// One file at a time in one process: lifetimes of a second are measured, and cores are few.
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["*.test.js"],
    fileParallelism: false,
    pool: "forks",
    testTimeout: 30_000,
  },
})
