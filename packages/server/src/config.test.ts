import assert from 'node:assert/strict';
import test from 'node:test';
import { ConfigError, type ConfigOverrides, type ConfigSources, loadConfig, settings } from './config.ts';

interface Case {
  env?: Record<string, string>;
  yaml?: string;
  overrides?: ConfigOverrides;
  file?: string;
}

/** Loads in /srv, where bailiwick.yaml exists only if the case has one. */
function load({ env = {}, yaml, overrides = {}, file }: Case) {
  const readFile: ConfigSources['readFile'] = (name) => {
    if (yaml !== undefined && name === (file === undefined ? '/srv/bailiwick.yaml' : `/srv/${file}`)) return yaml;
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  };
  return loadConfig({ env, cwd: '/srv', overrides, readFile, file });
}

function problems(input: Case): string {
  try {
    load(input);
  } catch (error) {
    assert(error instanceof ConfigError, String(error));
    return error.message;
  }
  return assert.fail('it was accepted');
}

test('with nothing said, the defaults are those of the documentation', () => {
  const config = load({});
  assert.equal(config.issuer, 'http://localhost:8455');
  assert.equal(config.trust_domain, 'localhost');
  assert.deepEqual(config.host, ['127.0.0.1', '::1']);
  assert.equal(config.data, '/srv/data');
  assert.equal(config.database_url, undefined);
  assert.equal(config.tls, undefined);
  assert.equal(config.token.lifetime_seconds, 600);
  assert.equal(config.limits.body_bytes, 65_536);
});

test('what is computed follows what is said', () => {
  assert.equal(load({ env: { BAILIWICK_PORT: '9000' } }).issuer, 'http://localhost:9000');
  assert.equal(load({ yaml: 'port: 9001' }).issuer, 'http://localhost:9001');
  const tls = load({ yaml: 'tls: { cert: a.crt, key: /k/a.key }' });
  assert.equal(tls.issuer, 'https://localhost:8455');
  assert.deepEqual(tls.tls, { cert: '/srv/a.crt', key: '/k/a.key' });
  const proxied = load({
    env: { BAILIWICK_ISSUER: 'https://id.example.com/agents', BAILIWICK_TRUSTED_PROXIES: '10.0.0.0/8, ::1' },
  });
  assert.equal(proxied.trust_domain, 'id.example.com');
  assert.deepEqual(proxied.trusted_proxies, ['10.0.0.0/8', '::1']);
});

test('defaults yield to the file, the file to the environment, the environment to flags', () => {
  const yaml = 'port: 1001\ntoken:\n  lifetime_seconds: 301\n';
  assert.equal(load({ yaml }).port, 1001);
  assert.equal(load({ yaml, env: { BAILIWICK_PORT: '1002' } }).port, 1002);
  assert.equal(load({ yaml, env: { BAILIWICK_PORT: '1002' }, overrides: { port: 1003 } }).port, 1003);
  assert.equal(load({ yaml, env: { BAILIWICK_PORT: '1002' } }).token.lifetime_seconds, 301);
  assert.equal(load({ yaml, overrides: { token: { lifetime_seconds: 302 } } }).token.lifetime_seconds, 302);
});

test('paths in the file are relative to it, others to the current folder', () => {
  assert.equal(load({ yaml: 'data: ./here', file: 'etc/b.yaml' }).data, '/srv/etc/here');
  assert.equal(load({ env: { BAILIWICK_DATA: 'there' } }).data, '/srv/there');
  assert.equal(load({ yaml: 'data: ./here', file: 'etc/b.yaml', env: { BAILIWICK_DATA: 'there' } }).data, '/srv/there');
});

test('every setting can be set from the environment under its own name', () => {
  for (const setting of settings) {
    assert.match(setting.env, /^BAILIWICK_[A-Z_]+$/);
    assert.ok(setting.description.endsWith('.') || setting.description.endsWith('.)'), setting.name);
  }
  assert.equal(new Set(settings.map((setting) => setting.env)).size, settings.length);
  const config = load({
    env: {
      BAILIWICK_HOST: '127.0.0.1',
      BAILIWICK_DPOP_NONCE: 'optional',
      BAILIWICK_TOKEN_LIFETIME_SECONDS: '900',
      BAILIWICK_DATABASE_URL: 'postgres://u:p@h/db',
      BAILIWICK_LOG_LEVEL: 'warn',
    },
  });
  assert.deepEqual(config.host, ['127.0.0.1']);
  assert.equal(config.dpop.nonce, 'optional');
  assert.equal(config.token.lifetime_seconds, 900);
  assert.equal(config.database_url, 'postgres://u:p@h/db');
  assert.equal(config.log_level, 'warn');
});

