/** The guide docs/guides/any-service-without-code.md: its commands, with a real nginx; and what it says of other proxies. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { identityHeaders } from '../../packages/guard/src/sidecar/reply.ts';
import { systemTool } from '../../packages/server/src/testing/system-tool.ts';
import { isSetting, openGuide } from '../guide.ts';

const nginx = systemTool('nginx');
const skip = 'skip' in nginx && nginx.skip;

test('from nothing to a bound token, as the guide says', { timeout: 180_000, skip }, async (context) => {
  const guide = await openGuide(context, {
    page: 'any-service-without-code.md',
    example: 'sidecar',
    ports: [8480, 3070, 8457],
  });
  const { lines, run, begin } = guide;
  assert.ok(lines.filter((line) => !isSetting(line)).length < 10, 'under ten lines');

  let said = '';
  for (const line of lines) {
    if (line.endsWith(' api.ts')) await begin(line, /listens/);
    else if (line.startsWith('npx @bailiwick/guard')) await begin(line, /Ready/);
    else said = await run(line);
    if (line.startsWith('nginx')) guide.finally(() => run(`${line} -s stop`));
  }
  const [, agent] = /^200 Hello (agt_\w+): GET \/tides is the operation "GET \/tides"\.\n\n$/.exec(said) ?? [];
  assert.ok(agent, said);

  const url = new URL('/tides', lines.join(' ').match(/http:\/\/localhost:\d+(?= --credential)/)?.[0]);
  const forged = await fetch(url, { headers: { 'x-bailiwick-agent': agent } });
  assert.equal(forged.status, 401);
  assert.equal(((await forged.json()) as { title: string }).title, 'An access token is missing');
  assert.equal((await fetch(new URL('/.well-known/oauth-protected-resource', url))).status, 200);
});

const read = (file: string) => readFileSync(path.join(import.meta.dirname, file), 'utf8');

test('every proxy takes off what clients send in our headers, and says all of them', () => {
  const server = read('bailiwick-server.conf') + read('bailiwick-guarded.conf');
  const written = (text: string) =>
    new Set([...text.matchAll(/x-bailiwick-[a-z]+/gi)].map(([name]) => name.toLowerCase()));
  for (const name of identityHeaders) {
    const pretty = name.replace(/(^|-)([a-z])/g, (letters) => letters.toUpperCase());
    assert.ok(server.includes(`proxy_set_header ${pretty} $bailiwick_`), name);
    for (const file of ['traefik.yaml', 'Caddyfile', 'envoy.yaml'])
      assert.ok(written(read(file)).has(name), `${file}: ${name}`);
  }
});

test('no client has a proxy take off what the guard said, or says it under a name that is read alike', () => {
  const [, guarded = ''] = read('Caddyfile').split('route {');
  const lines = guarded.split('\n').map((line) => line.trim());
  const asked = lines.findIndex((line) => line.startsWith('forward_auth '));
  const before = lines.slice(0, asked);
  assert.deepEqual(
    before.filter((line) => /strips|Bailiwick\*/.test(line)),
    [
      '@strips header_regexp Connection (?i)x[-_]bailiwick',
      'respond @strips 400',
      'request_header -X-Bailiwick*',
      'request_header -X_Bailiwick*',
    ],
    'in this order, before the guard is asked',
  );
  const taken = takenOffByTraefik();
  for (const name of identityHeaders) {
    const [said, ...alike] = spellings(name);
    for (const other of alike) assert.ok(taken.has(other), other);
    assert.ok(!taken.has(said as string), `${said}: the guard has said it`);
  }
  assert.match(read('envoy.yaml'), /headers_with_underscores_action: REJECT_REQUEST/);
  assert.doesNotMatch(read('nginx.conf') + read('bailiwick-server.conf'), /underscores_in_headers/, 'off by itself');
});

test('no header makes another method of the one that was asked about', () => {
  const names = ['x-http-method-override', 'x-http-method', 'x-method-override'];
  const taken = takenOffByTraefik();
  const suffixes = [...read('Caddyfile').matchAll(/request_header -\*(\S+)/g)].map(([, end]) => end?.toLowerCase());
  const removed: string[] =
    listeners()[0]?.filter_chains[0]?.filters[0]?.typed_config.route_config.request_headers_to_remove;
  for (const name of names) {
    assert.match(read('bailiwick-guarded.conf'), new RegExp(`^proxy_set_header ${name} "";$`, 'im'));
    assert.ok(removed.includes(name), `envoy.yaml: ${name}`);
    for (const each of spellings(name)) {
      assert.ok(taken.has(each), `traefik.yaml: ${each}`);
      assert.ok(
        suffixes.some((end) => end !== undefined && each.endsWith(end)),
        `Caddyfile: ${each}`,
      );
    }
  }
});

/** A header's name, and all names that CGI and its children read as the same. */
function spellings(name: string): string[] {
  const [first = '', ...rest] = name.split('-');
  return rest.reduce((all, part) => ['-', '_'].flatMap((mark) => all.map((each) => each + mark + part)), [first]);
}

function takenOffByTraefik(): ReadonlySet<string> {
  const headers: Record<string, string> = parse(read('traefik.yaml')).http.middlewares['no-token'].headers
    .customRequestHeaders;
  return new Set(Object.keys(headers).flatMap((name) => (headers[name] === '' ? [name.toLowerCase()] : [])));
}

// biome-ignore lint/suspicious/noExplicitAny: whatever the file holds; what is missing fails the test
const listeners = (): any[] => parse(read('envoy.yaml')).static_resources.listeners;

test('the settings that would open the door are closed', () => {
  const { http } = parse(read('traefik.yaml'));
  assert.equal(http.middlewares.bailiwick.forwardAuth.trustForwardHeader, false);
  const [filter, router] = parse(read('envoy.yaml')).static_resources.listeners.flatMap(
    (listener: { filter_chains: { filters: { typed_config: Record<string, unknown> }[] }[] }) =>
      listener.filter_chains[0]?.filters[0]?.typed_config.http_filters,
  );
  assert.deepEqual([filter.typed_config.failure_mode_allow, router.name], [false, 'envoy.filters.http.router']);
  assert.equal(filter.typed_config.http_service.path_prefix, '/check');
  assert.match(read('envoy.yaml'), /use_remote_address: true/);
});
