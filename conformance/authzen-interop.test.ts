/**
 * AuthZEN 1.0 as its own specification and its interop scenarios have it: questions and the answers that they state, black box over HTTP.
 * A decision point has no directory of its own subjects here, so who they are stands in the policies of the organization.
 * @see https://openid.net/specs/authorization-api-1_0.html
 * @see https://github.com/openid/authzen/tree/main/interop/authzen-interop-website/docs/scenarios
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { evaluator, type PdpClient, writePolicy } from '../packages/server/src/testing/pdp-client.ts';

interface Decided {
  decision: boolean;
}

const decisionsOf = (evaluations: Decided[]) => evaluations.map(({ decision }) => decision);
const asSubjects = (ids: readonly string[]) => ids.map((id) => `Subject::"user:${id}"`).join(', ');
const asRecords = (ids: readonly string[]) => ids.map((id) => `Object::"record:${id}"`).join(', ');

// The specification's own people, accounts, documents and books.

const examples = `
@id("account-123")
permit (principal is Subject, action == Action::"resource:access", resource == Object::"account:123")
when {
  [Subject::"user:alice@example.com", Subject::"user:bob@example.com"].contains(principal) &&
  context has operation && context.operation == "can_read"
};

@id("alice-reads-accounts")
permit (principal == Subject::"user:alice@example.com", action == Action::"resource:access", resource is Object)
when {
  context has operation && context.operation == "can_read" &&
  [Object::"account:456", Object::"account:789"].contains(resource)
};

@id("alice-writes-one")
permit (principal == Subject::"user:alice@example.com", action == Action::"resource:access", resource == Object::"account:123")
when { context has operation && context.operation == "can_write" };

@id("alice-reads-what-is-written-about-it")
permit (principal == Subject::"user:alice@example.com", action == Action::"resource:access", resource is Object)
when {
  context has operation && context.operation == "can_read" &&
  [Object::"document:boxcarring.md", Object::"document:subject-search.md", Object::"document:resource-search.md"].contains(resource)
};

@id("alice-reads-the-first-and-the-third")
permit (principal == Subject::"user:alice@example.com", action == Action::"resource:access", resource is Object)
when {
  context has operation && context.operation == "read" &&
  [Object::"document:1", Object::"document:3"].contains(resource)
};

@id("sales-extends-loans-by-two-weeks")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when {
  context has operation && context.operation == "extend-loan" && resource.kind == "book" &&
  principal.hasTag("department") && principal.getTag("department") == "Sales" &&
  context.claimed.hasTag("action.period") && context.claimed.getTag("action.period") == "2W"
};

@id("books-of-that-number-stay") @reason("This one is not lent.") @public
forbid (principal is Subject, action == Action::"resource:access", resource is Object)
when { resource.hasTag("library_record") && resource.getTag("library_record") like "*\\"isbn\\":\\"978-0593383322\\"*" };
`;

const alice = { type: 'user', id: 'alice@example.com' };
const inSales = { ...alice, properties: { department: 'Sales' } };
const canRead = { name: 'can_read' };
const account = (id: string) => ({ type: 'account', id });
const document = (id: string) => ({ type: 'document', id });
const book = (properties?: object) => ({ type: 'book', id: '123', ...(properties && { properties }) });
const loan = (period: string) => ({ name: 'extend-loan', properties: { period } });
const atNight = { time: '1985-10-26T01:22-07:00' };

// The todo application: five users, known by what their identity provider calls them, and a todo by who owns it.

/** What the scenario's identity provider says in `sub`: its own number of the user, and from where, as protocol buffers encode it. */
const subOf = (user: number) =>
  Buffer.from(`\n$fd${user}614d3-c39a-4781-b7bd-8b96f5a5100d\x12\x05local`, 'latin1').toString('base64');

const users = {
  rick: { sub: subOf(0), email: 'rick@the-citadel.com', roles: ['admin', 'evil_genius'] },
  morty: { sub: subOf(1), email: 'morty@the-citadel.com', roles: ['editor'] },
  summer: { sub: subOf(2), email: 'summer@the-smiths.com', roles: ['editor'] },
  beth: { sub: subOf(3), email: 'beth@the-smiths.com', roles: ['viewer'] },
  jerry: { sub: subOf(4), email: 'jerry@the-smiths.com', roles: ['viewer'] },
} as const;
type User = keyof typeof users;
const everybody = Object.keys(users) as User[];

