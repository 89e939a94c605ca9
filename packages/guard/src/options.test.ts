import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { createGuard, type GuardOptions } from './index.ts';
import { fakeIssuer, operations } from './testing/fake-issuer.ts';

const fake = await fakeIssuer();
const good = fake.options();

for (const [what, change, sentence] of [
  ['an unknown option', { rseource: 'x' }, /no option "rseource"/],
  ['no issuer', { issuer: undefined }, /issuer must be/],
  ['an issuer over plain http', { issuer: 'http://id.example' }, /issuer must be/],
  ['an issuer over plain http under .localhost', { issuer: 'http://id.localhost' }, /issuer must be/],
  ['no resource', { resource: undefined }, /resource must be the URL/],
  ['a resource with a query', { resource: 'https://api.example/?x' }, /no query/],
  ['an unknown mode', { mode: 'trusting' }, /mode must be/],
  ['introspection without a credential', { credential: undefined }, /credential.*or choose `mode: "offline"`/],
  [
    'no way to know the operations',
    { credential: undefined, operations: undefined, mode: 'offline' },
    /must know the operations/,
  ],
  ['a resource id without operations', { operations: undefined, resourceId: 'res_1' }, /go with operations/],
  ['a resource id that is none', { resourceId: 'https://api.example/v1' }, /resourceId must be the id/],
  ['scopes without operations', { operations: undefined, scopes: ['x'] }, /go with operations/],
  ['a credential that is no credential', { credential: { client_id: 'x' } }, /credential must be/],
  ['a credential without its private half', { credential: { client_id: 'x', jwk: { kty: 'EC' } } }, /credential.jwk/],
  [
    'a credential file that is not there',
    { credential: 'nowhere/guard.json' },
    /credential \/\S+\/nowhere\/guard.json can't be read: ENOENT.*bailiwick guards create .* --key-out/,
  ],
  ['a credential file that is a folder', { credential: '/' }, /credential \/ can't be read: EISDIR\.$/],
  [
    'a credential of another issuer',
    { credential: { ...fake.guard, issuer: 'https://other.example' } },
    /is of https:\/\/other.example/,
  ],
  ['an operation that can not be matched', { operations: [{ ...operations[0], path: 'tickets' }] }, /list tickets/],
  ['a network that is none', { trustedProxies: ['10.0.0.0/40'] }, /trustedProxies: "10.0.0.0\/40"/],
  ['certificates from nobody', { clientCertificate: {} }, /clientCertificate.proxies must list/],
  ['certificates from an empty list', { clientCertificate: { proxies: [] } }, /clientCertificate.proxies must list/],
  [
    'certificates from one as text',
    { clientCertificate: { proxies: '10.0.0.7' } },
    /clientCertificate.proxies must list/,
  ],
  ['certificates from everybody', { clientCertificate: { proxies: ['10.0.0.7', '0.0.0.0/0'] } }, /everybody/],
  ['certificates from everybody on IPv6', { clientCertificate: { proxies: ['::/0'] } }, /everybody/],
  ['certificates from a name', { clientCertificate: { proxies: ['proxy.example'] } }, /proxies: "proxy.example"/],
  [
    'certificates in a header of another name',
    { clientCertificate: { proxies: ['10.0.0.7'], header: 'X-Cert' } },
    /no member "header"/,
  ],
  ['a cache of an hour', { introspection: { cacheSeconds: 3600 } }, /cacheSeconds must be a number from 0 to 27/],
  ['a lenient clock', { skewSeconds: 3600 }, /skewSeconds/],
  ['a replay memory of nothing', { dpop: { replayCapacity: 0 } }, /replayCapacity/],
  ['an algorithm that is none of ours', { algorithms: ['HS256'] }, /algorithms must be some of/],
] as [string, object, RegExp][]) {
  test(`says what to write: ${what}`, () => {
    assert.throws(
      () => createGuard({ ...good, ...change } as GuardOptions),
      (error: Error) => {
        assert.match(error.message, sentence);
        return true;
      },
    );
  });
}

test('the credential can be a file, and the issuer is then known from it', async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'guard-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'guard.json');
  writeFileSync(file, JSON.stringify({ issuer: good.issuer, ...fake.guard }));
  const guard = createGuard({ ...good, issuer: undefined, credential: file });
  await guard.ready();
  assert.ok(
    !inspect(guard, { depth: 20, showHidden: true }).includes(fake.guard.jwk.d),
    'the key is nowhere to be seen',
  );
});

test('a credential file that is broken is not quoted', (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'guard-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'guard.json');
  writeFileSync(file, '{"d": "very-secret');
  assert.throws(
    () => createGuard({ ...good, credential: file }),
    (error: Error) => error.message.includes('not JSON') && !error.message.includes('secret'),
  );
});
