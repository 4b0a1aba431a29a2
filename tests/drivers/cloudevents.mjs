// CloudEvents: every line of an export through the official SDK's own validation.
import { readFileSync } from 'node:fs';
import { CloudEvent } from 'cloudevents';

const lines = readFileSync(process.argv[2], 'utf8').trim().split('\n');
for (const line of lines) new CloudEvent(JSON.parse(line)).validate();
console.log(`${lines.length} valid`);
