// Server-sent events with the package `eventsource`: it follows the feed, loses the connection, and by itself
// comes back with the id of the last event that it has.
import { EventSource } from 'eventsource';

const [url, key, cut, wanted] = process.argv.slice(2);
const [ids, returned] = [[], []];
const lost = new AbortController();
// It keeps the process going while the package, whose timer does not, waits to come back.
const late = setTimeout(() => { console.error('too slow', ids); process.exit(1); }, 50_000);
await new Promise((resolve, reject) => {
  const done = () => { if (ids.length === Number(wanted) && returned.length === 2) { source.close(); resolve(); } };
  const source = new EventSource(url, {
    fetch: (input, init) => {
      const headers = new Headers(init.headers);
      headers.set('Authorization', `Bearer ${key}`);
      returned.push(headers.get('Last-Event-ID'));
      done();
      const signal = lost.signal.aborted ? init.signal : AbortSignal.any([init.signal, lost.signal]);
      return fetch(input, { ...init, headers, signal });
    },
  });
  const take = (event) => {
    ids.push(Number(event.lastEventId));
    const cloudEvent = JSON.parse(event.data);
    if (cloudEvent.specversion !== '1.0' || cloudEvent.mbseq !== event.lastEventId) reject(new Error(event.data));
    if (ids.length === Number(cut)) lost.abort(new TypeError('the connection is lost'));
    done();
  };
  // An answer that is no stream ends it; a lost connection does not.
  source.onerror = (event) => { if (event.code !== undefined || !lost.signal.aborted) reject(new Error(event.message)); };
  for (const type of ['businesses.registered', 'tasks.planned', 'tasks.offered']) source.addEventListener(`minutebook.${type}.v1`, take);
});
if (returned.length !== 2 || returned[0] !== null || returned[1] === null) throw new Error(`it came back with ${returned}`);
if (ids.some((id, i) => i > 0 && id <= ids[i - 1])) throw new Error(`not in order, or twice: ${ids}`);
clearTimeout(late);
console.log(ids.join(','));
