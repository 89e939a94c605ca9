/** The README's five minutes: the same two files, with identities made over the admin API. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { agentFromFile } from '@bailiwick/agent';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { loadConfig, start } from '@bailiwick/server';

const flags = process.execArgv.filter((flag) => flag.startsWith('--conditions'));

test('an API of one’s own, and an agent that calls it', { timeout: 60_000 }, async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-quickstart-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const overrides = {
    port: 0,
    data: path.join(folder, 'data'),
    log_level: 'silent' as const,
    shutdown_grace_seconds: 1,
  };
  const { issuer, operatorFile, close } = await start(loadConfig({ cwd: folder, env: {}, overrides }));
  context.after(() => close());
  const operator = agentFromFile(operatorFile);
  const admin = async (method: string, target: string, body?: object): Promise<Record<string, string>> => {
    const headers = { 'content-type': 'application/json' };
    const content = body === undefined ? {} : { body: JSON.stringify(body), headers };
    const response = await operator.fetch(`${issuer}/admin/v1${target}`, { method, ...content });
    assert.ok(response.ok, `${method} ${target}: ${response.status} ${await response.clone().text()}`);
    return (await response.json()) as Record<string, string>;
  };
  const identity = async (name: string, make: (jwk: unknown) => Promise<string | undefined>) => {
    const jwk = await generateJwk('ES256');
    const content = JSON.stringify({ issuer, client_id: await make(publicJwk(jwk)), jwk });
    writeFileSync(path.join(folder, name), content, { mode: 0o600 });
  };

  const resource = `http://localhost:${await freePort()}`;
  const { id: owner } = await admin('POST', '/teams', { name: 'me', display_name: 'Me' });
  const operations = [{ name: 'GET /hello', method: 'GET', path: '/hello', scope: ['hello'], sensitivity: 'low' }];
  await admin('POST', '/resources', { identifier: resource, name: 'hello', scopes: [{ name: 'hello' }], operations });
  await identity(
    'guard.json',
    async (jwk) => (await admin('POST', '/guards', { name: 'hello-guard', resource, owner, jwk })).agent,
  );
  await identity('agent.json', async (jwk) => {
    const { id: role } = await admin('POST', '/roles', {
      name: 'greeter',
      permissions: [{ resource, scopes: ['hello'] }],
    });
    const resources = [{ resource, default: true, scope: ['hello'] }];
    const { id } = await admin('POST', '/agents', { name: 'greeter', kind: 'ai_agent', owner, resources });
    await admin('PUT', `/agents/${id}/roles/${role}`);
    await admin('POST', '/credentials', { agent: id, jwk });
    return id;
  });

  const options = { cwd: folder, env: { ...process.env, RESOURCE: resource } };
  const api = spawn(process.execPath, [...flags, path.join(import.meta.dirname, 'api.ts')], options);
  context.after(async () => {
    api.kill();
    await once(api, 'exit');
  });
  await once(api.stdout, 'data');
  const call = async (url: string) => {
    const args = [...flags, path.join(import.meta.dirname, 'agent.ts'), url];
    return (await promisify(execFile)(process.execPath, args, options)).stdout;
  };
  assert.match(await call(`${resource}/hello`), /^200 Hello agt_\w+: GET \/hello is the operation "GET \/hello"\.\n/);
  assert.match(await call(`${resource}/elsewhere`), /^403 .*not list/);
  assert.equal((await fetch(`${resource}/hello`)).status, 401);
  const { client_id } = JSON.parse(readFileSync(path.join(folder, 'agent.json'), 'utf8')) as { client_id: string };
  await admin('POST', `/agents/${client_id}/suspend`);
  assert.match(await call(`${resource}/hello`), /^No answer: [^\n]*this agent is suspended[^\n]*\n$/);
});

test('the two files are as short as the README says', () => {
  for (const [file, most] of [
    ['api.ts', 12],
    ['agent.ts', 8],
  ] as const) {
    const lines = readFileSync(path.join(import.meta.dirname, file), 'utf8')
      .trim()
      .split('\n');
    assert.ok(lines.filter((line) => line.trim() !== '').length <= most, `${file} has ${lines.length} lines`);
  }
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject).listen(0, 'localhost', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
