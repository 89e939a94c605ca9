/** Where the sidecar's process starts: `npx @bailiwick/guard`. */
import process from 'node:process';
import { type Output, outputTo } from './output.ts';
import { run } from './run.ts';

const ended = new Promise((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
});

const [out, err] = [process.stdout, process.stderr].map(outputTo) as [Output, Output];

// the feed holds no process, and here nothing else may until it is known whether the guard is ready
const held = setInterval(() => {}, 60_000);
process.exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  out: out.write,
  err: err.write,
  ended,
});
clearInterval(held);
// a pipe takes what fits into it, and the rest as its reader reads: what isn't handed over would end with us
await Promise.all([out.written(), err.written()]);
// What holds the process (a socket to the identity provider, say) has nothing left to do.
process.exit();
