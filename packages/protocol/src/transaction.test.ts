import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateJwk } from './jwk.ts';
import { encodeHeader, parseCompact } from './jws.ts';
import { signerFrom, signWith } from './signer.ts';
import {
  addedToContext,
  longestTransactionContext,
  parseTransactionContext,
  requestersOf,
  validateTransactionClaims,
} from './transaction.ts';

const now = Date.UTC(2026, 10, 23);
const issuer = 'https://id.example';
const trustDomain = 'prod.example';
const gateway = 'spiffe://prod.example/default/gateway';
const good = {
  iss: issuer,
  aud: trustDomain,
  sub: 'per_1',
  sub_profile: 'user',
  client_id: 'agt_1',
  org: 'org_1',
  jti: 'j1',
  iat: now / 1000,
  exp: now / 1000 + 300,
  rev: 3,
  links: ['abcdefgh'],
  scope: 'orders:read',
  txn: 'j1',
  req_wl: gateway,
  resources: ['res_1'],
};

const signer = generateJwk('ES256').then(signerFrom);
async function read(changes: object = {}, typ: string | undefined = 'txntoken+jwt') {
  const header = encodeHeader({ alg: 'ES256', kid: 'k1', ...(typ !== undefined && { typ }) });
  const token = await signWith(await signer, header, { ...good, ...changes });
  return validateTransactionClaims(parseCompact(token), { issuer, trustDomain, now });
}

test('the claims of a transaction token are read', async () => {
  const claims = await read({ tctx: { order: 7 }, rctx: {}, act: { sub: gateway } });
  assert.deepEqual([claims.txn, claims.tctx, claims.resources], ['j1', { order: 7 }, ['res_1']]);
  assert.deepEqual(requestersOf(claims), [gateway]);
  assert.deepEqual(requestersOf({ ...claims, req_wl_before: ['a', 'b'] }), ['a', 'b', gateway]);
});

for (const [what, changes, code] of [
  ['another trust domain', { aud: 'test.example' }, 'wrong_audience'],
  ['several trust domains', { aud: [trustDomain, 'test.example'] }, 'wrong_audience'],
  ['another issuer', { iss: 'https://other.example' }, 'wrong_issuer'],
  ['no end', { exp: undefined }, 'malformed'],
  ['its end', { exp: now / 1000 }, 'expired'],
  ['the future', { iat: now / 1000 + 60 }, 'not_yet_valid'],
  ['no txn', { txn: undefined }, 'malformed'],
  ['a txn that is no text', { txn: 7 }, 'malformed'],
  ['no sub', { sub: undefined }, 'malformed'],
  ['no scope', { scope: undefined }, 'malformed'],
  ['no req_wl', { req_wl: undefined }, 'malformed'],
  ['a list as req_wl', { req_wl: [gateway] }, 'malformed'],
  ['a text as req_wl_before', { req_wl_before: gateway }, 'malformed'],
  ['no resources', { resources: undefined }, 'malformed'],
  ['a text as tctx', { tctx: 'order 7' }, 'malformed'],
  ['a list as rctx', { rctx: [] }, 'malformed'],
  ['a binding', { cnf: { jkt: 'x' } }, 'malformed'],
  ['no links', { links: undefined }, 'malformed'],
] as const) {
  test(`a transaction token with ${what} is refused`, async () => {
    await assert.rejects(read(changes), { code });
  });
}

for (const typ of ['at+jwt', 'JWT', undefined]) {
  test(`what calls itself ${typ} is no transaction token`, async () => {
    await assert.rejects(read({}, typ === undefined ? '' : typ), { code: 'wrong_type' });
  });
}

test('a context is a JSON object of bounded length', () => {
  assert.deepEqual(parseTransactionContext('{"req_ip":"192.0.2.1"}', 'request_context'), { req_ip: '192.0.2.1' });
  const long = JSON.stringify({ a: 'x'.repeat(longestTransactionContext) });
  for (const text of [
    '',
    '{',
    '[]',
    'null',
    '"a"',
    '{"a":"\\ud800"}',
    `{"a":${'['.repeat(200)}${']'.repeat(200)}}`,
    long,
  ]) {
    assert.throws(() => parseTransactionContext(text, 'request_context'), { code: 'bad_context' }, text.slice(0, 20));
  }
});

test('what a context says stays, and something can be added', () => {
  const before = { order: 7, customer: { level: 'VIP', geo: 'US' } };
  assert.deepEqual(addedToContext(before, { stock: 3 }, 'request_details'), { ...before, stock: 3 });
  assert.deepEqual(addedToContext(before, { customer: { geo: 'US', level: 'VIP' } }, 'request_details'), before);
  assert.deepEqual(addedToContext(undefined, { stock: 3 }, 'request_details'), { stock: 3 });
  assert.equal(addedToContext(before, undefined, 'request_details'), before);
  for (const more of [{ order: 8 }, { customer: { level: 'VIP' } }, { order: '7' }, { order: null }]) {
    assert.throws(() => addedToContext(before, more, 'request_details'), /would change/);
  }
  // a name that every object knows is no member
  assert.deepEqual(addedToContext({}, { toString: 1 }, 'request_details'), { toString: 1 });
  const half = { a: 'x'.repeat(longestTransactionContext / 2) };
  assert.throws(() => addedToContext(half, { b: half.a }, 'request_details'), /longer/);
});
