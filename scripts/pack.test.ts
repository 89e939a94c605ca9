import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';
import { freePort } from '../packages/server/src/testing/free-port.ts';
import { buildPackages } from './build.ts';

/** A program of somebody who has only installed our packages: an API, an agent that calls it, and one that may not. */
const program = `
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Agent, agentFromFile } from '@bailiwick/agent';
import { type Caller, createGuard } from '@bailiwick/guard';
import { loadConfig } from '@bailiwick/server';

const resource = process.argv[2] as string;
const guard = createGuard({ resource, credential: 'guard.json' });
const api = createServer(guard.node((_: IncomingMessage, response: ServerResponse, caller: Caller) => {
  response.end(JSON.stringify({ subject: caller.subject }));
}));
await new Promise<void>((resolve) => api.listen(Number(new URL(resource).port), '127.0.0.1', resolve));

const agent: Agent = agentFromFile('desk.json');
const listed = await agent.fetch(resource + '/tickets');
const missing = await agent.fetch(resource + '/unlisted');
const nobody = await fetch(resource + '/tickets');
console.log(JSON.stringify({
  listed: [listed.status, await listed.json()],
  missing: missing.status,
  nobody: nobody.status,
  exports: typeof loadConfig,
}));
process.exit();
`;

/** The same API in each framework, none of which our packages bring along. */
const frameworks: Record<string, string> = {
  express: `
import { createGuard } from '@bailiwick/guard';
import { bailiwick } from '@bailiwick/guard/express';
import express from 'express';

const app = express();
app.use(bailiwick(createGuard({ resource: process.argv[2] as string, credential: 'guard.json' })));
app.get('/tickets', (request, response) => {
  const subject: string = request.caller.subject;
  response.json({ subject });
});
app.listen(Number(new URL(process.argv[2] as string).port), '127.0.0.1', () => console.log('listens'));
`,
  fastify: `
import { createGuard } from '@bailiwick/guard';
import { bailiwick } from '@bailiwick/guard/fastify';
import fastify from 'fastify';

const app = fastify();
await app.register(bailiwick, { guard: createGuard({ resource: process.argv[2] as string, credential: 'guard.json' }) });
app.get('/tickets', (request) => {
  const subject: string = request.caller.subject;
  return { subject };
});
await app.listen({ port: Number(new URL(process.argv[2] as string).port), host: '127.0.0.1' });
console.log('listens');
`,
  hono: `
import { createGuard } from '@bailiwick/guard';
import { bailiwick } from '@bailiwick/guard/hono';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const app = new Hono();
app.use(bailiwick(createGuard({ resource: process.argv[2] as string, credential: 'guard.json' })));
app.get('/tickets', (context) => {
  const subject: string = context.get('caller').subject;
  return context.json({ subject });
});
const port = Number(new URL(process.argv[2] as string).port);
serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, () => console.log('listens'));
`,
};

/** Calls it, as one who may and as nobody. */
const caller = `
import { agentFromFile } from '@bailiwick/agent';

const url = process.argv[2] + '/tickets';
const answer = await agentFromFile('desk.json').fetch(url);
console.log(JSON.stringify([answer.status, await answer.json(), (await fetch(url)).status]));
process.exit();
`;

