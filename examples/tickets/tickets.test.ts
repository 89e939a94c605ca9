/** The API and the agent as one would run them: two programs and their key files. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { loadConfig, start } from '@bailiwick/server';
import { adminOf, freePort, type Identity, register } from './stage.ts';

const flags = process.execArgv.filter((flag) => flag.startsWith('--conditions'));

test('the agent closes one ticket after the other until none is open', { timeout: 60_000 }, async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-tickets-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const overrides = {
    port: 0,
    data: path.join(folder, 'data'),
    log_level: 'silent' as const,
    shutdown_grace_seconds: 1,
  };
  const server = await start(loadConfig({ cwd: folder, env: {}, overrides }));
  context.after(() => server.close());
  const admin = adminOf(JSON.parse(readFileSync(server.operatorFile, 'utf8')) as Identity);
  const url = `http://localhost:${await freePort()}`;
  const identities = await register({ issuer: server.issuer, api: url, admin });
  const file = (name: keyof typeof identities) => {
    const to = path.join(folder, `${name}.json`);
    writeFileSync(to, JSON.stringify(identities[name]), { mode: 0o600 });
    return to;
  };

  const api = spawn(process.execPath, [...flags, path.join(import.meta.dirname, 'api.ts'), file('guard'), url]);
  context.after(async () => {
    api.kill();
    await once(api, 'exit');
  });
  const [first] = (await once(api.stdout, 'data')) as [Buffer];
  assert.match(first.toString(), /The ticket API answers at/);

  const run = async (identity: string) => {
    const args = [...flags, path.join(import.meta.dirname, 'agent.ts'), identity, url];
    return (await promisify(execFile)(process.execPath, args)).stdout;
  };
  const triage = file('triage');
  assert.match(await run(file('reporter')), /can't be closed.*tickets:write/);
  assert.equal(await run(triage), 'Closed: The printer is on fire\n');
  assert.equal(await run(triage), 'Closed: Password forgotten\n');
  assert.equal(await run(triage), 'Closed: Coffee machine says no\n');
  assert.equal(await run(triage), 'No ticket is open.\n');
});
