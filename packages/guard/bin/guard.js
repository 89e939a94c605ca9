#!/usr/bin/env node
// The guard as a process of its own, beside a proxy. In a clone of the repository it runs the sources, in an installed package what was built from them.
import { existsSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../src/sidecar/main.ts', import.meta.url));

if (existsSync(source)) {
  const { run } = await import(new URL('../../../scripts/run.mjs', import.meta.url).href);
  run(source, process.argv.slice(2));
} else if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(
    `Bailiwick needs Node.js 24 or newer, and this is ${process.version}. Install a newer one and try again.\n`,
  );
  process.exitCode = 1;
} else {
  await import(new URL('../dist/sidecar/main.js', import.meta.url).href);
}
