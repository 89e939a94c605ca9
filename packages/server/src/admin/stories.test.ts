/** Stories, whole: from registration through task, instance, token and use to what ended it, and who acknowledged that. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { revocableKinds } from '../revocations/subjects.ts';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { commandLine } from '../testing/command-line.ts';
import { exchanged, exchangeType } from '../testing/exchange.ts';
import { feedGuard, feedSdk, openFeedSession } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { tokenClient } from '../testing/token-client.ts';

interface Item {
  at: string;
  says: string;
  event: { id: string; type: string; target?: string; jti?: string; decided_on?: Record<string, unknown> };
}
type Story = { of: { kind: string; id: string }; items: Item[]; more: boolean };

const typesOf = ({ items }: Story) => items.map(({ event }) => event.type);
const claimsOf = (token: unknown) => parseCompact(String(token)).payload as { jti: string };
const traceparent = `00-${'5e'.repeat(16)}-${'6f'.repeat(8)}-01`;

for (const database of databases) {
  describe(`stories (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    /** The story of it, once it tells of an acknowledgement. */
    async function acknowledgedStory(of: string): Promise<Story> {
      for (let turn = 0; turn < 60; turn += 1) {
        const story: Story = await operator.ok('GET', `/trace?of=${of}`);
        if (typesOf(story).includes('revocation.acknowledged')) return story;
        server.clock.advance(500);
      }
      return assert.fail('nobody acknowledged it');
    }

    /** Orders a revocation. The answer waits by the clock of the server, so time goes on meanwhile. */
    async function revoke(body: object): Promise<{ rev: number }> {
      let answered = false;
      const answer = operator.ok('POST', '/revocations', { reason: 'a test', wait_seconds: 0, ...body });
      const settled = answer.finally(() => {
        answered = true;
      });
      for (let turn = 1; !answered; turn += 1) {
        if (turn % 100 === 0) server.clock.advance(1);
        await new Promise((resolve) => setImmediate(resolve));
      }
      return settled;
    }

    /** A token of an instance under a task, with all that it rests on. */
    async function token() {
      const client = await tokenClient(server);
      const instances = instanceClient(server, client);
      const orchestrator = await orchestratorClient(server);
      const task = await orchestrator.open(client.clientId);
      const instance = await instances.instance();
      const { status, body } = await instances.tokenOf(instance, { task: task.id }, { traceparent });
      assert.equal(status, 200, JSON.stringify(body));
      const { jti } = claimsOf(body.access_token);
      const { kid } = parseCompact(String(body.access_token)).header;
      return { client, instances, task: task.id, instance: instance.id, token: body.access_token, jti, kid };
    }
    type Given = Awaited<ReturnType<typeof token>>;

    /** The same of a mandate, by its agent itself. */
    async function tokenOfMandate() {
      const client = await tokenClient(server, { agent: { grants: ['client_credentials', exchangeType] } });
      const { id: mandate } = await operator.ok('POST', '/mandates', {
        person: client.owner,
        agent: client.clientId,
        resources: [{ resource: client.identifier, scope: 'tickets:read' }],
        expires_in: 86_400,
      });
      const { claims } = await exchanged(client, mandate);
      return { client, mandate, jti: claims.jti };
    }

    test('of a task, an instance, a use, a revocation and its acknowledgement: as JSON, as text, as spans', async () => {
      const { client, task, instance, jti } = await token();
      const guard = await feedGuard(server, client.resource);
      const session = await openFeedSession(server, guard);
      await session.lease();
      server.clock.advance(300);
      const usedAt = server.clock.now();
      const use = {
        type: 'access.used',
        id: randomBytes(16).toString('base64url'),
        at: new Date(usedAt).toISOString(),
        outcome: 'allowed',
        status: 200,
        agent: client.clientId,
        organization: client.organization,
        instance,
        task,
        jti,
        operation: 'read',
        method: 'GET',
        path: '/{id}',
        mode: 'feed',
        trace: traceparent,
      };
      server.clock.advance(200);
      // of all that it rests on the role: nothing that the event of its issue names as its own
      const { rev } = await revoke({ kind: 'role', subject: client.role });
      server.clock.advance(50);
      await session.lease();
      await session.lease();
      // a guard tells of a use when it can: this one is told after the revocation, and happened before it
      const reporting = feedSdk(server, guard.agent, guard.jwk, ['events:report']);
      const told = await reporting.fetch(`${server.issuer}/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ reports: [use] }),
      });
      const { results } = (await told.json()) as { results: { outcome: string }[] };
      assert.deepEqual(
        results.map(({ outcome }) => outcome),
        ['recorded'],
      );

      const story = await acknowledgedStory(jti);
      const expected = [
        'agent.created',
        'credential.created',
        'role.granted',
        'task.opened',
        'instance.enrolled',
        'token.issued',
        'access.used',
        'token.revoked',
        'revocation.acknowledged',
      ];
      assert.deepEqual(typesOf(story), expected);
      assert.equal(story.more, false);
      const [used, revoked, acknowledged] = story.items.slice(-3) as [Item, Item, Item];
      const revokedAt = Date.parse((await operator.ok('GET', `/revocations/${rev}`)).revoked_at);
      assert.equal(Date.parse(used.at), usedAt);
      assert.ok(Date.parse(revoked.at) >= revokedAt && revokedAt > usedAt);
      assert.deepEqual([revoked.event.target, acknowledged.event.decided_on?.rev], [client.role, rev]);
      for (const [type, says] of [
        ['task.opened', /^orchestrator-\S+ opened a task for agent-\S+: billing$/],
        ['instance.enrolled', /^an instance of agent-\S+ enrolled$/],
        ['token.issued', /^agent-\S+ got a token for https:\S+, scope tickets:read, for 10 min: role /],
        ['access.used', /^agent-\S+ used it: read \(GET \/\{id\}\) at https:\S+ → 200$/],
        ['token.revoked', /^operator ended all tokens of the role rol_\w{26}$/],
        ['revocation.acknowledged', /^no guard that follows accepts it any more: applied by 1$/],
      ] as const) {
        assert.match(story.items.find(({ event }) => event.type === type)?.says ?? '', says);
      }

      // the same by its task, by the trace that it came with, and by its agent
      for (const id of [task, '5e'.repeat(16), client.clientId]) {
        const other: Story = await operator.ok('GET', `/trace?of=${id}`);
        const missing = expected.filter((type) => !typesOf(other).includes(type));
        assert.deepEqual(missing, [], `the story of ${id}`);
      }

      const { resourceSpans } = await operator.ok('GET', `/trace/spans?of=${task}`);
      const [root, ofToken, ofUse] = resourceSpans[0].scopeSpans[0].spans;
      assert.match(root.name, /^task tsk_/);
      assert.deepEqual([ofToken.parentSpanId, ofUse.parentSpanId], [root.spanId, ofToken.spanId]);
      const nano = (ms: number) => `${ms}000000`;
      assert.equal(ofToken.endTimeUnixNano, nano(revokedAt), 'a token that was ended lived until then');
      assert.equal(ofUse.startTimeUnixNano, nano(usedAt));
      const names = root.events.map(({ name }: { name: string }) => name);
      assert.ok(names.includes('token.revoked') && names.includes('revocation.acknowledged'), names.join(' '));

      const cli = commandLine(server);
      const { out } = await cli('trace', jti);
      const lines = out.split('\n').filter((line) => line.includes('•'));
      assert.equal(lines.length, expected.length);
      assert.match(lines.at(-3) ?? '', / {2}• agent-\S+ used it: read/);
      assert.match(lines.at(-1) ?? '', / {2}• no guard that follows accepts it any more: applied by 1$/);
      cli.close();
    });

    const ends: [kind: string, what: string, body: (given: Given) => object, event: string][] = [
      ['token', 'itself', ({ jti }) => ({ kind: 'token', subject: jti }), 'token.revoked'],
      ['agent', 'its agent', ({ client }) => ({ subject: client.clientId }), 'agent.suspended'],
      [
        'agent',
        'its agent’s tokens',
        ({ client }) => ({ subject: client.clientId, effect: 'tokens' }),
        'token.revoked',
      ],
      ['instance', 'its instance', ({ instance }) => ({ subject: instance }), 'instance.ended'],
      ['task', 'its task', ({ task }) => ({ subject: task }), 'task.ended'],
      ['credential', 'a credential', ({ client }) => ({ subject: client.credential }), 'credential.ended'],
      ['role', 'a role', ({ client }) => ({ subject: client.role }), 'token.revoked'],
      ['role', 'a role for good', ({ client }) => ({ subject: client.role, effect: 'end' }), 'role.retired'],
      [
        'role_grant',
        'the grant of a role',
        ({ client }) => ({ kind: 'role_grant', subject: `${client.clientId}+${client.role}` }),
        'role.withdrawn',
      ],
      ['resource', 'its resource', ({ client }) => ({ subject: client.resource }), 'token.revoked'],
      ['person', 'who answers for it', ({ client }) => ({ subject: client.owner, agents: true }), 'agent.suspended'],
      [
        'organization',
        'its organization',
        ({ client }) => ({ subject: client.organization, effect: 'tokens' }),
        'token.revoked',
      ],
      ['key', 'the key that signed it', ({ kid }) => ({ kind: 'key', subject: kid }), 'key.revoked'],
    ];
    const endings = [
      ...ends.map(([kind, what, body, type]) => {
        const begun = async () => {
          const given = await token();
          return { ...given, body: body(given) };
        };
        return { kind, what, type, begun };
      }),
      ...(['end', 'suspend'] as const).map((effect) => ({
        kind: 'mandate',
        what: effect === 'end' ? 'the end of its mandate' : 'a pause of its mandate',
        type: effect === 'end' ? 'mandate.ended' : 'mandate.paused',
        begun: async () => {
          const given = await tokenOfMandate();
          return { ...given, body: { subject: given.mandate, effect } };
        },
      })),
    ];
    for (const { what, type, begun } of endings) {
      test(`of a token that was ended by ${what}: it says by whom, who acknowledged it, and its span ends there`, async () => {
        const given = await begun();
        server.clock.advance(1_000);
        const { rev } = await revoke(given.body);
        operator = adminClient(server, server.operator); // its own token may have been among them
        const story = await acknowledgedStory(given.jti);
        const types = typesOf(story);
        const end = story.items.findLast(({ event }) => event.type === type);
        assert.ok(end, `${type} among ${types.join(' ')}`);
        assert.equal((end.event.decided_on?.changed as { rev?: number })?.rev, rev);
        const at = Date.parse((await operator.ok('GET', `/revocations/${rev}`)).revoked_at);
        assert.ok(types.indexOf('token.issued') < types.lastIndexOf(type));
        assert.match(types.at(-1) ?? '', /revocation\.acknowledged/);
        const { resourceSpans } = await operator.ok('GET', `/trace/spans?of=${given.jti}`);
        assert.equal(resourceSpans[0].scopeSpans[0].spans[1].endTimeUnixNano, `${at}000000`);
        // once is enough: what ends it again later doesn't make it live longer
        server.clock.advance(1_000);
        await revoke({ subject: given.client.clientId, effect: 'end' });
        const again = await operator.ok('GET', `/trace/spans?of=${given.jti}`);
        assert.equal(again.resourceSpans[0].scopeSpans[0].spans[1].endTimeUnixNano, `${at}000000`);
      });
    }

    test('there is a row for every kind of thing that can be revoked', () => {
      // a team does nothing but answer for agents: its revocation is theirs; issuers in `revoked-issuers.test.ts`
      const others = ['team', 'trusted_issuer'];
      assert.deepEqual(
        [...new Set([...endings.map(({ kind }) => kind), ...others])].sort(),
        [...revocableKinds].sort(),
      );
    });

    test('of tokens that were ended in a crowd: the acknowledgement that they share is told of each', async () => {
      const client = await tokenClient(server, { agent: { limits: { tokens_per_minute: 1_000 } } });
      const jtis: string[] = [];
      for (let n = 0; n < 21; n += 1) jtis.push(claimsOf((await client.send()).body.access_token).jti);
      const others = await tokenClient(server);
      // nobody answers until the lease has run out: then all of them are acknowledged at once
      const session = await openFeedSession(server, await feedGuard(server, client.resource));
      await session.lease();
      const { jti: other } = claimsOf((await others.send()).body.access_token);
      await Promise.all(jtis.map((jti) => revoke({ kind: 'token', subject: jti })));
      const story = await acknowledgedStory(jtis[10] as string);
      assert.deepEqual(typesOf(story).slice(-3), ['token.issued', 'token.revoked', 'revocation.acknowledged']);
      const shared = story.items.at(-1)?.event;
      assert.equal(shared?.target, undefined);
      assert.ok(Array.isArray(shared?.decided_on?.revs), 'so that this test says something');
      const untouched: Story = await operator.ok('GET', `/trace?of=${other}`);
      assert.equal(typesOf(untouched).at(-1), 'token.issued');
    });

    test('what else was changed on what a token rests on is no end of it', async () => {
      const { client, jti } = await token();
      await operator.ok('PATCH', `/roles/${client.role}`, { description: 'Reads tickets' });
      await revoke({ kind: 'role', subject: client.role });
      const story = await acknowledgedStory(jti);
      assert.ok(!typesOf(story).includes('role.updated'), typesOf(story).join(' '));
    });
  });
}
