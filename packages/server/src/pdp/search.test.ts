/** Searches in the registry and in policies: only what an evaluation allows, in one order, page by page. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { evaluator, type PdpClient, writePolicy } from '../testing/pdp-client.ts';

const identifier = 'https://files.example/api';
const operations = [
  { name: 'list', method: 'GET', path: '/', scope: ['files:read'], sensitivity: 'low' },
  { name: 'read', method: 'GET', path: '/{id}', scope: ['files:read'], sensitivity: 'low' },
  { name: 'write', method: 'PUT', path: '/{id}', scope: ['files:write'], sensitivity: 'medium' },
  { name: 'index', tool: 'index', scope: ['files:read'], sensitivity: 'low' },
];

for (const database of databases) {
  describe(`searches on ${database}`, () => {
    let server: TestServer;
    let pep: PdpClient;
    let readers: string[];
    let writer: string;

    const access = { name: 'access' };
    const agent = (id: string) => ({ type: 'agent', id });
    const operation = (name: string) => ({ type: 'operation', id: `${identifier}#${name}` });
    const whoReads = { subject: { type: 'agent' }, action: access, resource: operation('read') };

    before(async () => {
      server = await startServer({ database });
      pep = await evaluator(server);
      const post = (path: string, body: object) => server.admin<{ id: string }>('POST', path, body);
      const { id: team } = await post('/teams', { name: 'files' });
      const scopes = [{ name: 'files:read' }, { name: 'files:write' }];
      await post('/resources', { identifier, name: 'files', scopes, operations });
      await post('/resources', { identifier: 'https://empty.example', name: 'empty', scopes: [], operations: [] });
      const role = (name: string, given: string[]) =>
        post('/roles', { name, permissions: [{ resource: identifier, scopes: given }] });
      const reading = await role('reading', ['files:read']);
      const writing = await role('writing', ['files:write']);
      const resources = [{ resource: identifier, default: true }];
      const made: string[] = [];
      for (let i = 0; i < 8; i++) {
        const { id } = await post('/agents', { name: `agent-${i}`, kind: 'ai_agent', owner: team, resources });
        made.push(id);
        if (i % 2 === 0) await server.admin('PUT', `/agents/${id}/roles/${reading.id}`);
        if (i === 7) await server.admin('PUT', `/agents/${id}/roles/${writing.id}`);
      }
      readers = made.filter((_, i) => i % 2 === 0);
      writer = made[7] as string;
    });
    after(() => server.close());

    test('which agents may: those whom roles give it, in the order in which they were registered', async () => {
      assert.deepEqual(await pep.find('subject', whoReads), readers);
      assert.deepEqual(await pep.find('subject', { ...whoReads, resource: operation('write') }), [writer]);
    });

    test('what an agent may do: operations, tools, APIs', async () => {
      const [reader = ''] = readers;
      const found = (type: string, id = reader) =>
        pep.find('resource', { subject: agent(id), action: access, resource: { type } });
      assert.deepEqual(await found('operation'), [`${identifier}#list`, `${identifier}#read`]);
      assert.deepEqual(await found('tool'), [`${identifier}#index`]);
      assert.deepEqual(await found('api'), [identifier]);
      assert.deepEqual(await found('operation', writer), [`${identifier}#write`]);
      assert.deepEqual(await found('operation', 'nobody'), []);
    });

    test('which actions: on an API the operations’ names, on an operation access and its own', async () => {
      const [reader = ''] = readers;
      const actions = (resource: object) => pep.find('action', { subject: agent(reader), resource });
      assert.deepEqual(await actions({ type: 'api', id: identifier }), ['access', 'index', 'list', 'read']);
      assert.deepEqual(await actions(operation('read')), ['access', 'read']);
      assert.deepEqual(await actions(operation('write')), []);
      assert.deepEqual(await actions(operation('nothing')), []);
    });

    test('what is found is allowed by an evaluation, and what isn’t found is not', async () => {
      const found = new Set(await pep.find('subject', whoReads));
      const { items } = await server.admin<{ items: { id: string }[] }>('GET', '/agents?limit=200');
      assert.ok(items.length > found.size);
      for (const { id } of items) {
        assert.equal((await pep.decide({ ...whoReads, subject: agent(id) })).decision, found.has(id));
      }
    });

    test('a suspended agent, or a policy that forbids, is missing from the next answer', async () => {
      const [first = '', second = ''] = readers;
      await server.admin('POST', `/agents/${first}/suspend`, { reason: 'a test' });
      const policy = await writePolicy(
        server,
        `@id("not-this-one") forbid (principal == Agent::"agent-2", action, resource == Operation::"${identifier}#read");`,
      );
      assert.deepEqual(
        await pep.find('subject', whoReads),
        readers.filter((id) => id !== first && id !== second),
      );
      await server.admin('POST', `/agents/${first}/resume`);
      await server.admin('POST', `/policies/${policy}/remove`, { reason: 'a test' });
      assert.deepEqual(await pep.find('subject', whoReads), readers);
    });

    for (const limit of [1, 2, 3, 4, 5, 200, 100_000]) {
      test(`pages of ${limit} hold everything once`, async () => {
        const pages: { results: { id: string }[]; page: { next_token: string; count: number } }[] = [];
        for (let token: string | undefined; token !== ''; token = pages.at(-1)?.page.next_token) {
          const { status, body, text } = await pep.ask('search/subject', {
            ...whoReads,
            page: { limit, ...(token && { token }) },
          });
          assert.equal(status, 200, text);
          assert.equal(body.page.count, body.results.length);
          assert.ok(body.results.length <= limit);
          pages.push(body);
        }
        assert.deepEqual(
          pages.flatMap(({ results }) => results.map(({ id }) => id)),
          readers,
        );
      });
    }

    test('a page of nothing is empty, and its cursor leads to the first', async () => {
      const { body } = await pep.ask('search/subject', { ...whoReads, page: { limit: 0 } });
      assert.deepEqual(body.results, []);
      assert.notEqual(body.page.next_token, '');
    });

    test('without a page in the question there is none in the answer that is whole', async () => {
      assert.deepEqual(Object.keys((await pep.ask('search/subject', whoReads)).body), ['results']);
    });

    test('a cursor is for the same question alone: whatever is changed in it is refused', async () => {
      const { body } = await pep.ask('search/subject', { ...whoReads, page: { limit: 1 } });
      const token = body.page.next_token as string;
      const stranger = await evaluator(server, {
        organization: (await server.admin<{ id: string }>('POST', '/organizations', { name: 'elsewhere' })).id,
      });
      for (const [what, asking, kind, changed] of [
        ['another action', pep, 'subject', { action: { name: 'read' } }],
        ['another resource', pep, 'subject', { resource: operation('list') }],
        ['another type', pep, 'subject', { subject: { type: 'user' } }],
        ['a context', pep, 'subject', { context: { a: '1' } }],
        ['another search', pep, 'resource', { subject: agent('x'), resource: { type: 'api' } }],
        ['another organization', stranger, 'subject', {}],
      ] as const) {
        const { status } = await asking.ask(`search/${kind}`, { ...whoReads, ...changed, page: { token } });
        assert.equal(status, 400, what);
      }
      assert.equal(
        (await pep.ask('search/subject', { ...whoReads, page: { token, limit: 2 } })).status,
        400,
        'another limit',
      );
      const reordered = {
        page: { token },
        resource: whoReads.resource,
        action: access,
        subject: { id: 'ignored', type: 'agent' },
      };
      assert.equal((await pep.ask('search/subject', reordered)).status, 200, 'the same in another order');
    });

    test('what was registered between two pages neither repeats nor hides anybody', async () => {
      const { body } = await pep.ask('search/subject', { ...whoReads, page: { limit: 2 } });
      const { items: roles } = await server.admin<{ items: { id: string; name: string }[] }>('GET', '/roles?limit=200');
      const { items: teams } = await server.admin<{ items: { id: string; name: string }[] }>('GET', '/teams?limit=200');
      const { id } = await server.admin<{ id: string }>('POST', '/agents', {
        name: 'late',
        kind: 'workload',
        resources: [{ resource: identifier, default: true }],
        owner: teams.find(({ name }) => name === 'files')?.id,
      });
      await server.admin('PUT', `/agents/${id}/roles/${roles.find(({ name }) => name === 'reading')?.id}`);
      const rest = await pep.ask('search/subject', { ...whoReads, page: { token: body.page.next_token, limit: 2 } });
      const last = await pep.ask('search/subject', { ...whoReads, page: { token: rest.body.page.next_token } });
      const ids = [body, rest.body, last.body].flatMap(({ results }) => results.map((each: { id: string }) => each.id));
      assert.deepEqual(ids, [...readers, id]);
    });

    test('objects, subjects and actions of others are those that policies name', async () => {
      await writePolicy(
        server,
        `@id("team") permit (principal in Role::"reading", action == Action::"resource:access", resource == Object::"folder:b")
         when { context has operation && "open" == context.operation };
         @id("carol") permit (principal == Subject::"user:carol", action, resource == Object::"folder:a")
         when { context has operation && ["open", "close"].contains(context.operation) };
         @id("dave") forbid (principal == Subject::"user:dave", action, resource);`,
      );
      const [reader = ''] = readers;
      const open = { name: 'open' };
      assert.deepEqual(
        await pep.find('resource', { subject: agent(reader), action: open, resource: { type: 'folder' } }),
        ['b'],
      );
      assert.deepEqual(
        await pep.find('subject', { subject: { type: 'user' }, action: open, resource: { type: 'folder', id: 'a' } }),
        ['carol'],
      );
      assert.deepEqual(
        await pep.find('action', { subject: { type: 'user', id: 'carol' }, resource: { type: 'folder', id: 'a' } }),
        ['close', 'open'],
      );
      const agents = await pep.find('subject', { ...whoReads, action: open, resource: { type: 'folder', id: 'b' } });
      assert.deepEqual(agents.slice(0, readers.length), readers, 'through their role');
    });
  });
}
