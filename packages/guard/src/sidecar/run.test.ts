/** How the sidecar is told what to do, and what it says when that is wrong. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { type FakeIssuer, fakeIssuer, issuer, quiet, resource } from '../testing/fake-issuer.ts';
import { readInvocation, settings } from './config.ts';
import { run } from './run.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-sidecar-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, content: unknown) => {
  const to = path.join(folder, name);
  writeFileSync(to, typeof content === 'string' ? content : JSON.stringify(content));
  return to;
};
const fake = await fakeIssuer();
const credential = file('guard.json', { issuer, ...fake.guard });
const needed = ['--resource', resource, '--credential', credential, '--proxy', 'nginx'];

async function start(args: readonly string[], env: Record<string, string> = {}, world: FakeIssuer = fake) {
  let [out, err] = ['', ''];
  const { report: _, ...runtime } = quiet(world);
  const code = await run({
    args,
    env,
    out: (text) => (out += text),
    err: (text) => (err += text),
    ended: Promise.resolve(),
    seams: { runtime },
  });
  return { code, out, err };
}

for (const [what, args, sentence] of [
  ['nothing at all', [], /^--proxy must be one of nginx, traefik, caddy, envoy/],
  ['no resource', ['--credential', credential, '--proxy', 'nginx'], /^--resource is missing: the URL that callers use/],
  ['no credential', ['--resource', resource, '--proxy', 'nginx'], /^--credential is missing: .*guards create/],
  ['a proxy that is unknown', [...needed, '--proxy', 'haproxy'], /^--proxy must be one of/],
  ['a proxy of JavaScript', [...needed, '--proxy', 'constructor'], /^--proxy must be one of/],
  ['two proxies in one', [...needed, '--proxy', 'nginx,caddy'], /^--proxy must be one of/],
  ['an unknown flag', [...needed, '--trust-everybody'], /^Unknown option '--trust-everybody'\. Try --help\.$/m],
  ['a flag without its value', [...needed, '--listen'], /--listen/],
  ['a word without a flag', [...needed, 'nginx'], /^Unexpected argument 'nginx'/],
  ['an unknown mode', [...needed, '--mode', 'trusting'], /^--mode must be feed or introspect or offline\.$/m],
  [
    'an unknown sensitivity',
    [...needed, '--ask-from', 'highest'],
    /^--ask-from must be high or medium or low or never\.$/m,
  ],
  ['no sensitivity', [...needed, '--ask-from', ''], /^--ask-from must be/],
  ['a sensitivity of JavaScript', [...needed, '--ask-from', 'constructor'], /^--ask-from must be/],
  [
    'asking, and offline',
    [...needed, '--mode', 'offline', '--ask-from', 'low'],
    /^continuous needs a credential, and a mode/,
  ],
  [
    'a sensitivity that is a number',
    [...needed, '--config', file('k.json', { ask_from: 1 })],
    /ask_from must be a string/,
  ],
  [
    'an unknown sensitivity in a file',
    [...needed, '--config', file('l.json', { ask_from: 'all' })],
    /^--ask-from must be/,
  ],
  ['a depth that is none', [...needed, '--max-depth', 'two'], /^--max-depth must be a whole number/],
  ['half a depth', [...needed, '--config', file('m.json', { max_depth: 0.5 })], /^--max-depth must be a whole number/],
  ['an agent that is none', [...needed, '--without', 'reader'], /^demands\.without must list ids \(agt_…\)/],
  ['an unknown choice of decisions', [...needed, '--log', 'debug'], /^--log must be all or refused or none/],
  ['a port that is none', [...needed, '--listen', '127.0.0.1:99999'], /^--listen must be an address and a port/],
  ['an address without a port', [...needed, '--listen', '127.0.0.1'], /^--listen must be/],
  ['an IPv6 address without brackets', [...needed, '--listen', '::1:8457'], /^--listen must be/],
  ['proxies that are everybody', [...needed, '--trusted-proxy', '0.0.0.0/0'], /a network of everybody/],
  ['proxies that are everybody on IPv6', [...needed, '--trusted-proxy', '::/0'], /a network of everybody/],
  ['a proxy by name', [...needed, '--trusted-proxy', 'nginx.internal'], /^--trusted-proxy: "nginx\.internal" is no/],
  [
    'certificates of Traefik',
    [...needed, '--proxy', 'traefik', '--client-certificates'],
    /traefik passes no certificates/,
  ],
  ['certificates of Envoy', [...needed, '--proxy', 'envoy', '--client-certificates'], /envoy passes no certificates/],
  ['a cache of an hour', [...needed, '--introspection-cache', '3600'], /^--introspection-cache must be/],
  ['a cache of nothing', [...needed, '--introspection-cache', ''], /^--introspection-cache must be/],
  ['a cache in words', [...needed, '--introspection-cache', 'two'], /^--introspection-cache must be/],
  ['a zone without networks', [...needed, '--zone', 'eu-1'], /^--zone must be a name and its networks/],
  ['a zone whose network is none', [...needed, '--zone', 'eu-1=10.0.0.0/99'], /10\.0\.0\.0\/99/],
  ['a resource that is no URL', [...needed, '--resource', 'tickets'], /^resource must be the URL/],
  ['a local path without a slash', [...needed, '--local-path', 'v1'], /^localPath must begin with a slash/],
  [
    'a credential that is not there',
    [...needed, '--credential', 'nowhere.json'],
    /nowhere\.json can't be read: ENOENT/,
  ],
  [
    'a configuration that is not there',
    [...needed, '--config', 'nowhere.json'],
    /^The configuration nowhere\.json can't be read: ENOENT/,
  ],
  ['a configuration that is no JSON', ['--config', file('a.json', 'resource: x')], /can't be read: it is not JSON/],
  ['a configuration that is a list', ['--config', file('b.json', [])], /must be a JSON object/],
  [
    'a member that is unknown',
    ['--config', file('c.json', { resource, colour: 'red' })],
    /c\.json: "colour" is no setting/,
  ],
  ['a member with a hyphen', ['--config', file('d.json', { 'trusted-proxy': [] })], /"trusted-proxy" is no setting/],
  [
    'a member of JavaScript',
    ['--config', file('e.json', '{"__proto__": {"proxy": "nginx"}}')],
    /"__proto__" is no setting/,
  ],
  ['a configuration in a configuration', ['--config', file('f.json', { config: 'x' })], /"config" is no setting/],
  [
    'a list that is a text',
    ['--config', file('g.json', { trusted_proxy: '10.0.0.1' })],
    /trusted_proxy must be a list of strings/,
  ],
  [
    'a truth that is a text',
    ['--config', file('h.json', { client_certificates: 'no' })],
    /client_certificates must be true or false/,
  ],
  ['a text that is a number', ['--config', file('i.json', { resource: 7 })], /resource must be a string/],
  [
    'nobody to believe',
    [...needed, '--config', file('j.json', { trusted_proxy: [] })],
    /must name the proxy, or nobody/,
  ],
] as [string, string[], RegExp][]) {
  test(`ends with 2 and says what to write: ${what}`, async () => {
    const { code, out, err } = await start(args);
    assert.match(err, sentence);
    assert.deepEqual([code, out], [2, '']);
    assert.ok(!err.includes(String(fake.guard.jwk.d)));
  });
}

for (const [what, env, sentence] of [
  ['a variable that is none', { BAILIWICK_GUARD_COLOUR: 'red' }, /^BAILIWICK_GUARD_COLOUR is no setting/],
  ['a variable of help', { BAILIWICK_GUARD_HELP: 'true' }, /^BAILIWICK_GUARD_HELP is no setting/],
  ['an unknown sensitivity', { BAILIWICK_GUARD_ASK_FROM: 'none' }, /^--ask-from must be/],
  ['half a truth', { BAILIWICK_GUARD_CLIENT_CERTIFICATES: '1' }, /must be true or false/],
] as const) {
  test(`ends with 2 and says what to write: ${what}`, async () => {
    const { code, err } = await start(needed, env);
    assert.match(err, sentence);
    assert.equal(code, 2);
  });
}

test('flags count before the environment, and that before the file', () => {
  const config = file('order.json', {
    resource: 'https://file.example',
    credential,
    proxy: 'caddy',
    mode: 'offline',
    trusted_proxy: ['10.0.0.1'],
    introspection_cache: 0,
  });
  const env = {
    BAILIWICK_GUARD_CONFIG: config,
    BAILIWICK_GUARD_PROXY: 'traefik',
    BAILIWICK_GUARD_TRUSTED_PROXY: '10.0.0.2  10.0.0.3',
    BAILIWICK_GUARD_RESOURCE: 'https://env.example',
    BAILIWICK_DATA: 'not ours',
  };
  const { config: read } = readInvocation(
    ['--resource', resource, '--listen', '[::1]:9000', '--zone', 'eu-1=10.1.0.0/16,10.2.0.0/16'],
    env,
  );
  assert.deepEqual(
    [read?.resource, read?.proxy, read?.mode, read?.trustedProxies, read?.listen, read?.cacheSeconds, read?.zones],
    [
      resource,
      'traefik',
      'offline',
      ['10.0.0.2', '10.0.0.3'],
      { host: '::1', port: 9000 },
      0,
      { 'eu-1': ['10.1.0.0/16', '10.2.0.0/16'] },
    ],
  );
});

test('reports wait where a service keeps its state, where that was said, or in memory', () => {
  const read = (args: string[], env = {}) => readInvocation([...needed, ...args], env).config?.reports;
  assert.deepEqual(
    [
      read([]),
      read([], { HOME: '/home/a' }),
      read([], { HOME: '/home/a', XDG_STATE_HOME: '/state' }),
      read([], { STATE_DIRECTORY: '/var/lib/guard:/other', HOME: '/home/a' }),
      read(['--reports', '/reports'], { HOME: '/home/a' }),
      read(['--reports', 'memory'], { HOME: '/home/a' }),
      read([], { BAILIWICK_GUARD_REPORTS: 'off' }),
    ],
    [
      'memory',
      { folder: '/home/a/.local/state/bailiwick-guard/reports' },
      { folder: '/state/bailiwick-guard/reports' },
      { folder: '/var/lib/guard/reports' },
      { folder: '/reports' },
      'memory',
      'off',
    ],
  );
  assert.throws(() => read(['--reports', '']), /--reports/);
});

test('from where on is asked can be said by flag, environment and file; else the guard itself decides', () => {
  const inFile = file('ask.json', { ask_from: 'never' });
  const read = (args: string[], env = {}) => readInvocation([...needed, ...args], env).config?.askFrom;
  assert.deepEqual(
    [
      read([]),
      read(['--config', inFile]),
      read(['--config', inFile], { BAILIWICK_GUARD_ASK_FROM: 'medium' }),
      read(['--ask-from', 'low'], { BAILIWICK_GUARD_ASK_FROM: 'medium' }),
    ],
    [undefined, 'never', 'medium', 'low'],
  );
});

test('on whose authority callers may come can be said by flag, environment and file', () => {
  const inFile = file('demands.json', { demand_person: true, max_depth: 2, without: ['agt_1'] });
  const read = (args: string[], env = {}) => readInvocation([...needed, ...args], env).config?.demands;
  assert.deepEqual(
    [
      read([]),
      read(['--config', inFile]),
      read(['--config', inFile, '--max-depth', '0'], { BAILIWICK_GUARD_WITHOUT: 'agt_2 agt_3' }),
      read(['--demand-person'], { BAILIWICK_GUARD_MAX_DEPTH: '3' }),
    ],
    [
      {},
      { person: true, maxDepth: 2, without: ['agt_1'] },
      { person: true, maxDepth: 0, without: ['agt_2', 'agt_3'] },
      { person: true, maxDepth: 3 },
    ],
  );
});

test('help needs nothing, names every setting, and ends with 0', async () => {
  for (const flag of ['--help', '-h']) {
    const { code, out, err } = await start([flag]);
    assert.deepEqual([code, err], [0, '']);
    for (const name of Object.keys(settings)) assert.ok(out.includes(`--${name}`), name);
  }
});

test('--check asks the identity provider once, and listens nowhere', async () => {
  const { code, err } = await start([...needed, '--check', '--listen', '127.0.0.1:1']);
  assert.deepEqual(
    [code, err],
    [0, `The configuration is fine, and the identity provider knows this guard of ${resource}.\n`],
  );
});

test('--check, and the identity provider is away: 4', async () => {
  const away = await fakeIssuer();
  away.away = true;
  const { code, err } = await start([...needed, '--check'], {}, away);
  assert.equal(code, 4);
  assert.match(err, /^The configuration is fine, but the guard could not begin: /);
});

test('--check, and the guard is of another resource: 4', async () => {
  const { code, err } = await start([...needed, '--check', '--resource', 'https://other.example']);
  assert.equal(code, 4);
  assert.match(err, /configured for "https:\/\/other\.example"/);
});

test('an address that is taken: 3', async (context) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  context.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const { code, err } = await start([...needed, '--listen', `127.0.0.1:${port}`]);
  assert.deepEqual([code, err], [3, `Can't listen on 127.0.0.1:${port}: EADDRINUSE.\n`]);
});

test('begins with what it is, and ends with 0', async () => {
  const { code, err } = await start([...needed, '--listen', '127.0.0.1:0', '--mode', 'offline']);
  assert.equal(code, 0);
  assert.match(
    err,
    /^Bailiwick guards https:\/\/api\.example\/v1\n {2}asked by {3}nginx, at http:\/\/127\.0\.0\.1:\d+\/check, from 127\.0\.0\.1, ::1\n/,
  );
  assert.match(err, /offline: a revoked token works for up to 15 minutes/);
});