describe('the published packages, installed in an empty folder', () => {
  let folder: string;
  let tarballs: Record<string, string>;
  /** The environment of a user: nothing of this workspace leads to its sources or its Node.js. */
  const environment = { ...process.env, NODE_OPTIONS: undefined, NODE_ENV: undefined };

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'bailiwick-pack-'));
    tarballs = buildPackages(join(folder, 'build'));
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
    // what the workspace has installed lies in npm's cache already; the frameworks are for the guard's adapters
    const others = ['express', 'fastify', 'hono', '@hono/node-server', '@types/express', '@types/node'];
    const wanted = [...Object.values(tarballs), ...others.map((name) => `${name}@${installed(name)}`)];
    run('npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', ...wanted);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  test('carry what is needed, and neither tests nor sources', () => {
    for (const name of Object.keys(tarballs)) {
      const files = readdirSync(join(folder, 'node_modules/@bailiwick', name), { recursive: true }) as string[];
      assert.ok(files.includes('LICENSE'), `${name} has a licence`);
      assert.ok(files.includes(join('dist', 'index.js')) && files.includes(join('dist', 'index.d.ts')), name);
      assert.deepEqual(
        files.filter((file) => /\.test\.|testing|^src|(?<!\.d)\.ts$/.test(file)),
        [],
        name,
      );
    }
  });

  test('run a server, and an API and an agent against it, in types too', async () => {
    const [port, apiPort] = [await freePort(), await freePort()];
    const resource = `http://127.0.0.1:${apiPort}`;
    const server = spawn(process.execPath, [bailiwick(), 'serve', '--json'], {
      cwd: folder,
      env: { ...environment, BAILIWICK_PORT: String(port), BAILIWICK_MTLS_PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await Promise.race([
        once(server.stdout, 'data'),
        once(server, 'exit').then(() => assert.fail('the server ended')),
      ]);
      const tell = (...args: string[]) => run(process.execPath, bailiwick(), ...args);
      tell('teams', 'create', 'support');
      tell('resources', 'create', resource, '--name', 'tickets', '--operation', 'GET /tickets tickets:read low');
      tell('guards', 'create', 'tickets', '--owner', 'team:support', '--key-out', 'guard.json');
      tell('roles', 'create', 'reader', '--permission', 'tickets=tickets:read');
      const agent = ['--owner', 'team:support', '--role', 'reader', '--resource', 'tickets', '--key-out', 'desk.json'];
      tell('agents', 'create', 'desk', ...agent);

      writeFileSync(join(folder, 'program.ts'), program);
      const said = JSON.parse(run(process.execPath, 'program.ts', resource));
      assert.equal(said.listed[0], 200);
      assert.match(said.listed[1].subject, /^spiffe:\/\/.+\/desk$/);
      assert.equal(said.exports, 'function');
      assert.equal(said.missing, 403);
      assert.equal(said.nobody, 401);
      typecheck('program.ts');

      for (const [name, text] of Object.entries(frameworks)) {
        writeFileSync(join(folder, `${name}.ts`), text);
        writeFileSync(join(folder, 'caller.ts'), caller);
        const [status, body, nobody] = JSON.parse(await whileRunning(`${name}.ts`, resource, 'caller.ts'));
        assert.deepEqual([name, status, nobody], [name, 200, 401]);
        assert.match(body.subject, /\/desk$/);
      }
      typecheck(...Object.keys(frameworks).map((name) => `${name}.ts`));
      await runsBesideProxies(resource);
    } finally {
      server.kill('SIGTERM');
    }
    const [code] = await once(server, 'exit');
    assert.equal(code, 0, 'ends cleanly');
  });

  const bailiwick = () => join(folder, 'node_modules/.bin/bailiwick');

  /** The guard as a process of its own: `npx @bailiwick/guard`. */
  async function runsBesideProxies(resource: string): Promise<void> {
    const program = join(folder, 'node_modules/.bin/bailiwick-guard');
    const args = ['--resource', resource, '--credential', 'guard.json', '--proxy', 'nginx'];
    assert.match(run(process.execPath, program, '--help'), /^Usage: bailiwick-guard /);
    run(process.execPath, program, ...args, '--check');
    const port = await freePort();
    const child = spawn(process.execPath, [program, ...args, '--listen', `127.0.0.1:${port}`], {
      cwd: folder,
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(child, 'exit');
    try {
      let said = '';
      await new Promise<void>((resolve, reject) => {
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          said += text;
          if (said.includes('Ready')) resolve();
        });
        ended.then(() => reject(new Error(`the sidecar ended: ${said}`)));
      });
      const asked = { 'x-original-method': 'GET', 'x-original-uri': '/tickets', 'x-forwarded-for': '192.0.2.7' };
      assert.equal((await fetch(`http://127.0.0.1:${port}/check`, { headers: asked })).status, 401);
      assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
    } finally {
      child.kill('SIGTERM');
    }
    assert.deepEqual(await ended, [0, null], 'ends cleanly');
  }

  function typecheck(...files: string[]): void {
    const require = createRequire(import.meta.url);
    const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--skipLibCheck', 'false'];
    run(process.execPath, compiler, ...options, '--types', 'node', ...files);
  }

  /** What the second program says while the first one, an API, is running. */
  async function whileRunning(api: string, resource: string, file: string): Promise<string> {
    const child = spawn(process.execPath, [api, resource], {
      cwd: folder,
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    try {
      await Promise.race([once(child.stdout, 'data'), ended.then(() => assert.fail(`${api} ended`))]);
      return run(process.execPath, file, resource);
    } finally {
      child.kill();
      await ended;
    }
  }

  function run(command: string, ...args: string[]): string {
    const { status, stdout, stderr, error } = spawnSync(command, args, {
      cwd: folder,
      env: environment,
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${command} ${args.join(' ')}: ${error?.message ?? ''}\n${stdout}${stderr}`);
    return stdout;
  }
});

/** The version that the workspace has. */
function installed(name: string): string {
  const manifest = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(manifest, 'utf8')).version;
}