/** Whoever has one of these roles, as policies name them. */
const having = (...roles: string[]) => {
  const subs = Object.values(users).filter((user) => user.roles.some((role) => roles.includes(role)));
  return `[${asSubjects(subs.map(({ sub }) => sub))}].contains(principal)`;
};

const todos = `
@id("everybody-looks")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when { ${having('viewer', 'editor', 'admin', 'evil_genius')} && context has operation && ["can_read_user", "can_read_todos"].contains(context.operation) };

@id("editors-write")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when { ${having('editor', 'admin', 'evil_genius')} && resource.kind == "todo" && context has operation && context.operation == "can_create_todo" };

@id("owners-change-their-own")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when {
  ${having('editor', 'admin', 'evil_genius')} && resource.kind == "todo" &&
  context has operation && ["can_update_todo", "can_delete_todo"].contains(context.operation) &&
  resource.hasTag("ownerID") && (
    ${Object.values(users)
      .map(({ sub, email }) => `(principal == Subject::"user:${sub}" && resource.getTag("ownerID") == "${email}")`)
      .join(' ||\n    ')}
  )
};

@id("admins-delete")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when { ${having('admin')} && resource.kind == "todo" && context has operation && context.operation == "can_delete_todo" };

@id("evil-geniuses-change")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when { ${having('evil_genius')} && resource.kind == "todo" && context has operation && context.operation == "can_update_todo" };
`;

const todoOf = (owner: User) => ({
  type: 'todo',
  id: `7240d0db-8ff0-41ec-98b2-34a096273b9${everybody.indexOf(owner)}`,
  properties: { ownerID: users[owner].email },
});
const subject = (user: User) => ({ type: 'user', id: users[user].sub });

/** Who may do what: to anything, to their own, to Rick's. */
const mayDo: readonly (readonly [User, string, object, boolean])[] = everybody.flatMap((user) => {
  const edits = user === 'rick' || user === 'morty' || user === 'summer';
  return [
    [user, 'can_read_user', { type: 'user', id: users.beth.email }, true],
    [user, 'can_read_user', { type: 'user', id: users[user].email }, true],
    [user, 'can_read_todos', { type: 'todo', id: 'todo-1' }, true],
    [user, 'can_create_todo', { type: 'todo', id: 'todo-1' }, edits],
    [user, 'can_update_todo', todoOf(user), edits],
    [user, 'can_update_todo', todoOf(user === 'rick' ? 'morty' : 'rick'), user === 'rick'],
    [user, 'can_delete_todo', todoOf(user), edits],
    [user, 'can_delete_todo', todoOf(user === 'rick' ? 'morty' : 'rick'), user === 'rick'],
  ] as const;
});

// The search scenario: six users and twenty records, each of a department; records have owners, users may manage.

const people = {
  alice: { role: 'manager', department: 'Sales' },
  bob: { role: 'employee', department: 'Legal' },
  carol: { role: 'contractor', department: 'Legal' },
  dan: { role: 'manager', department: 'Finance' },
  erin: { role: 'employee', department: 'Finance' },
  felix: { role: 'contractor', department: 'Accounting' },
} as const;
type Person = keyof typeof people;
const names = Object.keys(people) as Person[];

/** Department of each record, from 101 on; owners come by turns. */
const departmentOf =
  'Legal Legal Legal Accounting Legal Accounting Sales Legal Accounting Sales Accounting Legal Sales Accounting Finance Legal Legal Accounting Legal Accounting'.split(
    ' ',
  );
const records = departmentOf.map((department, i) => ({
  id: String(101 + i),
  department,
  owner: names[i % names.length] as Person,
}));

const departments = [...new Set(Object.values(people).map(({ department }) => department))];
const idsOf = (some: (record: (typeof records)[number]) => boolean) => records.filter(some).map(({ id }) => id);
const managers = names.filter((name) => people[name].role === 'manager');
const fromDepartment = (department: string, some: readonly Person[] = names) =>
  some.filter((name) => people[name].department === department);

const library = `
${names
  .map(
    (name) => `@id("${name}-owns")
