/**
 * The certification scenario of AuthZEN 1.0: its fixture as a policy, and its cases as the document has them, black box over HTTP.
 * @see https://github.com/openid/authzen/blob/main/certification/authorization-api-1_0-scenario.md
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { evaluator, type PdpClient, writePolicy } from '../packages/server/src/testing/pdp-client.ts';

/** §4.4 and §4.5 of the scenario: its rules in six statements, which also name what searches must find where no properties are told. */
const fixture = `
@id("alice-reads-and-writes")
permit (principal == Subject::"user:alice", action == Action::"resource:access", resource)
when { context has operation && ["read", "write"].contains(context.operation) };

@id("alice-deletes-softly")
permit (principal == Subject::"user:alice", action == Action::"resource:access", resource)
when {
  context has operation && context.operation == "delete" &&
  context.claimed.hasTag("action.soft") && context.claimed.getTag("action.soft") == "true"
};

@id("bob-reads")
permit (principal == Subject::"user:bob", action == Action::"resource:access", resource)
when { context has operation && context.operation == "read" };

@id("admins-write-what-is-archived")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when {
  context has operation && context.operation == "write" &&
  (principal == Subject::"user:bob" || (principal.hasTag("role") && principal.getTag("role") == "admin")) &&
  (resource == Object::"record:record-2" || (resource.hasTag("status") && resource.getTag("status") == "archived"))
};

@id("what-is-archived-stays")
forbid (principal is Subject, action == Action::"resource:access", resource is Object)
when {
  context has operation && context.operation == "write" &&
  resource.hasTag("status") && resource.getTag("status") == "archived" &&
  principal != Subject::"user:bob" &&
  !(principal.hasTag("role") && principal.getTag("role") == "admin")
};

@id("record-1")
permit (principal == Subject::"user:alice", action == Action::"resource:access", resource == Object::"record:record-1")
when { context has operation && context.operation == "read" };
`;

const alice = { type: 'user', id: 'alice' };
const bob = { type: 'user', id: 'bob' };
const admin = { ...bob, properties: { role: 'admin' } };
const record1 = { type: 'record', id: 'record-1' };
const record2 = { type: 'record', id: 'record-2' };
const archived = { ...record2, properties: { status: 'archived' } };
const read = { name: 'read' };
const write = { name: 'write' };
const context = { time: '2025-06-27T18:03-07:00', ip: '192.168.1.1' };

