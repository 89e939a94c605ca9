import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resourceCovers } from '@bailiwick/protocol';
import fc from 'fast-check';
import { BailiwickError } from './index.ts';
import { createWorld, issuer, json } from './testing.ts';

const evil = 'https://evil.example';
const path = fc.constantFrom(
  '',
  '/',
  '/api',
  '/api/',
  '/apix',
  '/api/x',
  '/api/..',
  '/api/%2e%2e',
  '/api%2fx',
  '//api',
  '/api#',
  '/api?x',
);
const origin = fc.constantFrom(
  evil,
  'https://EVIL.example',
  'http://evil.example',
  'https://api.example',
  'https://u@evil.example',
  'https://evil.example:8443',
);
const resource = fc.oneof(
  fc.tuple(origin, path).map((parts) => parts.join('')),
  fc.webUrl(),
  fc.string(),
);
const servers = fc.oneof(fc.constant([issuer]), fc.constant([`${issuer}/`]), fc.constant(issuer), fc.jsonValue());
const challenge = fc.option(
  fc.oneof(
    fc
      .tuple(origin, path)
      .map(([host, tail]) => `DPoP resource_metadata="${host}/.well-known/oauth-protected-resource${tail}"`),
    fc.string(),
  ),
  { nil: undefined },
);

test('property: whatever a host publishes, tokens are asked for only for a resource of its own that covers the URL and lists us', async () => {
  let asked = 0;
  await fc.assert(
    fc.asyncProperty(resource, servers, challenge, path, async (named, listed, header, called) => {
      const world = createWorld();
      world.host(evil, (request) => {
        if (request.method !== 'HEAD') return json({ resource: named, authorization_servers: listed });
        const headers = new Headers();
        try {
          if (header !== undefined) headers.set('www-authenticate', header);
        } catch {
          // not a header that could be sent
        }
        return new Response(null, { status: 401, headers });
      });
      const url = `${evil}${called}`;
      await world.agent.fetch(url).catch((error: unknown) => {
        assert.ok(error instanceof BailiwickError, String(error));
        world.assertSilent(error);
      });
      for (const { body } of world.tokenRequests()) {
        asked++;
        const wanted = new URLSearchParams(body).get('resource') ?? '';
        assert.equal(wanted, named);
        assert.ok(resourceCovers(wanted, url) && Array.isArray(listed) && listed.includes(issuer));
      }
      for (const { url: to } of world.withToken()) assert.equal(new URL(to).origin, evil);
      for (const { url: to } of world.seen) assert.ok([evil, issuer].includes(new URL(to).origin), to);
    }),
    { numRuns: 150, examples: [[`${evil}/api`, [issuer], undefined, '/api']] },
  );
  assert.ok(asked > 0, 'the good one got its token');
});
