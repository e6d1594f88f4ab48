// The published suite, imported whole. Its own command line cannot be used: vitest 4 leaves out
// what lies in node_modules, and with it the file that the command names.
//
// STREAMS_URL is the server, LONG_POLL_MS how long its long poll waits, TOKEN a bearer token if
// it asks for one: the suite has no option for headers, so every request to the server gets it.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

const baseUrl = process.env.STREAMS_URL
const token = process.env.TOKEN

if (token) {
  const bare = globalThis.fetch
  globalThis.fetch = (input, init) => {
    const request = new Request(input, init)
    if (request.url.startsWith(baseUrl) && !request.headers.has("authorization")) {
      request.headers.set("authorization", `Bearer ${token}`)
    }
    return bare(request)
  }
}

runConformanceTests({
  baseUrl,
  longPollTimeoutMs: Number(process.env.LONG_POLL_MS),
  subscriptions: true,
})
