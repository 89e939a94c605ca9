import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { createApp } from '../app.ts';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { allAdminScopes, guardScope } from './scopes.ts';

const ten = Array.from({ length: 10 }, (_, n) => n);

for (const database of databases) {
  describe(`administrators at the same time, on two nodes (${database})`, () => {
    let server: TestServer;
    let other: TestServer;
    let operator: AdminClient;
    let things: Awaited<ReturnType<typeof populate>>;

    before(async () => {
      server = await startServer({ database });
      other = await startServer({ database, joins: server });
      operator = adminClient(server, server.operator);
      things = await populate(operator, 'default');
    });
    after(async () => {
      await other.close();
      await server.close();
    });

    /** The same request ten times, on both nodes: how often each status was answered. */
    async function together(send: (node: AdminClient, n: number) => Promise<{ status: number }>) {
      const nodes = [adminClient(server, server.operator), adminClient(other, server.operator)];
      await Promise.all(nodes.map((node) => node.token()));
      const replies = await Promise.all(ten.map((n) => send(nodes[n % 2] as AdminClient, n)));
      const counts: Record<number, number> = {};
      for (const { status } of replies) counts[status] = (counts[status] ?? 0) + 1;
      return counts;
    }

    test('a name is given once', async () => {
      const agent = { name: 'contested', kind: 'device', owner: things.team.id };
      assert.deepEqual(await together((node) => node.call('POST', '/agents', agent)), { 201: 1, 409: 9 });
      assert.deepEqual(await together((node) => node.call('POST', '/teams', { name: 'contested' })), {
        201: 1,
        409: 9,
      });
    });

    test('a key is for one agent', async () => {
      const jwk = publicJwk(await generateJwk('ES256'));
      const agents = await Promise.all(
        ten.map((n) => operator.ok('POST', '/agents', { name: `holder-${n}`, kind: 'device', owner: things.team.id })),
      );
      const counts = await together((node, n) => node.call('POST', '/credentials', { agent: agents[n].id, jwk }));
      assert.deepEqual(counts, { 201: 1, 409: 9 });
    });

    test('an audience and an identifier of the same name: one of them', async () => {
      const name = 'https://contested.example';
      const counts = await together((node, n) =>
        node.call(
          'POST',
          '/resources',
          n % 2
            ? { identifier: name, name: 'by identifier' }
            : { identifier: `https://other-${n}.example`, name: 'by audience', token: { audience: name } },
        ),
      );
      // either one identifier, or up to five that share the audience
      const { items } = await operator.ok('GET', '/resources?limit=200');
      const identified = items.filter(({ identifier }: { identifier: string }) => identifier === name).length;
      const named = items.filter(({ token }: { token: { audience?: string } }) => token.audience === name).length;
      assert.ok((identified === 1 && named === 0) || (identified === 0 && named === 5), JSON.stringify(counts));
    });

    test('a role is held once, however often it is given', async () => {
      const role = await operator.ok('POST', '/roles', { name: 'often' });
      assert.deepEqual(
        await together((node) => node.call('PUT', `/agents/${things.agent.id}/roles/${role.id}`, undefined)),
        { 200: 10 },
      );
      const { items } = await operator.ok('GET', `/agents/${things.agent.id}/roles`);
      assert.equal(items.filter((grant: { role: string }) => grant.role === role.id).length, 1);
      assert.deepEqual(
        await together((node) => node.call('DELETE', `/agents/${things.agent.id}/roles/${role.id}`, undefined)),
        { 204: 1, 404: 9 },
      );
    });

    test('a change that was read before another is refused, one of ten wins', async () => {
      const etag = (await operator.call('GET', `/teams/${things.team.id}`)).headers.get('etag') ?? '';
      const counts = await together((node, n) =>
        node.call('PATCH', `/teams/${things.team.id}`, { display_name: `name ${n}` }, { 'if-match': etag }),
      );
      assert.deepEqual(counts, { 200: 1, 412: 9 });
    });

    test('two operators who suspend each other: one of them remains', async () => {
      const scopes = allAdminScopes.filter((scope) => scope !== guardScope);
      for (let round = 0; round < 5; round++) {
        const [role] = (await operator.ok('GET', '/roles?name=operator')).items;
        const pair = [
          await administrator(server, operator, { scopes }),
          await administrator(server, operator, { scopes }),
        ];
        for (const { agent } of pair) await operator.ok('PUT', `/agents/${agent}/roles/${role.id}`);
        const [one, two] = pair as [(typeof pair)[0], (typeof pair)[0]];
        await Promise.all([one.token(), two.token()]);
        // the first operator steps aside, so that these are the last two
        const mine = (await operator.ok('GET', '/agents?limit=200')).items;
        const holders = mine.filter(
          (agent: { id: string; status: string; roles: { id: string }[] }) =>
            agent.status === 'active' &&
            agent.roles.some(({ id }) => id === role.id) &&
            agent.id !== one.agent &&
            agent.id !== two.agent,
        );
        assert.deepEqual(
          holders.map(({ id }: { id: string }) => id),
          [server.operator.client_id],
        );
        const key = await one.ok('POST', `/agents/${server.operator.client_id}/suspend`);
        assert.equal(key.status, 'suspended');
        const replies = await Promise.all([
          one.call('POST', `/agents/${two.agent}/suspend`),
          two.call('POST', `/agents/${one.agent}/suspend`),
        ]);
        const statuses = replies.map(({ status }) => status).sort();
        assert.ok(statuses[0] === 200 && [401, 409].includes(statuses[1] as number), statuses.join());
        const left = replies[0]?.status === 200 ? one : two;
        await left.ok('POST', `/agents/${server.operator.client_id}/resume`);
        operator = adminClient(server, server.operator);
        for (const { agent } of pair) await operator.ok('POST', `/agents/${agent}/retire`);
      }
    });

    test('a recorded write works on no other node either', async () => {
      const accessToken = await operator.token();
      const url = `${server.issuer}/admin/v1/people`;
      const headers = {
        authorization: `DPoP ${accessToken}`,
        dpop: await operator.proof({ htm: 'POST', htu: url, accessToken }),
        'content-type': 'application/json',
      };
      const statuses: number[] = [];
      for (const { address } of [server, other, server, other]) {
        const to = url.replace(server.issuer, address);
        statuses.push((await fetch(to, { method: 'POST', headers, body: '{"name":"recorded"}' })).status);
      }
      assert.deepEqual(statuses, [201, 401, 401, 401]);
    });

    test('a token that is ended between being looked at and the write: nothing is written', async () => {
      const admin = await administrator(server, operator, { scopes: ['people:read', 'people:write'] });
      const accessToken = await admin.token();
      const { deps } = server;
      let overtaken = false;
      const app = createApp({
        ...deps,
        db: {
          ...deps.db,
          async transaction(work) {
            await operator.ok('POST', `/agents/${admin.agent}/suspend`);
            overtaken = true;
            return deps.db.transaction(work);
          },
        },
      });
      const htu = `${server.issuer}/admin/v1/people`;
      const reply = await app.inject({
        method: 'POST',
        url: '/admin/v1/people',
        headers: { authorization: `DPoP ${accessToken}`, dpop: await admin.proof({ htm: 'POST', htu, accessToken }) },
        payload: { name: 'too late' },
      });
      assert.equal(overtaken, true);
      assert.equal(reply.statusCode, 401);
      assert.match(String(reply.headers['www-authenticate']), /invalid_token/);
      const { items } = await operator.ok('GET', '/people?limit=200');
      assert.ok(!items.some(({ name }: { name: string }) => name === 'too late'));
      await app.close();
    });
  });
}
