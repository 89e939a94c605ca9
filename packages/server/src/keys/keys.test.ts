import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jwsAlgorithms } from '@bailiwick/protocol';
import { startServer } from '../testing/harness.ts';
import { tokenClient } from '../testing/token-client.ts';

test('a first start makes a key for every algorithm, so that a resource may change its own without a new one', async () => {
  const server = await startServer({ algorithms: jwsAlgorithms });
  try {
    const keySet = async () => {
      const response = await fetch(`${server.issuer}/oauth2/jwks`);
      return ((await response.json()) as { keys: { kid: string; alg: string; d?: string }[] }).keys;
    };
    const published = await keySet();
    assert.deepEqual(published.map(({ alg }) => alg).sort(), [...jwsAlgorithms].sort());
    const client = await tokenClient(server);
    for (const alg of jwsAlgorithms) {
      await server.admin('PATCH', `/resources/${client.resource}`, { token: { alg } });
      const { body } = await client.send();
      const header = JSON.parse(Buffer.from(String(body.access_token).split('.')[0] as string, 'base64url').toString());
      assert.equal(header.alg, alg);
      assert.ok(
        published.some(({ kid }) => kid === header.kid),
        'a verifier that fetched the set before knows the key',
      );
    }
    assert.deepEqual(await keySet(), published);
  } finally {
    await server.close();
  }
});
