/** Global Token Revocation (draft-parecki-oauth-global-token-revocation-06), by whoever reads the metadata. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient } from '../packages/server/src/testing/admin-client.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import { databases } from './world.ts';

for (const database of databases) {
  describe(`global token revocation, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let client: TokenClient;
    let url: string;
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      client = await tokenClient(server);
      const metadata = await (await fetch(`${server.issuer}/.well-known/oauth-authorization-server`)).json();
      url = (metadata as { global_token_revocation_endpoint: string }).global_token_revocation_endpoint;
    });
    after(() => server.close());

    const revoke = (sub_id: unknown) => operator.call('POST', url, { sub_id });
    const effects = async () => {
      const { items } = await server.admin<{ items: { effect: string }[] }>(
        'GET',
        `/revocations?subject=${client.clientId}`,
      );
      return items.map(({ effect }) => effect);
    };

    test('all tokens of a subject die by one request, answered with 204', async () => {
      const { subject: sub } = await server.admin<{ subject: string }>('GET', `/agents/${client.clientId}`);
      const reply = await revoke({ format: 'iss_sub', iss: server.issuer, sub });
      assert.deepEqual([reply.status, reply.text], [204, '']);
      assert.deepEqual(await effects(), ['tokens']);
      assert.equal((await client.send()).status, 200, 'who proves who it is gets others');
    });

    test('a subject that is not known is 404, a request that is none 400, and other methods 405', async () => {
      assert.equal((await revoke({ format: 'email', email: 'nobody@x.example' })).status, 404);
      assert.equal((await revoke({ format: 'iss_sub', iss: 'https://x.example', sub: client.clientId })).status, 404);
      for (const wrong of [undefined, 'x', { format: 'opaque' }, { format: 'nobody-knows', id: 'x' }])
        assert.equal((await revoke(wrong)).status, 400);
      assert.equal((await operator.call('GET', url)).status, 405);
    });

    test('whoever shows no token is asked for one', async () => {
      const bare = await fetch(url, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
      assert.equal(bare.status, 401);
      assert.match(bare.headers.get('www-authenticate') ?? '', /^DPoP /);
    });
  });
}
