import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { type RunningServer, start } from '../app.ts';
import { loadConfig } from '../config.ts';
import { fakeClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer, testEpoch } from '../testing/harness.ts';
import { testPostgres } from '../testing/postgres.ts';

const here = 'http://localhost:8455';
const there = 'http://localhost:8456';

for (const database of databases) {
  describe(`an audience is one organization’s (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      for (const name of ['ours', 'theirs']) await operator.ok('POST', '/organizations', { name });
    });
    after(() => server.close());

    const register = (organization: string, body: object) =>
      operator.call('POST', `/resources?organization=${organization}`, { name: 'Any', ...body });

    test('two resources of one organization share it, nobody of another does', async () => {
      const token = { audience: 'https://sts.ours.example' };
      const first = await register('ours', { identifier: 'https://one.ours.example', token });
      assert.equal(first.status, 201, first.text);
      assert.equal((await register('ours', { identifier: 'https://two.ours.example', token })).status, 201);
      const stolen = await register('theirs', { identifier: 'https://one.theirs.example', token });
      assert.equal(stolen.status, 409, stolen.text);
      assert.equal(stolen.body.errors[0].field, 'token.audience');
      const named = await register('theirs', { identifier: token.audience });
      assert.equal(named.status, 409, named.text);
      assert.equal(named.body.errors[0].field, 'identifier');
    });

    test('what was given up is still nobody else’s, and the same organization may use it again', async () => {
      const audience = 'https://former.ours.example';
      const { body } = await register('ours', { identifier: 'https://three.ours.example', token: { audience } });
      await operator.ok('PATCH', `/resources/${body.id}`, { token: { audience: null } });
      assert.equal((await register('theirs', { identifier: audience })).status, 409);
      const other = await register('theirs', { identifier: 'https://two.theirs.example', token: { audience } });
      assert.equal(other.status, 409);
      assert.equal(other.body.errors[0].field, 'token.audience');
      await operator.ok('PATCH', `/resources/${body.id}`, { token: { audience } });
      await operator.ok('PATCH', `/resources/${body.id}`, { token: { audience: null } });
      assert.equal((await register('ours', { identifier: audience })).status, 201);
    });

    test('nobody claims what the admin API could be called on another port', async () => {
      for (const name of [`${there}/admin`, 'http://127.0.0.1:1/admin', 'http://[::1]:9/id/admin']) {
        const identified = await register('ours', { identifier: name });
        assert.equal(identified.status, 409, name);
        assert.equal(identified.body.errors[0].field, 'identifier');
        const claimed = await register('ours', { identifier: 'https://four.ours.example', token: { audience: name } });
        assert.equal(claimed.status, 409, name);
        assert.equal(claimed.body.errors[0].field, 'token.audience');
      }
      assert.equal((await register('ours', { identifier: 'https://five.ours.example/admin' })).status, 201);
    });
  });

  describe(`a server that moves to another port (${database})`, () => {
    test('does not move to what a resource claims, and takes no token of another resource for its own', async () => {
      const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-moves-'));
      const postgres = database === 'postgres' ? await testPostgres() : undefined;
      const clock = fakeClock(testEpoch);
      const started = (issuer: string) => {
        const overrides = { data, port: 0, issuer, ...(postgres && { database_url: postgres.url }) };
        return start(loadConfig({ cwd: data, overrides }), { clock, log: silentLogger });
      };
      const at = ({ issuer, addresses }: RunningServer) => ({ issuer, address: addresses[0] as string, clock });
      const earlier = 'http://localhost:3999/admins';
      const moving = `${there}/admin`;
      let running = await started(here);
      try {
        const operator = adminClient(at(running), JSON.parse(readFileSync(running.operatorFile, 'utf8')));
        const [team] = (await operator.ok('GET', '/teams')).items;
        const identifier = 'http://localhost:3999';
        const scopes = ['agents:read', 'keys:read'];
        const resource = await operator.ok('POST', '/resources', {
          identifier,
          name: 'Mole',
          token: { audience: earlier },
          scopes: scopes.map((name) => ({ name })),
        });
        const permissions = [{ resource: resource.id, scopes }];
        const role = await operator.ok('POST', '/roles', { name: 'mole', permissions });
        const agent = await operator.ok('POST', '/agents', {
          name: 'mole',
          kind: 'workload',
          owner: team.id,
          resources: [{ resource: resource.id, default: true, scope: scopes }],
        });
        await operator.ok('PUT', `/agents/${agent.id}/roles/${role.id}`);
        const jwk = await generateJwk('ES256');
        await operator.ok('POST', '/credentials', { agent: agent.id, jwk: publicJwk(jwk) });
        // as a version that did not refuse it would have left it
        const { db } = running.deps;
        await db.transaction(async (tx) => {
          await tx.run('update resources set token = replace(token, ?, ?)', [earlier, moving]);
          await tx.run('update audiences set audience = ? where audience = ?', [moving, earlier]);
        });
        await running.close();

        await assert.rejects(started(there), /can not be known as http:\/\/localhost:8456.*Start on another port/);
        running = await started(here);
        await adminClient(at(running), JSON.parse(readFileSync(running.operatorFile, 'utf8'))).ok('GET', '/agents');

        // and where the claim is not known, the token is still not ours
        await running.deps.db.transaction(async (tx) => {
          await tx.run('delete from audiences where audience = ?', [moving]);
        });
        await running.close();
        running = await started(there);
        const url = `${there}/admin/v1/agents`;
        const mole = adminClient(at(running), { client_id: agent.id, jwk });
        const accessToken = await mole.token(identifier);
        const { aud } = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString());
        assert.equal(aud, moving, 'so that this test can fail');
        const response = await fetch(url.replace(there, running.addresses[0] as string), {
          headers: {
            authorization: `DPoP ${accessToken}`,
            dpop: await mole.proof({ htm: 'GET', htu: url, accessToken }),
          },
        });
        assert.equal(response.status, 401);
        assert.match(response.headers.get('www-authenticate') ?? '', /another resource/);
        await adminClient(at(running), JSON.parse(readFileSync(running.operatorFile, 'utf8'))).ok('GET', '/agents');
      } finally {
        await running.close();
        await postgres?.drop();
        rmSync(data, { recursive: true, force: true });
      }
    });
  });
}
