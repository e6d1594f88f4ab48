// The npm client as its authors published it, used as a customer would use it. STREAMS_URL is the
// server, TOKEN a bearer token if it asks for one.
import { randomUUID } from "node:crypto"

import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { describe, expect, test } from "vitest"

const base = process.env.STREAMS_URL
const headers = process.env.TOKEN ? { authorization: `Bearer ${process.env.TOKEN}` } : {}
const addressOf = (name) => `${base}/v1/stream/${name}-${randomUUID()}`
const options = { headers, warnOnHttp: false }

async function created(name, contentType = "application/json", more = {}) {
  return DurableStream.create({ url: addressOf(name), contentType, ...options, ...more })
}

function reading(handle, more = {}) {
  return stream({ url: handle.url, ...options, ...more })
}

// Read items until there are `count`; then hang up, and say where reading ended.
async function gather(handle, count, more) {
  const answer = await reading(handle, more)
  const items = []
  await new Promise((resolve) => {
    answer.subscribeJson(async (batch) => {
      items.push(...batch.items)
      if (items.length >= count) resolve()
    })
  })
  const { offset } = answer
  answer.cancel()
  return { items, offset }
}

describe("The npm client", () => {
  test("creates a stream, appends to it and reads it back", async () => {
    const handle = await created("notes", "text/plain", { ttlSeconds: 3600 })
    await handle.append("one ")
    await handle.append("two")

    const answer = await reading(handle, { live: false })

    expect(await answer.text()).toBe("one two")
    expect(answer.upToDate).toBe(true)
    expect(answer.offset).toBe((await handle.head()).offset)
  })

  test("keeps bytes as they are", async () => {
    const handle = await created("bytes", "application/octet-stream")
    const every = Uint8Array.from({ length: 256 }, (_, value) => value)
    await handle.append(every)

    const read = await reading(handle, { live: false })

    expect(await read.body()).toEqual(every)
  })

  test("is refused another kind of content, and a stream that is not there", async () => {
    const handle = await created("kind", "text/plain")

    const again = created("kind", "application/json", { url: handle.url })
    const none = stream({ url: addressOf("none"), ...options })

    await expect(again).rejects.toMatchObject({ status: 409 })
    await expect(none).rejects.toMatchObject({ status: 404 })
  })

  test("sends many appends at once in batches, each message whole and in order", async () => {
    const handle = await created("batches")
    const numbers = Array.from({ length: 200 }, (_, number) => ({ number }))

    await Promise.all(numbers.map((item) => handle.append(JSON.stringify(item))))

    const answer = await reading(handle, { live: false })
    expect(await answer.json()).toEqual(numbers)
  })

  test("orders its writes by sequence", async () => {
    const handle = await created("ordered", "text/plain", { batching: false })
    await handle.append("b", { seq: "002" })

    await expect(handle.append("a", { seq: "001" })).rejects.toMatchObject({ status: 409 })
  })

  test.each(["sse", "long-poll"])("reads live by %s what comes while it waits", async (live) => {
    const handle = await created(`live-${live}`)
    await handle.append(JSON.stringify({ number: 0 }))
    const { items: past } = await gather(handle, 1, { live, offset: "-1" })
    const { offset } = await handle.head()

    const waiting = gather(handle, 5, { live, offset })
    for (let number = 1; number <= 5; number += 1) {
      await handle.append(JSON.stringify({ number }))
    }

    expect(past).toEqual([{ number: 0 }])
    expect((await waiting).items.map((item) => item.number)).toEqual([1, 2, 3, 4, 5])
  })

  test.each(["sse", "long-poll"])("reads bytes live by %s", async (live) => {
    const handle = await created(`raw-${live}`, "application/octet-stream")
    const sent = Uint8Array.from([0, 10, 13, 255, 128])
    const answer = await reading(handle, { live, offset: "-1" })
    const received = []
    const complete = new Promise((resolve) => {
      answer.subscribeBytes(async (chunk) => {
        received.push(...chunk.data)
        if (received.length >= sent.length) resolve()
      })
    })

    await handle.append(sent)
    await complete
    answer.cancel()

    expect(Uint8Array.from(received)).toEqual(sent)
  })

  test.each(["sse", "long-poll"])("comes back by %s where it stopped", async (live) => {
    const handle = await created(`resume-${live}`)
    for (let number = 0; number < 3; number += 1) {
      await handle.append(JSON.stringify({ number }))
    }
    const first = await gather(handle, 3, { live, offset: "-1" })
    await handle.append(JSON.stringify({ number: 3 }))
    await handle.append(JSON.stringify({ number: 4 }))

    const second = await gather(handle, 2, { live, offset: first.offset })

    expect([...first.items, ...second.items].map((item) => item.number)).toEqual([0, 1, 2, 3, 4])
  })

  test.each(["sse", "long-poll"])("is told by %s that a stream has ended", async (live) => {
    const handle = await created(`end-${live}`)
    const answer = await reading(handle, { live, offset: "-1" })
    const items = answer.jsonStream()
    await handle.append(JSON.stringify({ number: 0 }))
    const closed = await handle.close({ body: JSON.stringify({ number: 1 }) })

    const read = []
    for await (const item of items) read.push(item.number)

    expect(read).toEqual([0, 1])
    expect(answer.streamClosed).toBe(true)
    expect(answer.offset).toBe(closed.finalOffset)
    await expect(handle.append(JSON.stringify({ number: 2 }))).rejects.toThrow()
    expect(await handle.close()).toEqual(closed)
  })

  test("produces in a pipeline, each message once", async () => {
    const handle = await created("produced")
    const failures = []
    const producer = new IdempotentProducer(handle, "worker", {
      headers,
      lingerMs: 1,
      maxBatchBytes: 256,
      maxInFlight: 5,
      onError: (error) => failures.push(error),
    })
    for (let number = 0; number < 500; number += 1) producer.append(JSON.stringify({ number }))
    await producer.flush()

    const answer = await reading(handle, { live: false })

    expect(failures).toEqual([])
    expect((await answer.json()).map((item) => item.number)).toEqual(
      Array.from({ length: 500 }, (_, number) => number),
    )
  })

  test("fences a producer whose place another has taken", async () => {
    const handle = await created("fenced")
    const failures = []
    const onError = (error) => failures.push(error)
    const zombie = new IdempotentProducer(handle, "worker", { headers, epoch: 0, onError })
    zombie.append(JSON.stringify("before"))
    await zombie.flush()
    const heir = new IdempotentProducer(handle, "worker", { headers, epoch: 1, onError })
    heir.append(JSON.stringify("after"))
    await heir.flush()

    zombie.append(JSON.stringify("too late"))
    await zombie.flush().catch(onError)

    const answer = await reading(handle, { live: false })
    expect(await answer.json()).toEqual(["before", "after"])
    expect(failures.map((error) => error.constructor.name)).toContain("StaleEpochError")
  })

  test("deletes a stream", async () => {
    const handle = await created("deleted", "text/plain")
    await handle.delete()

    expect(await handle.head()).toEqual({ exists: false })
    await expect(reading(handle, { live: false })).rejects.toMatchObject({ status: 404 })
  })
})
