import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProtocolError } from './errors.ts';
import { parseSpiffeId, sameTrustDomain } from './spiffe-id.ts';

test('SPIFFE IDs as they are', () => {
  assert.deepEqual(parseSpiffeId('spiffe://example.org'), { trustDomain: 'example.org', path: [] });
  assert.deepEqual(parseSpiffeId('spiffe://a_b-1.example/Home/_x/..a/ins_1'), {
    trustDomain: 'a_b-1.example',
    path: ['Home', '_x', '..a', 'ins_1'],
  });
  assert.ok(parseSpiffeId(`spiffe://a/${'b'.repeat(2037)}`));
});

const refused: [string, unknown][] = [
  ['nothing', undefined],
  ['an object', { toString: () => 'spiffe://a/b' }],
  ['an empty text', ''],
  ['another scheme', 'https://example.org/a'],
  ['a scheme in capitals', 'SPIFFE://example.org/a'],
  ['one slash', 'spiffe:/example.org/a'],
  ['no trust domain', 'spiffe://'],
  ['no trust domain, but a path', 'spiffe:///a'],
  ['a trust domain in capitals', 'spiffe://Example.org/a'],
  ['a trust domain of 256 letters', `spiffe://${'a'.repeat(256)}/a`],
  ['letters that look like others', 'spiffe://exаmple.org/a'],
  ['a port', 'spiffe://example.org:8443/a'],
  ['a user', 'spiffe://user@example.org/a'],
  ['a user and a password', 'spiffe://user:pass@example.org/a'],
  ['an IPv6 address', 'spiffe://[::1]/a'],
  ['a query', 'spiffe://example.org/a?b'],
  ['an empty query', 'spiffe://example.org?'],
  ['a fragment', 'spiffe://example.org/a#b'],
  ['a slash at the end', 'spiffe://example.org/a/'],
  ['nothing but a slash', 'spiffe://example.org/'],
  ['an empty segment', 'spiffe://example.org/a//b'],
  ['a segment .', 'spiffe://example.org/a/./b'],
  ['a segment ..', 'spiffe://example.org/a/../b'],
  ['percent-encoding', 'spiffe://example.org/a%2Fb'],
  ['a percent-encoded dot', 'spiffe://example.org/%2e%2e/b'],
  ['a backslash', 'spiffe://example.org\\a'],
  ['a blank', 'spiffe://example.org/a b'],
  ['a blank before', ' spiffe://example.org/a'],
  ['a line break behind', 'spiffe://example.org/a\n'],
  ['a NUL', 'spiffe://example.org/a\u0000'],
  ['a letter beyond ASCII', 'spiffe://example.org/é'],
  ['a character that is for other things', 'spiffe://example.org/a:b'],
  ['more than 2048 bytes', `spiffe://a/${'b'.repeat(2038)}`],
];

for (const [what, text] of refused) {
  test(`no SPIFFE ID: ${what}`, () => {
    assert.throws(
      () => parseSpiffeId(text),
      (error) => error instanceof ProtocolError && error.code === 'bad_spiffe_id',
    );
  });
}

test('property: what is accepted is written in one way, and any URL parser reads it alike', () => {
  const part = fc.stringMatching(/^[A-Za-z0-9._%/:@?#-]{0,8}$/);
  fc.assert(
    fc.property(part, fc.array(part, { maxLength: 4 }), (domain, path) => {
      const text = ['spiffe:/', '', domain, ...path].join('/').replace('spiffe://', 'spiffe:/');
      let parsed: ReturnType<typeof parseSpiffeId>;
      try {
        parsed = parseSpiffeId(text);
      } catch {
        return;
      }
      assert.equal(['spiffe:/', parsed.trustDomain, ...parsed.path].join('/'), text);
      assert.equal(new URL(text).href, text);
      assert.equal(new URL(text).host, parsed.trustDomain);
    }),
    { numRuns: 2000 },
  );
});

test('whether two are of one trust domain', () => {
  assert.ok(sameTrustDomain('spiffe://example.org', 'spiffe://example.org/a/b'));
  assert.ok(!sameTrustDomain('spiffe://example.org/a', 'spiffe://example.com/a'));
  assert.ok(!sameTrustDomain('spiffe://example.org/a', 'spiffe://sub.example.org/a'));
  assert.ok(!sameTrustDomain('https://example.org', 'https://example.org'));
});
