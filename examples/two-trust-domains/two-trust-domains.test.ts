/** The guide docs/guides/two-trust-domains.md, line by line: two servers, and an agent of one with a token of the other. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { loadConfig, start } from '@bailiwick/server';
import { commandsIn, isSetting, openClone } from '../guide.ts';

const guide = readFileSync(path.join(import.meta.dirname, '../../docs/guides/two-trust-domains.md'), 'utf8');
const [beginning = ''] = guide.split('\n## Where bundles come from\n');
const lines = commandsIn(beginning);
const isServer = (line: string) => line.endsWith(' serve');

test('from nothing to a bound token, as the guide says', { timeout: 120_000 }, async (context) => {
  assert.ok(lines.filter((line) => !isSetting(line)).length < 10, 'under ten lines');

  // the ports of the guide may be taken here: each is another one, everywhere
  const ports = new Map<string, string>();
  for (const [, port = ''] of beginning.matchAll(/BAILIWICK_PORT=(\d+)/g)) {
    const free = await freePorts();
    ports.set(port, String(free[0])).set(String(Number(port) + 1), String(free[1]));
  }
  assert.equal(ports.size, 4, 'two servers');
  const here = (text: string) => text.replaceAll(/\b84\d\d\b/g, (port) => ports.get(port) ?? port);
  const { folder, run } = openClone(context, { example: 'two-trust-domains', here });

  let said = '';
  for (const line of lines) {
    if (!isServer(line)) {
      said = await run(here(line));
      continue;
    }
    const env = Object.fromEntries(
      [...line.matchAll(/(BAILIWICK_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
    );
    const [port, mtls] = [0, 1].map((more) => Number(ports.get(String(Number(env.BAILIWICK_PORT) + more))));
    const overrides = { port, mtls: { port: mtls }, log_level: 'silent' as const, shutdown_grace_seconds: 1 };
    const { close } = await start(loadConfig({ cwd: folder, env, overrides }));
    context.after(() => close());
  }
  assert.match(
    said,
    /^spiffe:\/\/east\.example\/default\/courier\/ins_\w+ has a DPoP token for tickets:read from http:\/\/localhost:\d+\.\n$/,
  );
});

/** Two ports that nobody uses, found together. */
async function freePorts(): Promise<number[]> {
  const probes = [createServer(), createServer()];
  const ports: number[] = [];
  for (const probe of probes) {
    await new Promise<void>((resolve, reject) => probe.on('error', reject).listen(0, 'localhost', resolve));
    const address = probe.address();
    ports.push(typeof address === 'object' && address !== null ? address.port : 0);
  }
  for (const probe of probes) probe.close();
  return ports;
}
