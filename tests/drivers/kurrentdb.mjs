// Node's @kurrent/kurrentdb-client and @eventstore/db-client on the business door and on generic streams.
//
//   kurrentdb.mjs PACKAGE door URI WRONG_URI STREAM COUNT   then, on standard input, a line when one event more is there
//   kurrentdb.mjs PACKAGE streams URI
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";

const [, , name, mode, uri, ...rest] = process.argv;
const kurrent = await import(name);
const { jsonEvent, eventTypeFilter, streamNameFilter, excludeSystemEvents, START, END, FORWARDS, BACKWARDS, ANY, NO_STREAM } = kurrent;
const Client = kurrent.KurrentDBClient ?? kurrent.EventStoreDBClient;
const connect = (to) => Client.connectionString([to]);
// What the one calls stream state the other calls expected revision.
const expecting = (state) => ({ streamState: state, expectedRevision: state, throwOnAppendFailure: true });
const client = connect(uri);

async function all(events) {
  const found = [];
  for await (const { event } of events) found.push(event);
  return found;
}

async function refused(action, type) {
  try {
    await action();
  } catch (e) {
    assert.equal(e.type, type, String(e));
    return e;
  }
  assert.fail(`not refused: ${action}`);
}

/** What a subscription gives until it has caught up, and with what it said so. */
async function untilCaughtUp(subscription) {
  const found = [];
  subscription.on("data", ({ event }) => found.push(event));
  await once(subscription, "caughtUp");
  await subscription.unsubscribe();
  return found;
}

const ids = (events) => events.map((e) => e.id);

async function door(wrong, stream, count) {
  const events = await all(client.readStream(stream, { direction: FORWARDS, fromRevision: START }));
  assert.equal(events.length, Number(count));
  for (const event of events) {
    assert.equal(event.data.specversion, "1.0");
    assert.equal(event.data.id, event.id);
    assert.equal(event.data.type, event.type);
    assert.ok(event.isJson && event.metadata.$correlationId && event.created instanceof Date);
  }
  assert.deepEqual(ids(await all(client.readStream(stream, { direction: BACKWARDS, fromRevision: END, maxCount: 3 }))), ids(events).reverse().slice(0, 3));
  const everything = await all(client.readAll());
  assert.deepEqual(ids(everything.filter((e) => e.streamId === stream)), ids(events));
  const middle = events[Math.floor(events.length / 2)];
  const after = everything.filter((e) => e.position.commit > middle.position.commit);
  assert.deepEqual(ids(await untilCaughtUp(client.subscribeToAll({ fromPosition: middle.position }))), ids(after));
  assert.deepEqual(ids(await untilCaughtUp(client.subscribeToAll({ filter: excludeSystemEvents() }))), ids(everything));
  const kind = events.at(-1).type;
  const wanted = ids(everything.filter((e) => e.type === kind));
  assert.deepEqual(ids(await untilCaughtUp(client.subscribeToAll({ filter: eventTypeFilter({ prefixes: [kind] }) }))), wanted);
  assert.deepEqual(ids(await untilCaughtUp(client.subscribeToAll({ filter: streamNameFilter({ regex: `^${stream}$` }) }))), ids(events));
  // With a filter there are checkpoints on the way: it is where one comes back after what was not wanted.
  const checkpoints = [];
  const filter = eventTypeFilter({
    prefixes: ["nothing."],
    checkpointInterval: 1,
    maxSearchWindow: 2,
    checkpointReached: (_, position) => checkpoints.push(position),
  });
  await untilCaughtUp(client.subscribeToAll({ filter }));
  assert.ok(checkpoints.length >= Math.floor(everything.length / 2) - 1, `${checkpoints.length} checkpoints`);
  const place = checkpoints[Math.floor(checkpoints.length / 2)];
  const rest = everything.filter((e) => e.position.commit > place.commit);
  assert.ok(rest.length > 0 && rest.length < everything.length);
  assert.deepEqual(ids(await untilCaughtUp(client.subscribeToAll({ fromPosition: place }))), ids(rest), "from a checkpoint nothing is left out");
  const live = client.subscribeToStream(stream, { fromRevision: events.at(-1).revision });
  await once(live, "caughtUp");
  console.log("following");
  process.stdin.resume();
  await once(process.stdin, "data");
  const [{ event: next }] = await once(live, "data");
  assert.ok(next.revision > events.at(-1).revision);
  await live.unsubscribe();
  const event = jsonEvent({ type: "x", data: {} });
  for (const state of [ANY, NO_STREAM]) await refused(() => client.appendToStream(stream, event, expecting(state)), "access-denied");
  await refused(() => client.deleteStream(stream, expecting(ANY)), "access-denied");
  await refused(() => client.tombstoneStream(stream, expecting(ANY)), "access-denied");
  await refused(() => all(client.readStream(`business-${"0".repeat(32)}`)), "stream-not-found");
  await refused(() => all(connect(wrong).readAll({ maxCount: 1 })), "access-denied");
}

async function streams() {
  const stream = `order-${randomUUID()}`;
  const events = [0, 1, 2].map((n) => jsonEvent({ type: `Order${n}`, data: { n } }));
  const first = await client.appendToStream(stream, events, expecting(NO_STREAM));
  assert.ok(first.success && first.nextExpectedRevision === 2n);
  const again = await client.appendToStream(stream, events, expecting(NO_STREAM));
  assert.deepEqual(again.position, first.position, "the same again is the same");
  const conflict = await refused(() => client.appendToStream(stream, jsonEvent({ type: "x", data: {} }), expecting(0n)), "wrong-expected-version");
  assert.equal(conflict.actualVersion ?? conflict.actualState, 2n);
  // One append in many messages.
  const many = Array.from({ length: 300 }, (_, n) => jsonEvent({ type: "Many", data: { n, text: "x".repeat(1_000) } }));
  await client.appendToStream(stream, many, { ...expecting(2n), batchAppendSize: 16 * 1024 });
  assert.equal((await all(client.readStream(stream))).length, 303);
  await client.setStreamMetadata(stream, { maxCount: 2, customMetadata: 1 }, expecting(NO_STREAM));
  assert.equal((await client.getStreamMetadata(stream)).metadata.maxCount, 2);
  assert.deepEqual((await all(client.readStream(stream))).map((e) => e.revision), [301n, 302n]);
  const found = await untilCaughtUp(client.subscribeToStream(stream, { fromRevision: 301n }));
  assert.deepEqual(found.map((e) => e.data.n), [299]);
  await client.deleteStream(stream, expecting(302n));
  await refused(() => all(client.readStream(stream)), "stream-not-found");
  await client.tombstoneStream(stream, expecting(ANY));
  await refused(() => all(client.readStream(stream)), "stream-deleted");
  await refused(() => client.appendToStream(stream, events, expecting(ANY)), "stream-deleted");
}

await (mode === "door" ? door(...rest) : streams());
await client.dispose?.();
console.log("ok");
process.exit(0);