for (const database of databases) {
  describe(`certification on ${database}`, () => {
    let server: TestServer;
    let pep: PdpClient;
    before(async () => {
      server = await startServer({ database });
      pep = await evaluator(server);
      await writePolicy(server, fixture, 'certification');
    });
    after(() => server.close());

    describe('basic', () => {
      for (const [section, question, decision] of [
        ['2.2.1: alice reads', { subject: alice, action: read, resource: record1 }, true],
        ['rule 2: alice writes', { subject: alice, action: write, resource: record1 }, true],
        ['rule 3: bob reads', { subject: bob, action: read, resource: record1 }, true],
        ['2.2.2: bob doesn’t write', { subject: bob, action: write, resource: record1 }, false],
        ['2.2.3: with a context', { subject: alice, action: read, resource: record1, context }, true],
        ['2.2.4: archived', { subject: alice, action: write, resource: archived }, false],
        ['2.2.5: an admin', { subject: admin, action: write, resource: archived }, true],
        [
          '2.2.6: softly',
          { subject: alice, action: { name: 'delete', properties: { soft: true } }, resource: record1 },
          true,
        ],
        [
          '2.2.7: for good',
          { subject: alice, action: { name: 'delete', properties: { soft: false } }, resource: record1 },
          false,
        ],
        [
          '2.2.8: more properties',
          {
            subject: { ...alice, properties: { department: 'Sales', role: 'manager' } },
            action: { ...read, properties: { method: 'GET' } },
            resource: { ...record1, properties: { status: 'active', owner: 'bob' } },
          },
          true,
        ],
        [
          '2.2.9: unknown fields',
          { subject: alice, action: read, resource: record1, foo: 'bar', futureField: { nested: true } },
          true,
        ],
      ] as const) {
        test(section, async () => {
          const { status, headers, body } = await pep.ask('evaluation', question);
          assert.equal(status, 200);
          assert.match(headers.get('content-type') ?? '', /^application\/json/);
          assert.equal(body.decision, decision);
          assert.equal(typeof body.context, 'object');
        });
      }

      for (const [section, question] of [
        ['2.4.1: no subject', { action: read, resource: record1 }],
        ['2.4.1: no action', { subject: alice, resource: record1 }],
        ['2.4.1: no resource', { subject: alice, action: read }],
        ['2.4.2: a subject without type', { subject: { id: 'alice' }, action: read, resource: record1 }],
        ['2.4.2: a subject without id', { subject: { type: 'user' }, action: read, resource: record1 }],
        ['2.4.2: an action without name', { subject: alice, action: {}, resource: record1 }],
        ['2.4.2: a resource without type', { subject: alice, action: read, resource: { id: 'record-1' } }],
        ['2.4.2: a resource without id', { subject: alice, action: read, resource: { type: 'record' } }],
        ['2.4.4: malformed JSON', '{"subject":'],
        ['2.4.5: an empty body', ''],
        ['2.4.6: a subject that is a string', { subject: 'alice', action: read, resource: record1 }],
        ['2.4.6: an action whose name is a number', { subject: alice, action: { name: 123 }, resource: record1 }],
      ] as const) {
        test(`${section} is 400`, async () => {
          const { status, body } = await pep.ask('evaluation', question);
          assert.equal(status, 400);
          assert.equal(typeof body.detail, 'string');
        });
      }

      test('2.4.3: another content type is 400', async () => {
        const question = JSON.stringify({ subject: alice, action: read, resource: record1 });
        for (const type of ['text/plain', 'application/xml', 'application/jsonp']) {
          const { status } = await pep.ask('evaluation', question, { 'content-type': type });
          assert.equal(status, 400, type);
        }
      });

      test('2.5: the request’s id is in the answer, whatever it is, and none is no fault', async () => {
        const question = { subject: alice, action: read, resource: record1 };
        for (const id of ['bfe9eb29-ab87-4ca3-be83-a1d5d8305716', 'a b, c=1']) {
          const { headers } = await pep.ask('evaluation', question, { 'x-request-id': id });
          assert.equal(headers.get('x-request-id'), id);
          const refused = await pep.ask('evaluation', {}, { 'x-request-id': id });
          assert.deepEqual([refused.status, refused.headers.get('x-request-id')], [400, id]);
        }
        const { status, headers } = await pep.ask('evaluation', question);
        assert.deepEqual([status, headers.get('x-request-id')], [200, null]);
        const stranger = await fetch(`${server.issuer}/access/v1/evaluation`, {
          method: 'POST',
          headers: { 'x-request-id': 'unknown-to-you' },
        });
        assert.deepEqual([stranger.status, stranger.headers.get('x-request-id')], [401, 'unknown-to-you']);
      });

      test('2.6: the same question is answered the same', async () => {
        const question = { subject: bob, action: write, resource: record1 };
        for (let i = 0; i < 5; i++) assert.equal((await pep.decide(question)).decision, false);
      });
    });

    describe('batch', () => {
      for (const [section, question, decisions] of [
        [
          '3.2.1: structure',
          { subject: alice, action: read, evaluations: [{ resource: record1 }, { resource: record2 }] },
          [true, true],
        ],
        [
          '3.2.2: in order',
          { subject: bob, resource: record1, evaluations: [{ action: read }, { action: write }] },
          [true, false],
        ],
        [
          '3.2.3: properties of each',
          {
            subject: alice,
            action: write,
            evaluations: [{ resource: { ...record1, properties: { status: 'active' } } }, { resource: archived }],
          },
          [true, false],
        ],
        [
          '3.2.4: subjects of each',
          { action: write, resource: archived, evaluations: [{ subject: alice }, { subject: admin }] },
          [false, true],
        ],
        [
          '3.2.5: nothing in common',
          {
            evaluations: [
              { subject: alice, action: read, resource: record1 },
              { subject: bob, action: write, resource: record1 },
            ],
          },
          [true, false],
        ],
        [
          '3.2.6: one context for all, and one of its own',
          {
            subject: alice,
            action: read,
            context,
            evaluations: [{ resource: record1 }, { resource: record2, context: { source: 'batch-override' } }],
          },
          [true, true],
        ],
        [
          '3.2.7: what is left out is inherited whole, what is said replaces it whole',
          {
            subject: alice,
            action: write,
            resource: { ...record1, properties: { status: 'active' } },
            evaluations: [{}, { resource: archived }],
          },
          [true, false],
        ],
        [
          '3.4.1: one that can’t be read is a no, and the others are answered',
          {
            subject: alice,
            action: read,
            options: { evaluations_semantic: 'execute_all' },
            evaluations: [{ resource: record1 }, {}],
          },
          [true, false],
        ],
      ] as const) {
        test(section, async () => {
          const { status, body, text } = await pep.ask('evaluations', question);
          assert.equal(status, 200, text);
          assert.deepEqual(
            body.evaluations.map(({ decision }: { decision: boolean }) => decision),
            decisions,
          );
          assert.equal(body.decision, undefined);
        });
      }

      const reads = { resource: record1 };
      const deletes = { action: { name: 'delete' }, resource: record1 };
      for (const [semantic, evaluations, wanted] of [
        ['execute_all', [reads, deletes, reads], [true, false, true]],
        ['deny_on_first_deny', [reads, deletes, reads], [true, false]],
        ['deny_on_first_deny', [{}, reads], [false]],
        ['permit_on_first_permit', [reads, deletes], [true]],
        ['permit_on_first_permit', [deletes, {}, reads, deletes], [false, false, true]],
      ] as const) {
        const said = evaluations.map((each) => ('action' in each ? 'no' : 'resource' in each ? 'yes' : 'unreadable'));
        test(`${semantic}: ${said.join(', ')} of ${wanted.join(', ')}`, async () => {
          const options = { evaluations_semantic: semantic, another_option: 'value' };
          const { status, body } = await pep.ask('evaluations', { subject: alice, action: read, options, evaluations });
          assert.equal(status, 200);
          assert.deepEqual(
            body.evaluations.map(({ decision }: { decision: boolean }) => decision),
            wanted,
          );
        });
      }

      for (const more of [{}, { evaluations: [] }]) {
        test(`3.4: without questions in a list it is one question: ${JSON.stringify(more)}`, async () => {
          const { status, body } = await pep.ask('evaluations', {
            subject: alice,
            action: read,
            resource: record1,
            ...more,
          });
          assert.deepEqual([status, body.decision, body.evaluations], [200, true, undefined]);
        });
      }
    });

    describe('search', () => {
      const whoReads = { subject: { type: 'user' }, action: read, resource: record1 };
      const whatAlice = { subject: alice, action: read, resource: { type: 'record' } };
      for (const [section, kind, question, found] of [
        ['4.2.1: who reads', 'subject', whoReads, ['alice', 'bob']],
        ['4.2.2: who reads, with a context', 'subject', { ...whoReads, context }, ['alice', 'bob']],
        ['4.2.3: an id of what is sought means nothing', 'subject', { ...whoReads, subject: alice }, ['alice', 'bob']],
        [
          '4.2.4: who writes what is archived',
          'subject',
          { subject: { type: 'user' }, action: write, resource: archived },
          ['bob'],
        ],
        ['4.3.1: what alice reads', 'resource', whatAlice, ['record-1', 'record-2']],
        ['4.3.2: what alice reads, with a context', 'resource', { ...whatAlice, context }, ['record-1', 'record-2']],
        [
          '4.3.3: an id of what is sought means nothing',
          'resource',
          { ...whatAlice, resource: record1 },
          ['record-1', 'record-2'],
        ],
        [
          '4.3.4: what an admin writes',
          'resource',
          { subject: admin, action: write, resource: { type: 'record' } },
          ['record-2'],
        ],
        ['4.4.1: what alice does', 'action', { subject: alice, resource: record1 }, ['read', 'write']],
        [
          '4.4.2: what alice does, with a context',
          'action',
          { subject: alice, resource: record1, context },
          ['read', 'write'],
        ],
        ['4.4.3: what an admin does', 'action', { subject: admin, resource: archived }, ['read', 'write']],
        [
          '4.6.1: an unknown subject',
          'action',
          { subject: { type: 'user', id: 'nonexistent-user' }, resource: record1 },
          [],
        ],
        [
          '4.6.1: an unknown subject’s resources',
          'resource',
          { ...whatAlice, subject: { type: 'user', id: 'nobody' } },
          [],
        ],
        ['4.6.1: nobody does that', 'subject', { ...whoReads, action: { name: 'sing' } }, []],
        ['4.6.2: an unknown type of subjects', 'subject', { ...whoReads, subject: { type: 'spaceship' } }, []],
        ['4.6.2: an unknown type of resources', 'resource', { ...whatAlice, resource: { type: 'spaceship' } }, []],
        [
          '4.6.2: actions of an unknown type',
          'action',
          { subject: { type: 'spaceship', id: '1' }, resource: record1 },
          [],
        ],
      ] as const) {
        test(section, async () => {
          const { status, body, text } = await pep.ask(`search/${kind}`, question);
          assert.equal(status, 200, text);
          const { type } = (question as unknown as Record<string, { type?: string } | undefined>)[kind] ?? {};
          assert.deepEqual(
            body.results,
            found.map((id) => (kind === 'action' ? { name: id } : { type, id })),
          );
        });
      }

      test('4.5: pages of one, to the end', async () => {
        const first = await pep.ask('search/subject', { ...whoReads, page: { limit: 1 } });
        assert.deepEqual(Object.keys(first.body), ['page', 'results'], 'the page comes first');
        assert.equal(first.body.page.count, 1);
        assert.ok(first.body.page.next_token);
        const token = first.body.page.next_token as string;
        const second = await pep.ask('search/subject', { ...whoReads, page: { token } });
        assert.deepEqual([...first.body.results, ...second.body.results], [alice, bob]);
        assert.equal(second.body.page.next_token, '');
      });

      for (const [section, kind, question] of [
        ['4.7: no action', 'subject', { subject: { type: 'user' }, resource: record1 }],
        ['4.7: no subject', 'resource', { action: read, resource: { type: 'record' } }],
        ['4.7: no resource', 'action', { subject: alice }],
        ['4.7: a subject without type', 'subject', { ...whoReads, subject: {} }],
        ['4.7: a resource without id where it is not sought', 'subject', { ...whoReads, resource: { type: 'record' } }],
      ] as const) {
        test(`${section} is 400`, async () => assert.equal((await pep.ask(`search/${kind}`, question)).status, 400));
      }
    });

    test('discovery: the metadata names what is there, and itself', async () => {
      const response = await fetch(`${server.issuer}/.well-known/authzen-configuration`);
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
      const metadata = (await response.json()) as Record<string, string>;
      assert.equal(metadata.policy_decision_point, server.issuer);
      const endpoints = Object.entries(metadata).filter(([name]) => name.endsWith('_endpoint'));
      assert.equal(endpoints.length, 5);
      for (const [name, url] of endpoints) {
        const { status } = await pep.sdk.fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{}',
        });
        assert.equal(status, 400, `${name} is there, and wants more than nothing`);
      }
    });
  });
}
