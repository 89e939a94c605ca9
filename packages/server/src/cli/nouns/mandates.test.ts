/** `bailiwick mandates`: what people let agents do, on the command line. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { type Delegates, delegates } from '../../testing/delegates.ts';
import { exchanged } from '../../testing/exchange.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';
import type { Mandate } from '../mandate-words.ts';

let server: TestServer;
let cli: CommandLine;
let scene: Delegates;
let agents: { id: string; name: string }[];

before(async () => {
  server = await startServer();
  cli = commandLine(server);
  scene = await delegates(server, 3);
  agents = await Promise.all(
    scene.agents.map(({ id }) => server.admin<{ id: string; name: string }>('GET', `/agents/${id}`)),
  );
});
after(async () => {
  cli.close();
  await server.close();
});

const nameOf = (at: number) => agents[at]?.name as string;
const give = (...more: string[]) =>
  cli.json<Mandate & { hints?: string[] }>(
    ...['mandates', 'give', nameOf(0), '--for', scene.person, '--expires', '30d'],
    ...more,
  );
const listed = async (...more: string[]) =>
  (await cli.json<{ items: Mandate[] }>('mandates', 'list', ...more)).items.map(({ id }) => id);

test('given with everything that it can say, and shown in words', async () => {
  const text = cli.write('seen.txt', 'May it book trips for you?');
  const given = await give(
    ...['--permission', `${scene.api.identifier}=book,read`],
    ...['--details', `${scene.api.identifier}={"type":"payment","amount":100}`],
    ...['--uses', '20', '--total', 'payment:/amount=500.5,/currency=EUR'],
    ...['--depth', '2', '--to', nameOf(1), '--to', nameOf(2)],
    ...[
      '--workflow',
      'travel',
      '--environment',
      'production',
      '--ip',
      '127.0.0.0/8',
      '--hours',
      'mon-fri 08:00-18:00 UTC',
    ],
    ...['--way', 'consent', '--text', text, '--language', 'en'],
  );
  assert.deepEqual(given.resources, [
    {
      resource: scene.api.identifier,
      scope: 'book read',
      authorization_details: [{ type: 'payment', amount: 100 }],
    },
  ]);
  assert.deepEqual(given.limits, {
    uses: 20,
    amounts: [{ type: 'payment', amount: '/amount', unit: { at: '/currency', is: 'EUR' }, total: 500.5 }],
  });
  assert.deepEqual(given.passing, { depth: 2, to: [agents[1]?.id, agents[2]?.id] });
  assert.deepEqual(given.task, { workflow: 'travel', environment: 'production' });
  assert.deepEqual(given.context?.ip, ['127.0.0.0/8']);
  assert.equal(Date.parse(given.expires_at) - Date.parse(given.created_at), 30 * 86_400_000);
  const { out } = await cli('mandates', 'show', given.id);
  for (const part of [
    nameOf(0),
    'book read {"type":"payment","amount":100}',
    'from 127.0.0.0/8',
    'workflow travel, environment production',
    '500.5 of 500.5 EUR of payment left',
    '20 of 20 uses left',
    `2 deep, to ${nameOf(1)}, ${nameOf(2)}`,
    'consent, written down by operator',
    'May it book trips for you? (en)',
  ])
    assert.ok(out.includes(part), `${part} in\n${out}`);
});

test('what no role gives is said when it is given', async () => {
  const details = `${scene.api.identifier}={"type":"payment","amount":5000}`;
  const { out } = await cli(
    'mandates',
    'give',
    nameOf(0),
    '--for',
    scene.person,
    '--expires',
    '8h',
    '--details',
    details,
  );
  assert.match(
    out,
    /may act for Person \w+: mdt_\w+, until 2026-11-01 17:00:00Z\.\nNote: no role of the agent gives all of /,
  );
});

test('listed by person, agent and resource; what is over only if asked for', async () => {
  const { id } = await give('--permission', `${scene.api.identifier}=read`);
  const expired = await cli.json<Mandate>(
    ...['mandates', 'give', nameOf(0), '--for', scene.person, '--expires', '60s'],
    ...['--permission', `${scene.api.identifier}=read`],
  );
  server.clock.advance(60_000);
  for (const filter of [['--agent', nameOf(0)], ['--person', scene.person], ['--resource', scene.api.identifier], []]) {
    const ids = await listed(...filter);
    assert.ok(ids.includes(id) && !ids.includes(expired.id), filter.join(' '));
  }
  assert.ok((await listed('--all')).includes(expired.id));
  assert.deepEqual(await listed('--agent', nameOf(1)), []);
  const { out } = await cli('mandates', 'list');
  assert.match(out, /FOR +AGENT +MAY +STATUS +LEFT +ENDS +ID\nPerson \w+ +agent-\w+ +https:\S+: book read .* active/);
});

test('the tree says who passed what to whom, how it stands and what is left', async () => {
  const [first, second, third] = scene.agents;
  assert.ok(first && second && third);
  const root = await scene.give(first, { limits: { uses: 10 } });
  const part = [{ resource: scene.api.identifier, scope: 'read' }];
  const one = await first.pass(root.id, {
    agent: second.id,
    resources: part,
    limits: { uses: 4 },
    passing: { depth: 1 },
  });
  const leaf = await second.pass(one.id, { agent: third.id, resources: part, limits: { uses: 2 } });
  const other = await first.pass(root.id, { agent: third.id, resources: part, limits: { uses: 3 } });
  await exchanged(third.client, leaf.id, { scope: 'read' });
  await cli('mandates', 'pause', one.id, '--reason', 'on leave');
  const { out } = await cli('mandates', 'tree', leaf.id);
  const lines = out.split('\n').map((line) => line.trimEnd());
  const until = 'until \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\dZ';
  for (const [at, line] of [
    `^for Person \\w+$`,
    `^${nameOf(0)}  active ${until}, 4 deeper  ${root.id}$`,
    `^│    ${scene.api.identifier}: book read \\{"type":"payment","amount":100\\}$`,
    '^│    9 of 10 uses left$',
    `^├─ ${nameOf(1)}  paused ${until}, 1 deeper  ${one.id}$`,
    `^│  │    ${scene.api.identifier}: read$`,
    '^│  │    3 of 4 uses left$',
    `^│  └─ ${nameOf(2)}  stopped by ${one.id} ${until}  ${leaf.id}$`,
    `^│ {10}${scene.api.identifier}: read$`,
    '^│ {10}1 of 2 uses left$',
    `^└─ ${nameOf(2)}  active ${until}  ${other.id}$`,
    `^ {8}${scene.api.identifier}: read$`,
    '^ {8}3 of 3 uses left$',
  ].entries())
    assert.match(lines[at] ?? '', new RegExp(line), out);
  const below = await cli.json<{ mandates: Mandate[] }>('mandates', 'tree', one.id, '--below');
  assert.deepEqual(
    below.mandates.map(({ id }) => id),
    [one.id, leaf.id],
  );
});

test('narrowed, paused, resumed and ended', async () => {
  const { id } = await give('--permission', `${scene.api.identifier}=book,read`, '--depth', '2');
  const narrowed = await cli.json<Mandate>(
    ...['mandates', 'narrow', id, '--permission', `${scene.api.identifier}=read`],
    ...['--uses', '5', '--depth', '0', '--expires', '8h', '--country', 'DE'],
  );
  assert.deepEqual(
    [narrowed.resources, narrowed.limits, narrowed.passing, narrowed.context],
    [[{ resource: scene.api.identifier, scope: 'read' }], { uses: 5 }, { depth: 0 }, { country: ['DE'] }],
  );
  const wider = await cli('mandates', 'narrow', id, '--uses', '6');
  assert.equal(wider.code, exitCodes.usage.code, wider.err);
  assert.match(wider.err, /give a new mandate/);
  assert.match((await cli('mandates', 'pause', id)).out, new RegExp(`Until: bailiwick mandates resume ${id}`));
  assert.match((await cli('mandates', 'resume', id)).out, /Resumed/);
  const revoked = await cli('revoke', 'mandate', id, '--reason', 'odd trips', '--yes');
  assert.match(revoked.err, /mandates +1, of no use without it/);
  assert.match(
    revoked.err + revoked.out,
    /stops the mandate mdt_\w+ until it is resumed|Until: bailiwick mandates resume/,
  );
  assert.equal((await cli('mandates', 'end', id)).code, exitCodes.usage.code, 'what can not be undone is asked for');
  assert.match((await cli('mandates', 'end', id, '--yes')).out, /^Ended mdt_/);
  assert.match((await cli('mandates', 'end', id, '--yes')).out, /had ended already/);
  assert.match(
    (await cli('trace', id)).out,
    /was let act for a person.*\n[\s\S]*narrowed the mandate[\s\S]*ended the mandate/,
  );
});

for (const [what, args, says] of [
  ['nobody', ['give', 'AGENT', '--expires', '1h', '--permission', 'x=y'], /For whom/],
  ['no end', ['give', 'AGENT', '--for', 'PERSON'], /Until when/],
  ['nothing', ['give', 'AGENT', '--for', 'PERSON', '--expires', '1h'], /allows nothing/],
  ['a total that isn’t understood', ['narrow', 'mdt_01', '--total', 'payment=500'], /reads TYPE:AT=NUMBER/],
  ['uses that are no number', ['narrow', 'mdt_01', '--uses', 'some'], /--uses must be a whole number/],
  ['nothing to narrow', ['narrow', 'mdt_01'], /Nothing to narrow/],
  ['what is no id', ['show', 'travel'], /is not the id of a mandate/],
  [
    'a file that isn’t there',
    ['give', 'AGENT', '--for', 'PERSON', '--expires', '1h', '--permission', 'API=read', '--text', 'no.txt'],
    /no\.txt can't be read/,
  ],
] as const) {
  test(`refused: ${what}`, async () => {
    const known: Record<string, string> = { AGENT: nameOf(0), PERSON: scene.person };
    const ran = await cli('mandates', ...args.map((word) => known[word] ?? word.replace('API', scene.api.identifier)));
    assert.equal(ran.code, exitCodes.usage.code, ran.err);
    assert.match(ran.err, says);
  });
}

test('what agents ask each other for: who, of whom, what, and what became of it', async () => {
  const [a, b] = scene.agents as [Delegates['agents'][number], Delegates['agents'][number]];
  const ask = async (why: string) => {
    const resources = [{ resource: scene.api.identifier, scope: 'read', authorization_details: [{ type: 'payment' }] }];
    const { status, text, body } = await b.call('POST', '/mandates/requests', { from: a.id, resources, why });
    assert.equal(status, 201, text);
    return body.id as string;
  };
  const [first, second] = [await ask('to look up trips'), await ask('to look up more')];
  await a.call('POST', `/mandates/requests/${second}/refuse`, { reason: 'enough' });
  const idsOf = async (...more: string[]) =>
    (await cli.json<{ items: { id: string }[] }>('mandates', 'requests', ...more)).items.map(({ id }) => id);
  assert.deepEqual(await idsOf(), [first]);
  assert.deepEqual(await idsOf('--all', '--agent', nameOf(1)), [first, second]);
  assert.deepEqual(await idsOf('--all', '--agent', nameOf(0)), []);
  assert.deepEqual(await idsOf('--from', nameOf(0)), [first]);
  const { out } = await cli('mandates', 'requests', '--all');
  assert.match(out, /^AGENT +ASKS +FOR +WHY +STATUS +UNTIL +ID\n/);
  for (const part of [nameOf(1), nameOf(0), 'read {"type":"payment"}', 'to look up trips', 'pending', 'refused enough'])
    assert.ok(out.includes(part), `${part} in\n${out}`);
});
