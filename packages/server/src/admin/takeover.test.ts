/** What an administrator of one organization registers makes nobody into the server, another organization, or somebody mightier. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { makeRequest } from '../testing/certificate-request.ts';
import { makeAuthority } from '../testing/certificates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { tokenClient } from '../testing/token-client.ts';

const bundle = { keys: [] };
const scopes = ['agents', 'credentials', 'roles', 'resources', 'teams', 'trust_domains'].flatMap((noun) => [
  `${noun}:read`,
  `${noun}:write`,
]);

for (const database of databases) {
  describe(`nobody becomes somebody else by what is registered (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    /** Administrators of two organizations. */
    let here: AdminClient & { agent: string };
    let there: AdminClient & { agent: string };
    before(async () => {
      server = await startServer({
        database,
        config: {
          outbound: { dangerously_private_networks: ['127.0.0.0/8', '::1/128'] },
          mtls: { url: 'https://mtls.bailiwick.example', proxies: ['127.0.0.1'] },
        },
      });
      operator = adminClient(server, server.operator);
      for (const name of ['east', 'west']) await operator.ok('POST', '/organizations', { name });
      here = await administrator(server, operator, { scopes, organization: 'east' });
      there = await administrator(server, operator, { scopes, organization: 'west' });
    });
    after(() => server.close());

    const agentOf = async (by: AdminClient, name: string, more: object = {}) => {
      const [team] = (await by.ok('GET', '/teams')).items;
      return by.call('POST', '/agents', { name, kind: 'workload', owner: team.id, ...more });
    };

    test('no authority of this server is the `ca` of a name: its SVIDs would be whoever has that name', async () => {
      const { id: agent } = (await agentOf(here, 'named')).body;
      const other = await makeAuthority('CN=Corp CA');
      await operator.ok('POST', '/certificate-authority/rotate', { what: 'root' });
      server.clock.advance(2000);
      await operator.ok('POST', '/certificate-authority/rotate', { what: 'intermediate' });
      const { authorities } = await operator.ok('GET', '/certificate-authority');
      const ofKind = (wanted: string) => authorities.filter(({ kind }: { kind: string }) => kind === wanted).length;
      assert.ok(ofKind('root') === 2 && ofKind('intermediate') >= 2, 'those before, and those to come');
      const attempts: [what: string, ca: string][] = authorities.map((one: Record<string, string>) => [
        `${one.kind} ${one.state}`,
        one.certificate,
      ]);
      attempts.push(['one beside a good one', other.pem + authorities[0].certificate]);
      for (const [what, ca] of attempts) {
        const subject = { field: 'san_dns', value: 'desk.example.com', ca };
        const { status, body } = await here.call('POST', '/credentials', {
          agent,
          kind: 'certificate_subject',
          subject,
        });
        assert.equal(status, 422, what);
        assert.equal(body.errors[0].field, 'subject.ca');
        assert.match(body.detail, /leave ca away for certificates of this server’s own authority/);
      }
      const good = { field: 'san_dns', value: 'desk.example.com', ca: other.pem };
      await here.ok('POST', '/credentials', { agent, kind: 'certificate_subject', subject: good });
    });

    test('names in certificates are given by who administers every organization, and stay when something else changes', async () => {
      const instances = { dns_names: ['desk.example.com'] };
      const refused = await agentOf(here, 'desk', { instances });
      assert.equal(refused.status, 403);
      assert.match(refused.body.detail, /^instances\.dns_names/);
      assert.match(refused.headers.get('www-authenticate') ?? '', /organizations:any/);
      const agent = (await agentOf(here, 'desk', { instances: { depth: 1 } })).body;
      const path = `/agents/${agent.id}`;
      assert.equal((await here.call('PATCH', path, { instances })).status, 403);
      await operator.ok('PATCH', path, { instances: { dns_names: ['desk.example.com', '*.pods.example.com'] } });
      await here.ok('PATCH', path, { purpose: 'answers' });
      await here.ok('PATCH', path, { instances: { depth: 0 } });
      const more = await here.call('PATCH', path, { instances: { dns_names: ['a.example.com', 'desk.example.com'] } });
      assert.equal(more.status, 403);
      await here.ok('PATCH', path, { instances });
      assert.equal((await here.call('PATCH', path, { instances: { dns_names: ['*.pods.example.com'] } })).status, 403);
    });

    test('nobody at all gives a name of the server, of every machine, or an address', async () => {
      const agent = (await agentOf(here, 'host')).body;
      const names = ['*.bailiwick.example', 'mtls.bailiwick.example', 'localhost', '*.localhost', 'a.localhost'];
      for (const name of [
        ...names,
        '127.0.0.1',
        '*.0.0.1',
        '10.1',
        '2130706433',
        '0x7f000001',
        'localhost.localdomain',
      ]) {
        const instances = { dns_names: ['fine.example', name] };
        const { status, body } = await operator.call('PATCH', `/agents/${agent.id}`, { instances });
        assert.equal(status, 422, name);
        assert.equal(body.errors[0].field, 'instances.dns_names[1]', name);
      }
      const fine = ['bailiwick.example', 'a.id.bailiwick.example', '*.id.bailiwick.example', '1.a', 'mylocalhost'];
      await operator.ok('PATCH', `/agents/${agent.id}`, { instances: { dns_names: fine } });
    });

    test('nor does a template of before: what is issued is looked at as well', async () => {
      const client = await tokenClient(server, { agent: { instances: { dns_names: ['desk.example.com'] } } });
      const at = instanceClient(server, client);
      const patterns = ['desk.example.com', '*.bailiwick.example', 'localhost', '127.0.0.1'];
      await server.deps.db.transaction(async (tx) => {
        const instances = JSON.stringify({ dns_names: patterns });
        await tx.run('update agents set instances = ? where id = ?', [instances, client.clientId]);
      });
      await operator.ok('PATCH', `/agents/${client.clientId}`, { purpose: 'read anew' });
      const enrol = async (...names: string[]) => {
        const { pem } = await makeRequest({ names: names.map((name) => ['dns', name]) });
        return (await at.enrol({ body: { csr: pem }, dpop: null })).status;
      };
      assert.equal(await enrol('desk.example.com'), 201);
      for (const name of ['mtls.bailiwick.example', 'localhost', '127.0.0.1']) {
        assert.ok([400, 401, 403].includes(await enrol('desk.example.com', name)), name);
      }
      assert.equal(await enrol('other.bailiwick.example'), 201);
    });

    test('a SPIFFE ID that meets what another organization has registered is theirs', async () => {
      for (const by of [here, there]) await by.ok('POST', '/trust-domains', { name: 'shared.example', bundle });
      const [ours, theirs] = [(await agentOf(here, 'ours')).body.id, (await agentOf(there, 'theirs')).body.id];
      const add = (by: AdminClient, agent: string, id: string) =>
        by.call('POST', '/credentials', { agent, kind: 'spiffe_id', spiffe_id: `spiffe://shared.example/${id}` });
      assert.equal((await add(here, ours, 'a/*')).status, 201);
      assert.equal((await add(here, ours, 'b/x')).status, 201);
      for (const id of ['a/b', 'a/b/c', 'a/b/*', 'a/*', '*', 'b/*', 'b/x']) {
        const { status, body, text } = await add(there, theirs, id);
        assert.equal(status, 409, id);
        assert.equal(body.errors[0].field, 'spiffe_id');
        assert.ok(!text.includes('east') && !text.includes(ours), text);
      }
      for (const id of ['a', 'ab/c', 'b/xy', 'b/x/*', 'c/*'])
        assert.equal((await add(there, theirs, id)).status, 201, id);
      assert.equal((await add(here, ours, 'a/b')).status, 201, 'of one’s own agents the nearest counts');
      const all = (await here.ok('GET', `/credentials?agent=${ours}`)).items;
      for (const { id } of all) await here.ok('DELETE', `/credentials/${id}`);
      assert.equal((await add(there, theirs, 'a/b')).status, 201, 'what was removed is free');
    });

    test('of two organizations that register such names at once, one does', async () => {
      for (const by of [here, there]) await by.ok('POST', '/trust-domains', { name: 'race.example', bundle });
      const agents = [(await agentOf(here, 'racer')).body.id, (await agentOf(there, 'racer')).body.id];
      for (let round = 0; round < 5; round++) {
        const add = (by: AdminClient, agent: string, rest: string) =>
          by.call('POST', '/credentials', {
            agent,
            kind: 'spiffe_id',
            spiffe_id: `spiffe://race.example/${round}/${rest}`,
          });
        const answers = await Promise.all([add(here, agents[0], '*'), add(there, agents[1], 'x')]);
        assert.deepEqual(answers.map(({ status }) => status).toSorted(), [201, 409]);
      }
    });

    test('power over a trust domain is power over all whose keys come by an identity of it', async () => {
      const narrowScopes = ['trust_domains:read', 'trust_domains:write'];
      const narrow = await administrator(server, operator, { scopes: narrowScopes, organization: 'east' });
      const mighty = await administrator(server, operator, {
        scopes: [...narrowScopes, 'events:read'],
        organization: 'east',
      });
      const endpointOf = (name: string, by: string) => ({
        name,
        bundle,
        bundle_endpoint: {
          url: 'https://localhost:1/spiffe/bundle',
          profile: 'https_spiffe',
          spiffe_id: `spiffe://${by}/endpoint`,
        },
      });
      const at = '?organization=east';
      const bottom = await operator.ok('POST', `/trust-domains${at}`, { name: 'bottom.example', bundle });
      const middle = await operator.ok('POST', `/trust-domains${at}`, endpointOf('middle.example', 'bottom.example'));
      await operator.ok('POST', `/trust-domains${at}`, endpointOf('top.example', 'middle.example'));
      const aside = await operator.ok('POST', `/trust-domains${at}`, endpointOf('aside.example', 'top.example'));
      await operator.ok('POST', `/trust-domains${at}`, endpointOf('early.example', 'late.example'));
      for (const { id } of [bottom, middle, aside]) {
        await narrow.ok('PATCH', `/trust-domains/${id}`, { bundle }); // as long as nobody rests on it
      }
      for (const name of ['top.example', 'early.example']) {
        const credential = { agent: mighty.agent, kind: 'spiffe_id', spiffe_id: `spiffe://${name}/admin` };
        await operator.ok('POST', '/credentials', credential);
      }
      for (const { id } of [bottom, middle]) {
        for (const [method, path, body] of [
          ['PATCH', `/trust-domains/${id}`, { bundle: { keys: [], spiffe_sequence: 2 } }],
          [
            'PATCH',
            `/trust-domains/${id}`,
            { bundle_endpoint: { url: 'https://localhost:2/', profile: 'https_web', spiffe_id: null } },
          ],
          ['POST', `/trust-domains/${id}/remove`, {}],
        ] as const) {
          const { status, headers, text } = await narrow.call(method, path, body);
          assert.equal(status, 403, `${method} ${path} ${text}`);
          assert.match(headers.get('www-authenticate') ?? '', /events:read/);
        }
      }
      const late = { name: 'late.example', bundle };
      assert.equal((await narrow.call('POST', '/trust-domains', late)).status, 403, 'another rests on it already');
      assert.equal((await mighty.call('POST', '/trust-domains', late)).status, 201);
      await narrow.ok('PATCH', `/trust-domains/${aside.id}`, { bundle });
      await mighty.ok('PATCH', `/trust-domains/${bottom.id}`, { bundle });
    });
  });
}