test('an example of every setting is itself right', () => {
  const together = new Set(['issuer', 'tls.cert', 'tls.key', 'trusted_proxies', 'mtls.cert', 'mtls.key']);
  for (const setting of settings.filter((candidate) => !together.has(candidate.name))) {
    assert.doesNotThrow(() => load({ env: { [setting.env]: setting.example } }), setting.name);
  }
  const env = Object.fromEntries(settings.filter((s) => together.has(s.name)).map((s) => [s.env, s.example]));
  assert.doesNotThrow(() => load({ env }));
});

test('an empty variable, an empty file and names with nothing behind them set nothing', () => {
  assert.equal(load({ env: { BAILIWICK_ISSUER: '' }, yaml: 'port:\ntls:\n' }).issuer, 'http://localhost:8455');
  assert.equal(load({ yaml: '# nothing but a comment\n' }).port, 8455);
});

test('variables that Kubernetes makes for a Service named bailiwick are not taken for settings', () => {
  const env = {
    BAILIWICK_PORT: 'tcp://10.1.2.3:8455',
    BAILIWICK_SERVICE_HOST: '10.1.2.3',
    BAILIWICK_SERVICE_PORT_HTTP: '8455',
    BAILIWICK_PORT_8455_TCP_ADDR: '10.1.2.3',
  };
  assert.equal(load({ env }).port, 8455);
});

const proxied = { BAILIWICK_TRUSTED_PROXIES: '127.0.0.1' };

