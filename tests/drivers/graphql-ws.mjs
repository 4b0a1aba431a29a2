// graphql-transport-ws with the client of graphql-ws: subscribe, resume, and the close codes.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [http, key] = process.argv.slice(2);
const url = http.replace('http', 'ws');
const fail = (why) => { console.log(`FAILED: ${why}`); process.exit(1); };
setTimeout(() => fail('not done in 30 s'), 30_000);

const client = (k) => createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { authorization: `Bearer ${k}` } });
const command = (n) => fetch(`${http.replace('/graphql', '')}/v1/businesses/acme/commands`, {
  method: 'POST',
  headers: { authorization: `Bearer ${key}`, 'idempotency-key': `ws-${n}`, 'content-type': 'application/json' },
  body: JSON.stringify({ type: 'tasks.plan', data: { title: `task ${n}`, team: 'sales' } }),
});

async function take(c, query, n, begin = () => {}) {
  const found = [];
  const all = c.iterate({ query });
  setTimeout(begin, 300);
  for await (const result of all) {
    if (result.errors) fail(JSON.stringify(result.errors));
    found.push(result.data);
    if (found.length === n) break;
  }
  return found;
}

const c = client(key);
// From the beginning: what was there, then what happens now.
const first = await take(c, '{ businesses { nodes { slug } } }', 1);
if (first[0].businesses.nodes.length !== 1) fail('a query over the socket');
const live = await take(c, 'subscription { events(slug: "acme", after: 0) { seq type } }', 2, () => command(1));
if (live[0].events.seq !== 1 || live[1].events.type !== 'tasks.planned') fail(`live: ${JSON.stringify(live)}`);
// Cut off, and on from there.
await command(2);
const more = await take(c, `subscription { events(slug: "acme", after: ${live[1].events.seq}) { seq type } }`, 1);
if (more[0].events.seq !== 3) fail(`resumed: ${JSON.stringify(more)}`);
const tasks = await take(c, 'subscription { tasks(slug: "acme", after: 0) { seq task { id status title { text } } } }', 2);
if (tasks[1].tasks.task.title.text !== 'task 2') fail(`tasks: ${JSON.stringify(tasks)}`);
const kpis = await take(c, 'subscription { kpis(slug: "acme", ids: ["throughput"]) { seq kpis { id value } } }', 1);
if (kpis[0].kpis.kpis[0].value !== 0) fail(`kpis: ${JSON.stringify(kpis)}`);
await c.dispose();

// The protocol's close codes.
function code(...messages) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, 'graphql-transport-ws');
    socket.on('open', () => messages.forEach((m) => socket.send(typeof m === 'string' ? m : JSON.stringify(m))));
    socket.on('close', (closed) => resolve(closed));
    socket.on('error', () => resolve(-1));
  });
}
const init = { type: 'connection_init', payload: { authorization: `Bearer ${key}` } };
const subscribe = { type: 'subscribe', id: '1', payload: { query: 'subscription { events(slug: "acme") { seq } }' } };
const wanted = [
  [4400, await code('no JSON')],
  [4400, await code({ type: 'nonsense' })],
  [4401, await code(subscribe)],
  [4403, await code({ type: 'connection_init', payload: { authorization: 'Bearer wrong' } })],
  [4409, await code(init, subscribe, subscribe)],
  [4429, await code(init, init)],
];
for (const [want, got] of wanted) if (want !== got) fail(`close code ${got} instead of ${want}`);
console.log('ok');
process.exit(0);
