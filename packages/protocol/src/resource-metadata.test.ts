import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { protectedResourceMetadataUrl, resourceCovers } from './index.ts';
import { code } from './testing.ts';

suite('protected resource metadata', () => {
  const urls: [resource: string, url: string][] = [
    ['https://api.example', 'https://api.example/.well-known/oauth-protected-resource'],
    ['https://api.example/', 'https://api.example/.well-known/oauth-protected-resource'],
    ['https://api.example/a/b', 'https://api.example/.well-known/oauth-protected-resource/a/b'],
    ['https://api.example/a/', 'https://api.example/.well-known/oauth-protected-resource/a/'],
    ['https://api.example/a?k=v', 'https://api.example/.well-known/oauth-protected-resource/a?k=v'],
    ['http://localhost:8455/admin', 'http://localhost:8455/.well-known/oauth-protected-resource/admin'],
  ];
  for (const [resource, url] of urls) test(resource, () => assert.equal(protectedResourceMetadataUrl(resource), url));

  for (const bad of ['', 'api', 'urn:api', 'https://a.example/#x', 'https://u@a.example/', 'file:///etc']) {
    test(`refuses ${bad || 'nothing'}`, () =>
      assert.equal(
        code(() => protectedResourceMetadataUrl(bad)),
        'bad_resource',
      ));
  }
});

suite('resourceCovers', () => {
  const cases: [resource: string, url: string, covers: boolean][] = [
    ['https://a.example', 'https://a.example/', true],
    ['https://a.example', 'https://a.example/x/y?z', true],
    ['https://a.example/', 'https://a.example/x', true],
    ['https://a.example/api', 'https://a.example/api', true],
    ['https://a.example/api', 'https://a.example/api/x', true],
    ['https://a.example/api', 'https://a.example/api?x', true],
    ['https://a.example/api/', 'https://a.example/api/x', true],
    ['https://A.example:443/api', 'https://a.example/api/x', true],
    ['https://a.example/api', 'https://a.example/x%2Fy/../api/p%2Fq', true],
    ['https://a.example/api', 'https://a.example/apix', false],
    ['https://a.example/api/', 'https://a.example/api', false],
    ['https://a.example/api', 'https://a.example/', false],
    ['https://a.example/api', 'https://a.example/API', false],
    ['https://a.example/api', 'https://a.example/%61pi', false],
    ['https://a.example/api', 'https://a.example/api/../admin', false],
    ['https://a.example/api', 'https://a.example/api/%2e%2e/admin', false],
    ['https://a.example/api', 'https://a.example/api/..%2fadmin', false],
    ['https://a.example/api', 'https://a.example/api/..%5Cadmin', false],
    ['https://a.example/api', 'https://a.example/api/%2E.%2Fadmin', false],
    ['https://a.example/api', 'https://b.example/api', false],
    ['https://a.example/api', 'http://a.example/api', false],
    ['https://a.example/api', 'https://a.example:8443/api', false],
    ['https://a.example/api', 'https://a.example.evil.example/api', false],
    ['https://a.example/api', 'https://a.example@evil.example/api', false],
    ['https://a.example/api', 'https://evil.example@a.example/api', false],
    ['https://u@a.example/api', 'https://a.example/api', false],
    ['https://a.example/api#x', 'https://a.example/api', false],
    ['https://a.example/api?x', 'https://a.example/api?x', false],
    ['urn:api', 'urn:api', false],
    ['file:///api', 'file:///api/x', false],
    ['', '', false],
    ['https://a.example', '/x', false],
  ];
  for (const [resource, url, covers] of cases) {
    test(`${resource} ${covers ? 'covers' : 'does not cover'} ${url}`, () =>
      assert.equal(resourceCovers(resource, url), covers));
  }

  test('property: never throws, and covers only within the origin', () => {
    fc.assert(
      fc.property(fc.webUrl(), fc.oneof(fc.webUrl(), fc.string()), (resource, url) => {
        if (resourceCovers(resource, url)) assert.equal(new URL(resource).origin, new URL(url).origin);
      }),
    );
  });
});
