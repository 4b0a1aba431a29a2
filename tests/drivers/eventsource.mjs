// Server-sent events with the package `eventsource`: it follows the feed, loses the connection, and
// comes back with the id of the last event that it has.
import { EventSource } from 'eventsource';

const [url, key, cut, wanted] = process.argv.slice(2);
const ids = [];
const open = (headers) => new EventSource(url, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${key}`, ...headers } }),
});
const follow = (count, headers) => new Promise((resolve, reject) => {
  const source = open(headers);
  const take = (event) => {
    ids.push(Number(event.lastEventId));
    const cloudEvent = JSON.parse(event.data);
    if (cloudEvent.specversion !== '1.0' || cloudEvent.mbseq !== event.lastEventId) reject(new Error(event.data));
    if (ids.length === count) { source.close(); resolve(); }
  };
  source.onerror = (event) => reject(new Error(event.message));
  for (const type of ['businesses.registered', 'tasks.planned', 'tasks.offered']) source.addEventListener(`minutebook.${type}.v1`, take);
});
setTimeout(() => { console.error('too slow', ids); process.exit(1); }, 50_000).unref();
await follow(Number(cut), {});
await follow(Number(wanted), { 'Last-Event-ID': String(ids.at(-1)) });
if (ids.some((id, i) => i > 0 && id <= ids[i - 1])) throw new Error(`not in order, or twice: ${ids}`);
console.log(ids.join(','));
