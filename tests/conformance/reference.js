// The reference server in a process of its own: node reference.js PORT LONG_POLL_MS [FOLDER].
// With a folder it keeps streams in files there, else in memory.
import { DurableStreamTestServer } from "@durable-streams/server"

const [port, longPollTimeout, dataDir] = process.argv.slice(2)
const server = new DurableStreamTestServer({
  port: Number(port),
  host: "127.0.0.1",
  longPollTimeout: Number(longPollTimeout),
  dataDir,
  webhooks: true,
})
await server.start()
process.on("SIGTERM", () => server.stop().then(() => process.exit(0)))
