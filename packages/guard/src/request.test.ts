import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { headersOf, isPlainPath, placeOf } from './request.ts';

const at = { base: 'https://api.example/v1', localPath: '/v1' };

test('a request lies where the resource says, not where its Host header does', () => {
  assert.deepEqual(placeOf('/v1/tickets/7?x=1', at), {
    path: '/tickets/7',
    externalUrl: 'https://api.example/v1/tickets/7',
    query: 'x=1',
  });
  assert.equal(placeOf('/v1', at)?.path, '/');
  assert.equal(placeOf('/v1', at)?.externalUrl, 'https://api.example/v1');
  assert.equal(placeOf('/v10/tickets', at)?.path, undefined, 'a prefix by whole segments only');
  assert.equal(placeOf('/elsewhere', at)?.externalUrl, 'https://api.example/elsewhere');
});

test('behind a proxy that strips the path, the caller still means the whole URL', () => {
  const place = placeOf('/tickets', { base: 'https://api.example/v1', localPath: '' });
  assert.deepEqual([place?.path, place?.externalUrl], ['/tickets', 'https://api.example/v1/tickets']);
});

for (const path of [
  '',
  '*',
  'http://other.example/v1/tickets',
  '//other.example/v1/tickets',
  '/v1//tickets',
  '/v1/./tickets',
  '/v1/x/../tickets',
  '/v1/..',
  '/v1/%2e%2e/tickets',
  '/v1/tickets%2f7',
  '/v1/tickets%2F7',
  '/v1/tickets%5c7',
  '/v1\\tickets',
  '/v1/%74ickets',
  '/v1/tickets%00',
  '/v1/tickets%0d%0a',
  '/v1/%zz',
  '/v1/t\u00fcr',
  '/v1/a b',
  '/v1/a#b',
  '/v1/{id}',
]) {
  test(`a path that can be misread: ${JSON.stringify(path)}`, () => assert.equal(placeOf(path, at), undefined));
}

test('what may be escaped in a path is let through', () => {
  for (const path of ['/v1/t%C3%BCr', '/v1/a%20b', '/v1/a;b=1,2', '/v1/@me/x:y', '/v1/a%2Bb', '/v1/tickets/']) {
    assert.notEqual(placeOf(path, at), undefined, path);
  }
});

test('a plain path means the same to a URL parser', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'/.%25eEfF\\a?;:@ '), maxLength: 20 }), (text) => {
      const path = `/${text}`;
      if (isPlainPath(path)) assert.equal(new URL(path, 'http://a.example').href, `http://a.example${path}`);
    }),
    { numRuns: 5000 },
  );
});

test('repeated headers stay apart, and only those that matter are read', () => {
  const headers = headersOf([
    'Authorization',
    'DPoP a',
    'host',
    'x',
    'authorization',
    'Bearer b',
    'DPoP',
    'p',
    '__proto__',
    'y',
  ]);
  assert.deepEqual(headers, { authorization: ['DPoP a', 'Bearer b'], dpop: ['p'] });
});
