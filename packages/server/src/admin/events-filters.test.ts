/** Each filter of the log by itself, over HTTP and from the command line: it finds the events that have what it asks for, and no others. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { type CommandLine, commandLine } from '../testing/command-line.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { eventFilters } from './event-query.ts';

interface Item {
  id: string;
  at: string;
  type: string;
  outcome: string;
  agent?: string;
  instance?: string;
  target?: string;
  resource?: string;
  jti?: string;
  reason?: string;
  trace?: string;
  decided_on: Record<string, unknown> & {
    client?: { credential: string };
    task?: string;
    workflow?: string;
    operation?: string;
    by?: string[];
    changed?: { name?: string };
  };
  personal: { owner?: string; person?: string; address?: string };
}

/** Everything that the filters ask for, of one agent at work. */
interface Given {
  client: TokenClient;
  name: string;
  task: string;
  instance: string;
  person: string;
  jti: string;
  at: number;
}

const traceId = 'ab'.repeat(16);
const elsewhere = '203.0.113.77';
/** What a token rests on beside what it names is found through what it names. */
const named = ({ decided_on = {} as Item['decided_on'] }: Item) => {
  const { links: _l, rests_on: _r, ancestors: _a, ...asked } = decided_on;
  return JSON.stringify(asked);
};
const isOf = (item: Item, id: string) => item.instance === id || item.target === id || named(item).includes(id);

const filters: [
  name: string,
  value: (given: Given) => string,
  option: string,
  has: (item: Item, given: Given) => boolean,
][] = [
  ['agent', ({ client }) => client.clientId, 'by', (item, { client }) => item.agent === client.clientId],
  [
    'about',
    ({ client }) => client.clientId,
    'agent',
    (item, { client }) => item.agent === client.clientId || isOf(item, client.clientId),
  ],
  ['target', ({ client }) => client.clientId, 'target', (item, { client }) => item.target === client.clientId],
  ['instance', ({ instance }) => instance, 'instance', (item, { instance }) => isOf(item, instance)],
  ['credential', ({ client }) => client.credential, 'credential', (item, { client }) => isOf(item, client.credential)],
  ['task', ({ task }) => task, 'task', (item, { task }) => isOf(item, task)],
  [
    'workflow',
    () => 'billing',
    'workflow',
    (item) => item.decided_on?.workflow === 'billing' || /"workflow":"billing"/.test(named(item)),
  ],
  ['resource', ({ client }) => client.resource, 'resource', (item, { client }) => item.resource === client.identifier],
  ['operation', () => 'reconcile', 'operation', (item) => item.decided_on?.operation === 'reconcile'],
  ['jti', ({ jti }) => jti, 'jti', (item, { jti }) => item.jti === jti],
  [
    'policy',
    () => 'starter',
    'policy',
    (item) => item.decided_on?.by?.some((one) => one.startsWith('starter/')) === true,
  ],
  ['trace', () => traceId, 'trace', (item) => item.trace?.includes(traceId) === true],
  ['owner', ({ client }) => client.owner, 'owner', (item, { client }) => item.personal.owner === client.owner],
  ['person', ({ person }) => person, 'person', (item, { person }) => item.personal.person === person],
  ['address', () => elsewhere, 'address', (item) => item.personal.address === elsewhere],
  ['outcome', () => 'refused', 'outcome', (item) => item.outcome === 'refused'],
  ['type', () => 'token.issued,token.refused', 'type', (item) => /^token\.(issued|refused)$/.test(item.type)],
  ['text', () => 'gives burn', 'text', (item) => /gives/.test(item.reason ?? '') && /burn/.test(item.reason ?? '')],
  ['since', ({ at }) => new Date(at).toISOString(), 'since', (item, { at }) => Date.parse(item.at) >= at],
  ['until', ({ at }) => new Date(at).toISOString(), 'until', (item, { at }) => Date.parse(item.at) < at],
];

for (const database of databases) {
  describe(`filters of the log (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let cli: CommandLine;
    let given: Given;
    let all: Item[];

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      cli = commandLine(server);
      const other = await tokenClient(server);
      await other.send();
      const client = await tokenClient(server);
      const instances = instanceClient(server, client);
      const { id: task } = await (await orchestratorClient(server)).open(client.clientId);
      const { id: instance, ...running } = await instances.instance();
      const { body } = await instances.tokenOf(
        { id: instance, ...running },
        { task },
        { traceparent: `00-${traceId}-${'cd'.repeat(8)}-01` },
      );
      const { jti } = parseCompact(String(body.access_token)).payload as { jti: string };
      server.clock.advance(60_000);
      const at = server.clock.now();
      await client.send({ scope: 'tickets:burn' });
      const { name } = await operator.ok('GET', `/agents/${client.clientId}`);
      const { id: person } = await operator.ok('POST', '/people', { name: 'Ada', email: 'ada@example.com' });
      given = { client, name, task, instance, person, jti, at };
      // a use for a person, from elsewhere
      const sealing = await sealingFor(server.deps, 1, person);
      await server.deps.db.settle((tx) =>
        appendEvent(tx, server.deps, sealing, {
          type: 'access.used',
          outcome: 'allowed',
          org: client.organization,
          agent: client.clientId,
          instance,
          resource: client.identifier,
          jti,
          decided_on: {
            guard: `grd_${'0'.repeat(26)}`,
            mode: 'feed',
            operation: 'reconcile',
            report: randomBytes(16).toString('base64url'),
            resource_id: client.resource,
            task,
            used_at: at,
          },
          personal: { owner: client.owner, person, address: elsewhere },
        }),
      );
      await other.send();
      all = (await operator.ok('GET', '/events?limit=200')).items;
    });
    after(async () => {
      cli.close();
      await server.close();
    });

    /** Of those that were there before: whoever asks is given tokens meanwhile, and that is told, too. */
    const known = (items: readonly Item[]) =>
      items.map(({ id }) => id).filter((id) => all.some((one) => one.id === id));

    test('there is a row for each of them', () => {
      assert.deepEqual(filters.map(([name]) => name).sort(), Object.keys(eventFilters).sort());
    });

    for (const [name, wanted, option, has] of filters) {
      test(`${name}: what has it, and nothing else; --${option} the same`, async () => {
        const value = wanted(given);
        const expected = all.filter((item) => has(item, given)).map(({ id }) => id);
        assert.ok(expected.length > 0 && expected.length < all.length, `${expected.length} of ${all.length} have it`);
        const { items } = await operator.ok('GET', `/events?limit=200&${name}=${encodeURIComponent(value)}`);
        assert.deepEqual(known(items), expected);
        const { out, code, err } = await cli('events', `--${option}`, value, '--json', '--limit', '200');
        assert.equal(code, 0, err);
        const told = out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Item]));
        assert.deepEqual(known(told).toReversed(), expected, `--${option}`);
      });
    }

    test('by name: an agent, a resource, an owner, a person', async () => {
      for (const [option, value, has] of [
        ['by', given.name, filters[0]?.[3]],
        ['person', 'ada@example.com', filters.find(([name]) => name === 'person')?.[3]],
        ['resource', given.client.identifier, filters.find(([name]) => name === 'resource')?.[3]],
      ] as const) {
        const { out } = await cli('events', `--${option}`, value, '--json', '--limit', '200');
        const expected = all.filter((item) => has?.(item, given)).length;
        const told = out
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Item);
        assert.equal(known(told).length, expected, `--${option} ${value}`);
      }
    });
  });
}
