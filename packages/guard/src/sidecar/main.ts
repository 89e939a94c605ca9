/** Where the sidecar's process starts: `npx @bailiwick/guard`. */
import process from 'node:process';
import { run } from './run.ts';

const ended = new Promise((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
});

// the feed holds no process, and here nothing else may until it is known whether the guard is ready
const held = setInterval(() => {}, 60_000);
process.exitCode = await run({
  args: process.argv.slice(2),
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  ended,
});
clearInterval(held);
// What holds the process (a socket to the identity provider, say) has nothing left to do.
process.exit();
