/** The guide docs/guides/two-trust-domains.md, line by line: two servers, and an agent of one with a token of the other. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { loadConfig, start } from '@bailiwick/server';

const root = path.resolve(import.meta.dirname, '../..');
const flags = process.execArgv.filter((flag) => flag.startsWith('--conditions'));
const main = path.join(root, 'packages/server/src/main.ts');

const guide = readFileSync(path.join(root, 'docs/guides/two-trust-domains.md'), 'utf8');
const [servers = '', commands = ''] = [...guide.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block);
const linesOf = (block: string) => block.trim().split('\n');

test('from nothing to a bound token, as the guide says', { timeout: 120_000 }, async (context) => {
  assert.ok(linesOf(servers).length + linesOf(commands).length < 10, 'under ten lines');

  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-two-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'), 'dir');
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  for (const file of ['east.yaml', 'west.yaml', 'agent.ts']) {
    cpSync(path.join(import.meta.dirname, file), path.join(folder, file));
  }

  // the ports of the guide may be taken here: each is another one, everywhere
  const ports = new Map<string, string>();
  for (const [, variable = '', port = ''] of servers.matchAll(/(BAILIWICK_PORT)=(\d+)/g)) {
    assert.ok(variable);
    const free = await freePorts();
    ports.set(port, String(free[0])).set(String(Number(port) + 1), String(free[1]));
  }
  const here = (text: string) => text.replaceAll(/\b84\d\d\b/g, (port) => ports.get(port) ?? port);
  for (const file of ['west.yaml', 'agent.ts']) {
    writeFileSync(path.join(folder, file), here(readFileSync(path.join(folder, file), 'utf8')));
  }

  for (const line of linesOf(here(servers))) {
    const env = Object.fromEntries(
      [...line.matchAll(/(BAILIWICK_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
    );
    const mtlsPort = ports.get(String(Number([...ports].find(([, free]) => free === env.BAILIWICK_PORT)?.[0]) + 1));
    const overrides = { log_level: 'silent' as const, shutdown_grace_seconds: 1, mtls: { port: Number(mtlsPort) } };
    const { close } = await start(loadConfig({ cwd: folder, env, overrides }));
    context.after(() => close());
  }

  let said = '';
  for (const line of linesOf(here(commands))) {
    const [program = '', ...words] = line.split(/\s+/);
    if (program === 'curl') {
      const [, url = '', , file = ''] = words;
      writeFileSync(path.join(folder, file), await (await fetch(url)).text());
      continue;
    }
    const script = program === 'bailiwick' ? [main, ...words] : words;
    const ran = await promisify(execFile)(process.execPath, [...flags, ...script], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder },
    }).catch((error: { stdout: string; stderr: string }) => assert.fail(`${line}\n${error.stdout}\n${error.stderr}`));
    said = ran.stdout;
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