for (const [sentence, input, ...parts] of [
  [
    'a variable with a typing error',
    { env: { BAILIWICK_PROT: '1' } },
    'BAILIWICK_PROT',
    'Did you mean "BAILIWICK_PORT"?',
  ],
  ['a variable like nothing we know', { env: { BAILIWICK_XYZZY_QUUX: '1' } }, 'BAILIWICK_XYZZY_QUUX names no setting.'],
  ['a key with a typing error', { yaml: '\nisuer: x' }, 'bailiwick.yaml line 2', '"isuer"', 'Did you mean "issuer"?'],
  [
    'a nested key with a typing error',
    { yaml: 'token:\n  lifetime: 3' },
    'line 2',
    '"token.lifetime"',
    '"token.lifetime_seconds"',
  ],
  ['a key twice', { yaml: 'port: 1\nport: 2' }, 'bailiwick.yaml line 2 is not valid YAML'],
  ['no YAML at all', { yaml: 'a: [' }, 'bailiwick.yaml line 1 is not valid YAML'],
  ['a list where settings belong', { yaml: '- port' }, 'must hold settings'],
  ['a value where a group belongs', { yaml: 'token: 5' }, '"token" in bailiwick.yaml must hold settings'],
  ['a named file that is not there', { env: { BAILIWICK_CONFIG: 'x.yaml' } }, '/srv/x.yaml', 'bailiwick init'],
  [
    'a port that is no number',
    { env: { BAILIWICK_PORT: 'http' } },
    'port is "http"',
    'Write for example BAILIWICK_PORT=8455',
  ],
  ['a port of another world', { overrides: { port: 70_000 } }, 'port is 70000 (--port)', '0 to 65535'],
  [
    'tokens that live an hour',
    { yaml: 'token: { lifetime_seconds: 3600 }' },
    'token.lifetime_seconds is 3600',
    'from 1 to 900',
  ],
  ['clocks two minutes apart', { env: { BAILIWICK_CLOCK_SKEW_SECONDS: '120' } }, 'clock_skew_seconds', 'from 0 to 60'],
  ['a host name to listen on', { env: { BAILIWICK_HOST: 'example.com' } }, 'host', 'IP addresses'],
  ['a database that is neither', { env: { BAILIWICK_DATABASE_URL: 'mysql://root:hunter2@h/d' } }, 'postgres://'],
  ['a trust domain in capitals', { env: { BAILIWICK_TRUST_DOMAIN: 'Example' } }, 'trust_domain', 'lowercase'],
  [
    'an issuer with a slash at its end',
    { env: { BAILIWICK_ISSUER: 'https://a.example/' } },
    'issuer',
    'without query, fragment or slash',
  ],
  ['an issuer with a query', { env: { BAILIWICK_ISSUER: 'https://a.example/x?y' } }, 'issuer'],
  ['an issuer with capitals in its host', { env: { BAILIWICK_ISSUER: 'https://A.example' } }, 'issuer'],
  ['an issuer with its default port', { env: { BAILIWICK_ISSUER: 'https://a.example:443' } }, 'issuer'],
  ['an issuer with dot segments', { env: { BAILIWICK_ISSUER: 'https://a.example/b/../c' } }, 'issuer'],
  ['an issuer with a user', { env: { BAILIWICK_ISSUER: 'https://u@a.example' } }, 'issuer'],
  ['an issuer over http elsewhere', { env: { BAILIWICK_ISSUER: 'http://a.example' } }, 'issuer', 'https'],
  [
    'plain http for everybody',
    { env: { BAILIWICK_HOST: '0.0.0.0' } },
    'host',
    'tls.cert and tls.key',
    'trusted_proxies',
  ],
  ['plain http for everybody by IPv6', { env: { BAILIWICK_HOST: '127.0.0.1,::' } }, ':: can be reached'],
  [
    'https that nobody speaks',
    { env: { BAILIWICK_ISSUER: 'https://a.example' } },
    'nothing here speaks TLS',
    'trusted_proxies',
  ],
  ['a proxy before plain http', { env: { ...proxied, BAILIWICK_ISSUER: 'http://localhost:8455' } }, 'issuer', 'https'],
  [
    'TLS under an http name',
    { yaml: 'tls: { cert: a, key: b }\nissuer: http://localhost:8455' },
    'issuer',
    'https://localhost:8455',
  ],
  [
    'others reach it, by no name',
    { env: { ...proxied, BAILIWICK_HOST: '0.0.0.0' } },
    'issuer',
    'https://id.example.com',
  ],
  ['a certificate without its key', { yaml: 'tls: { cert: a }' }, 'tls.key', 'private key is needed'],
  ['a key without its certificate', { yaml: 'tls: { key: a }' }, 'tls.cert', 'certificate is needed'],
  ['everybody as a proxy', { env: { BAILIWICK_TRUSTED_PROXIES: '0.0.0.0/0' } }, 'trusted_proxies', 'CIDR'],
  ['a network that is none', { env: { BAILIWICK_TRUSTED_PROXIES: '10.0.0.0/33' } }, 'trusted_proxies', 'CIDR'],
  ['a header of proxies that nobody writes', { env: { BAILIWICK_FORWARDED_HEADER: 'x-real-ip' } }, 'forwarded_header'],
  ['a zone without a network', { env: { BAILIWICK_CONTEXT_ZONES: 'eu-1' } }, 'context.zones', 'eu-1=10.1.0.0/16'],
  ['a zone with a host', { yaml: 'context: { zones: { eu-1: [host.example] } }' }, 'context.zones', '{ eu-1: ['],
  ['a network of two zones', { yaml: 'context: { zones: { a: [10.0.0.0/8], b: [10.0.0.0/8] } }' }, 'context.zones'],
  [
    'keys fetched too late',
    { yaml: 'keys: { publish_seconds: 300 }' },
    'keys.jwks_max_age_seconds',
    'less than keys.publish_seconds',
  ],
  ['an issuer whose host is no trust domain', { yaml: 'issuer: "http://[::1]:8455"' }, 'trust_domain', 'must be said'],
] as [string, Case, ...string[]][]) {
  test(`refuses to start: ${sentence}`, () => {
    const message = problems(input);
    for (const part of parts) assert.ok(message.includes(part), `${message}\n(should name ${part})`);
    assert.doesNotMatch(message, /hunter2|undefined|\[object/);
  });
}

test('zones are written as a map, or in one line', () => {
  const zones = { 'eu-1': ['10.1.0.0/16', '10.3.0.0/16'], 'eu-2': ['10.2.0.0/16'] };
  const yaml = 'context: { zones: { eu-1: [10.1.0.0/16, 10.3.0.0/16], eu-2: [10.2.0.0/16] } }';
  assert.deepEqual(load({ yaml }).context.zones, zones);
  const env = { BAILIWICK_CONTEXT_ZONES: 'eu-1=10.1.0.0/16,eu-2=10.2.0.0/16 eu-1=10.3.0.0/16' };
  assert.deepEqual(load({ env }).context.zones, zones);
  assert.deepEqual(load({}).context.zones, {});
});

test('says everything that is wrong at once', () => {
  const message = problems({ env: { BAILIWICK_PROT: '1', BAILIWICK_LOG_LEVEL: 'loud' }, yaml: 'data: 3\nhots: x' });
  assert.equal(message.split('\n').length, 4);
});
