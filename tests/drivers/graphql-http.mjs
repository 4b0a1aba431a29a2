// GraphQL over HTTP: the audits of graphql-http, against URL with KEY. Every one must be ok.
import { auditServer } from 'graphql-http';

const [url, key] = process.argv.slice(2);
const fetchFn = (input, init = {}) => fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${key}` } });
const results = await auditServer({ url, fetchFn });
const bad = results.filter((r) => r.status !== 'ok');
for (const r of bad) console.log(`${r.status} ${r.id} ${r.name}: ${r.reason}`);
console.log(`${results.length - bad.length}/${results.length} ok`);
process.exit(bad.length);