permit (principal == Subject::"user:${name}", action == Action::"resource:access", resource is Object)
when { [${asRecords(idsOf(({ owner }) => owner === name))}].contains(resource) && context has operation && ["view", "edit", "delete"].contains(context.operation) };`,
  )
  .join('\n')}
${departments
  .map(
    (department) => `@id("${department}-looks")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when {
  [${asSubjects(fromDepartment(department))}].contains(principal) &&
  [${asRecords(idsOf((record) => record.department === department))}].contains(resource) &&
  context has operation && context.operation == "view"
};`,
  )
  .join('\n')}
${departments
  .filter((department) => fromDepartment(department, managers).length > 0)
  .map(
    (department) => `@id("${department}-manages")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when {
  [${asSubjects(fromDepartment(department, managers))}].contains(principal) &&
  [${asRecords(idsOf((record) => record.department === department))}].contains(resource) &&
  context has operation && context.operation == "edit"
};`,
  )
  .join('\n')}
@id("managers-look")
permit (principal is Subject, action == Action::"resource:access", resource is Object)
when {
  [${asSubjects(managers)}].contains(principal) && [${asRecords(idsOf(() => true))}].contains(resource) &&
  context has operation && context.operation == "view"
};
`;

/** What the scenario states for each user: the records, by their last two digits. All three searches are held against it. */
const all = '01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20';
const stated: Record<Person, { view: string; edit: string; delete: string }> = {
  alice: { view: all, edit: '01 07 10 13 19', delete: '01 07 13 19' },
  bob: { view: '01 02 03 05 08 12 14 16 17 19 20', edit: '02 08 14 20', delete: '02 08 14 20' },
  carol: { view: '01 02 03 05 08 09 12 15 16 17 19', edit: '03 09 15', delete: '03 09 15' },
  dan: { view: all, edit: '04 10 15 16', delete: '04 10 16' },
  erin: { view: '05 11 15 17', edit: '05 11 17', delete: '05 11 17' },
  felix: { view: '04 06 09 11 12 14 18 20', edit: '06 12 18', delete: '06 12 18' },
};
const verbs = ['delete', 'edit', 'view'] as const;
const statedRecords = (name: Person, verb: (typeof verbs)[number]) =>
  stated[name][verb].split(' ').map((digits) => `1${digits}`);
const mayOn = (name: Person, verb: (typeof verbs)[number], record: string) =>
  statedRecords(name, verb).includes(record);

