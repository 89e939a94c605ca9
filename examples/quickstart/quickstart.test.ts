/** The README's five minutes: the same two files, with identities made over the admin API; and the API again with each framework. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { type Agent, agentFromFile, enrol } from '@bailiwick/agent';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { loadConfig, type RunningServer, start } from '@bailiwick/server';
import { testCertificate } from '../../packages/guard/src/testing/certificates.ts';
import { freePort } from '../../packages/server/src/testing/free-port.ts';

const flags = process.execArgv.filter((flag) => flag.startsWith('--conditions'));

let folder: string;
let server: RunningServer;
let operator: Agent;
let owner: string;
const running: ChildProcess[] = [];

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-quickstart-'));
  const overrides = {
    port: 0,
    data: path.join(folder, 'data'),
    log_level: 'silent' as const,
    shutdown_grace_seconds: 1,
    mtls: { port: 0 },
  };
  server = await start(loadConfig({ cwd: folder, env: {}, overrides }));
  operator = agentFromFile(server.operatorFile);
  owner = (await admin('POST', '/teams', { name: 'me', display_name: 'Me' })).id!;
});

after(async () => {
  for (const child of running) {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function admin(method: string, target: string, body?: object): Promise<Record<string, string>> {
  const headers = { 'content-type': 'application/json' };
  const content = body === undefined ? {} : { body: JSON.stringify(body), headers };
  const response = await operator.fetch(`${server.issuer}/admin/v1${target}`, { method, ...content });
  assert.ok(response.ok, `${method} ${target}: ${response.status} ${await response.clone().text()}`);
  return (await response.json()) as Record<string, string>;
}

/** Registers an API with one operation, its guard and an agent that may call it; their files are in the folder. */
async function registered(name: string, resource: string): Promise<{ agent: string }> {
  const identity = async (file: string, make: (jwk: unknown) => Promise<string>) => {
    const jwk = await generateJwk('ES256');
    const client_id = await make(publicJwk(jwk));
    const content = JSON.stringify({ issuer: server.issuer, client_id, jwk });
    writeFileSync(path.join(folder, file), content, { mode: 0o600 });
    return client_id;
  };
  const operations = [{ name: 'GET /hello', method: 'GET', path: '/hello', scope: ['hello'], sensitivity: 'low' }];
  await admin('POST', '/resources', { identifier: resource, name, scopes: [{ name: 'hello' }], operations });
  await identity(
    'guard.json',
    async (jwk) => (await admin('POST', '/guards', { name: `${name}-guard`, resource, owner, jwk })).agent!,
  );
  const agent = await identity('agent.json', async (jwk) => {
    const permissions = [{ resource, scopes: ['hello'] }];
    const { id: role } = await admin('POST', '/roles', { name: `${name}-greeter`, permissions });
    const resources = [{ resource, default: true, scope: ['hello'] }];
    const { id } = await admin('POST', '/agents', { name: `${name}-agent`, kind: 'ai_agent', owner, resources });
    await admin('PUT', `/agents/${id}/roles/${role}`);
    await admin('POST', '/credentials', { agent: id, jwk });
    return id!;
  });
  return { agent };
}

async function started(file: string, resource: string): Promise<ChildProcess> {
  const options = { cwd: folder, env: { ...process.env, RESOURCE: resource } };
  const api = spawn(process.execPath, [...flags, path.join(import.meta.dirname, file)], options);
  running.push(api);
  api.stderr.pipe(process.stderr);
  await Promise.race([once(api.stdout, 'data'), once(api, 'exit').then(() => assert.fail(`${file} ended`))]);
  return api;
}

async function call(url: string): Promise<string> {
  const args = [...flags, path.join(import.meta.dirname, 'agent.ts'), url];
  return (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
}

test('an API of one’s own, and an agent that calls it', { timeout: 120_000 }, async () => {
  const resource = `http://localhost:${await freePort()}`;
  const { agent } = await registered('hello', resource);
  await started('api.ts', resource);
  assert.match(await call(`${resource}/hello`), /^200 Hello agt_\w+: GET \/hello is the operation "GET \/hello"\.\n/);
  assert.match(await call(`${resource}/elsewhere`), /^403 .*not list/);
  assert.equal((await fetch(`${resource}/hello`)).status, 401);
  await admin('POST', `/agents/${agent}/suspend`);
  assert.match(await call(`${resource}/hello`), /^No answer: [^\n]*this agent is suspended[^\n]*\nHint: [^\n]+\n$/);
});

for (const framework of ['express', 'fastify', 'hono']) {
  test(`the same API with ${framework}`, { timeout: 120_000 }, async () => {
    const resource = `http://localhost:${await freePort()}`;
    await registered(framework, resource);
    await started(`api-${framework}.ts`, resource);
    const agent = agentFromFile(path.join(folder, 'agent.json'));
    const answer = await agent.fetch(`${resource}/hello`);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /^Hello agt_\w+: this is the operation "GET \/hello"\.\n$/);
    assert.equal((await agent.fetch(`${resource}/elsewhere`)).status, 403);
    assert.equal((await fetch(`${resource}/hello`)).status, 401);
  });
}

test('an API that ends TLS itself, and an instance that proves itself by its certificate', {
  timeout: 120_000,
}, async () => {
  const certificate = testCertificate('localhost');
  writeFileSync(path.join(folder, 'server.pem'), certificate.cert);
  writeFileSync(path.join(folder, 'server-key.pem'), certificate.key);
  const resource = `https://localhost:${await freePort()}`;
  await registered('secure', resource);
  await started('api-tls.ts', resource);
  const file = path.join(folder, 'agent.json');
  for (const [binding, proof] of [
    ['mtls', 'certificate'],
    ['both', 'dpop and certificate'],
    ['dpop', 'dpop'],
  ] as const) {
    await using instance = await enrol({ file, binding, ca: certificate.cert });
    const answer = await instance.fetch(`${resource}/hello`);
    assert.equal(answer.status, 200, binding);
    assert.match(await answer.text(), new RegExp(`^Hello agt_\\w+: .* proof: ${proof}\\.\n$`));
  }
});

test('the files are as short as the README says', () => {
  for (const [file, most] of [
    ['api.ts', 12],
    ['agent.ts', 9],
  ] as const) {
    const lines = readFileSync(path.join(import.meta.dirname, file), 'utf8')
      .trim()
      .split('\n');
    assert.ok(lines.filter((line) => line.trim() !== '').length <= most, `${file} has ${lines.length} lines`);
  }
});