for (const database of databases) {
  describe(`interop on ${database}`, () => {
    let server: TestServer;
    let pep: PdpClient;
    before(async () => {
      server = await startServer({ database });
      pep = await evaluator(server);
      await writePolicy(server, examples, 'examples');
      await writePolicy(server, todos, 'todos');
      await writePolicy(server, library, 'library');
    });
    after(() => server.close());

    const batch = async (question: object): Promise<boolean[]> => {
      const { status, body, text } = await pep.ask('evaluations', question);
      assert.equal(status, 200, text);
      assert.equal(body.decision, undefined, 'no decision for the whole');
      return decisionsOf(body.evaluations);
    };

    describe('the specification’s questions', () => {
      for (const [title, question, decision] of [
        [
          '§6.1.1: alice reads an account',
          {
            subject: alice,
            resource: account('123'),
            action: { ...canRead, properties: { method: 'GET' } },
            context: atNight,
          },
          true,
        ],
        [
          '§6.1.1: nobody was told that she reads this one',
          { subject: alice, resource: account('124'), action: canRead },
          false,
        ],
        ['§5.1.1: a subject with a department', { subject: inSales, resource: book(), action: loan('2W') }, true],
        ['§5.1.1: a subject without one', { subject: alice, resource: book(), action: loan('2W') }, false],
        [
          '§5.1.1: a subject with an address and a device',
          {
            subject: { ...alice, properties: { ip_address: '172.217.22.14', device_id: '8:65:ee:17:7e:0b' } },
            resource: account('123'),
            action: canRead,
          },
          true,
        ],
        ['§5.3.1: an action with another period', { subject: inSales, resource: book(), action: loan('4W') }, false],
        [
          '§5.2.1: a resource whose property is an object',
          {
            subject: inSales,
            resource: book({ library_record: { title: 'AuthZEN in Action', isbn: '978-0593383322' } }),
            action: loan('2W'),
          },
          false,
        ],
        [
          '§5.2.1: the same with another number',
          {
            subject: inSales,
            resource: book({ library_record: { title: 'AuthZEN in Action', isbn: '978-0593383323' } }),
            action: loan('2W'),
          },
          true,
        ],
        [
          '§5.4.1: a context that names a schema',
          {
            subject: alice,
            resource: account('123'),
            action: canRead,
            context: { ...atNight, schema: 'https://schema.example.com/access-request.schema.json' },
          },
          true,
        ],
      ] as const) {
        test(title, async () => assert.equal((await pep.decide(question)).decision, decision));
      }

      test('§5.5.1: a reason that is meant for people is told by status', async () => {
        const number = { library_record: { isbn: '978-0593383322' } };
        const { context } = await pep.decide({ subject: inSales, resource: book(number), action: loan('2W') });
        assert.deepEqual(context.reason_user, { 403: 'This one is not lent.' });
      });

      const files = ['boxcarring.md', 'subject-search.md', 'resource-search.md'].map(document);
      const context = { time: '2024-05-31T15:22-07:00' };
      for (const [title, question, decisions] of [
        [
          '§7.1: three questions, each for itself',
          { evaluations: files.map((resource) => ({ subject: alice, action: canRead, resource, context })) },
          [true, true, true],
        ],
        [
          '§7.1.1: one subject and one context for all',
          { subject: alice, context, evaluations: files.map((resource) => ({ action: canRead, resource })) },
          [true, true, true],
        ],
        [
          '§7.1.1: an action for all, and one of its own',
          {
            subject: alice,
            context,
            action: canRead,
            evaluations: files.map((resource, i) =>
              i < 2 ? { resource } : { action: { name: 'can_edit' }, resource },
            ),
          },
          [true, true, false],
        ],
        [
          '§7.1.2: options that nobody knows stand beside the semantic',
          {
            action: canRead,
            evaluations: [{ resource: document('1'), subject: { type: 'doc', id: '2' } }],
            options: { evaluations_semantic: 'execute_all', another_option: 'value' },
          },
          [false],
        ],
      ] as const) {
        test(title, async () => assert.deepEqual(await batch(question), decisions));
      }

      for (const [semantic, decisions] of [
        [undefined, [true, false, true]],
        ['execute_all', [true, false, true]],
        ['deny_on_first_deny', [true, false]],
        ['permit_on_first_permit', [true]],
      ] as const) {
        test(`§7.1.2.1: three documents, ${semantic ?? 'without a semantic'}`, async () => {
          const question = {
            subject: alice,
            action: { name: 'read' },
            ...(semantic && { options: { evaluations_semantic: semantic } }),
            evaluations: ['1', '2', '3'].map((id) => ({ resource: document(id) })),
          };
          assert.deepEqual(await batch(question), decisions);
        });
      }

      const anyAccount = { subject: alice, action: canRead, resource: { type: 'account' } };
      for (const [title, kind, question, found] of [
        [
          '§8.4: who reads account 123',
          'subject',
          { subject: { type: 'user' }, action: canRead, resource: account('123'), context: atNight },
          ['alice@example.com', 'bob@example.com'],
        ],
        ['§8.5: which accounts alice reads', 'resource', anyAccount, ['123', '456', '789']],
        [
          '§8.6: what alice does to account 123',
          'action',
          { subject: alice, resource: account('123'), context: atNight },
          ['can_read', 'can_write'],
        ],
      ] as const) {
        test(title, async () => assert.deepEqual(await pep.find(kind, question), found));
      }

      test('§8.2.3: three accounts in pages of two', async () => {
        const first = await pep.ask('search/resource', { ...anyAccount, page: { limit: 2 } });
        assert.deepEqual(first.body.results, [account('123'), account('456')]);
        assert.equal(first.body.page.count, 2);
        const { next_token: token } = first.body.page;
        assert.ok(typeof token === 'string' && token.length > 0);
        const second = await pep.ask('search/resource', { ...anyAccount, page: { token } });
        assert.deepEqual(second.body.results, [account('789')]);
        assert.deepEqual([second.body.page.next_token, second.body.page.count], ['', 1]);
        const other = { ...anyAccount, action: { name: 'can_write' }, page: { token } };
        assert.equal((await pep.ask('search/resource', other)).status, 400, 'a token is for the same search');
      });

      test('§8.1: what is found is what a question says yes to', async () => {
        for (const id of await pep.find('resource', anyAccount)) {
          assert.equal((await pep.decide({ ...anyAccount, resource: account(id) })).decision, true, id);
        }
      });
    });

    describe('the todo application', () => {
      for (const [user, name, resource, decision] of mayDo) {
        const { id, properties } = resource as { id: string; properties?: { ownerID: string } };
        test(`${user}: ${name} of ${properties?.ownerID ?? id} is ${decision}`, async () => {
          const question = { subject: subject(user), action: { name }, resource, context: {} };
          assert.equal((await pep.decide(question)).decision, decision);
        });
      }

      test('every cell of the scenario is asked', () => {
        assert.deepEqual([mayDo.length, mayDo.filter(([, , , decision]) => decision).length], [40, 26]);
      });

      for (const [user, decisions] of [
        ['rick', [true, true, true]],
        ['morty', [false, true, false]],
        ['jerry', [false, false, false]],
      ] as const) {
        test(`${user} asks about three todos at once: whose may be completed`, async () => {
          const evaluations = (['rick', 'morty', 'jerry'] as const).map((owner) => ({ resource: todoOf(owner) }));
          const question = { subject: subject(user), action: { name: 'can_update_todo' }, context: {}, evaluations };
          assert.deepEqual(await batch(question), decisions);
        });
      }

      test('a user of another identity provider, by the same address, is nobody', async () => {
        const stranger = { type: 'user', id: users.rick.email };
        const question = { subject: stranger, action: { name: 'can_read_todos' }, resource: todoOf('rick') };
        assert.equal((await pep.decide(question)).decision, false);
      });
    });

    describe('the search scenario', () => {
      for (const verb of verbs) {
        test(`who may ${verb}, record by record`, async () => {
          for (const { id } of records) {
            const question = { subject: { type: 'user' }, action: { name: verb }, resource: { type: 'record', id } };
            const wanted = names.filter((name) => mayOn(name, verb, id));
            assert.deepEqual(await pep.find('subject', question), wanted, id);
          }
        });

        test(`which records each may ${verb}`, async () => {
          for (const name of names) {
            const question = {
              subject: { type: 'user', id: name },
              action: { name: verb },
              resource: { type: 'record' },
            };
            assert.deepEqual(await pep.find('resource', question), statedRecords(name, verb), name);
          }
        });
      }

      test('what each may do to each record', async () => {
        for (const name of names) {
          for (const { id } of records) {
            const question = { subject: { type: 'user', id: name }, resource: { type: 'record', id } };
            const wanted = verbs.filter((verb) => mayOn(name, verb, id));
            assert.deepEqual(await pep.find('action', question), wanted, `${name} ${id}`);
          }
        }
      });

      test('pages of three hold together what one page holds', async () => {
        const question = {
          subject: { type: 'user', id: 'bob' },
          action: { name: 'view' },
          resource: { type: 'record' },
        };
        const found: string[] = [];
        let token: string | undefined = '';
        let pages = 0;
        while (token !== undefined) {
          const page: object = token === '' ? { limit: 3 } : { token };
          const { body } = await pep.ask('search/resource', { ...question, page });
          assert.ok(body.results.length <= 3);
          found.push(...body.results.map(({ id }: { id: string }) => id));
          token = body.page.next_token || undefined;
          pages += 1;
          assert.ok(pages < 10);
        }
        assert.deepEqual(found, statedRecords('bob', 'view'));
        assert.equal(pages, 4);
      });

      for (const [title, kind, question] of [
        [
          'nobody views a record that isn’t there',
          'subject',
          { subject: { type: 'user' }, action: { name: 'view' }, resource: { type: 'record', id: '121' } },
        ],
        [
          'nobody signs a record',
          'subject',
          { subject: { type: 'user' }, action: { name: 'sign' }, resource: { type: 'record', id: '101' } },
        ],
        [
          'somebody unknown views nothing',
          'resource',
          { subject: { type: 'user', id: 'gwen' }, action: { name: 'view' }, resource: { type: 'record' } },
        ],
        [
          'erin does nothing to 118',
          'action',
          { subject: { type: 'user', id: 'erin' }, resource: { type: 'record', id: '118' } },
        ],
      ] as const) {
        test(title, async () => assert.deepEqual(await pep.find(kind, question), []));
      }
    });
  });
}
