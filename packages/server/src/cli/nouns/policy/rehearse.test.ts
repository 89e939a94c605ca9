import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type CommandLine, commandLine } from '../../../testing/command-line.ts';
import { startServer, type TestServer } from '../../../testing/harness.ts';
import { type TokenClient, tokenClient } from '../../../testing/token-client.ts';

const morning = (identifier: string) => `@id("from-noon")
@reason("Not before noon.")
@step_up("task")
forbid (principal, action == Action::"token:issue", resource == Api::"${identifier}")
when { context.time.hour < 12 };
`;

const casesOf = (identifier: string, expected: string) => `cases:
  - name: in the morning
    principal: { name: desk }
    resource: ${identifier}
    context: { at: 2026-01-05T09:00:00Z }
    expect: ${expected}
  - name: in the afternoon
    principal: { name: desk }
    resource: ${identifier}
    context: { at: 2026-01-05T15:00:00Z }
    expect: allow
    by: [starter/roles-do-what-they-say]
`;

suite('policy test', () => {
  let cli: CommandLine;
  const identifier = 'https://api.example';
  before(() => {
    cli = commandLine();
    for (const folder of ['good', 'bad', 'wrong', 'bare', 'mistaken']) mkdirSync(path.join(cli.folder, folder));
    cli.write('good/noon.cedar', morning(identifier));
    cli.write('good/noon.cases.yaml', casesOf(identifier, 'step_up'));
    cli.write('good/other.cedar', '@id("all")\nforbid (principal, action, resource);\n');
    cli.write('bad/noon.cedar', morning(identifier));
    cli.write('bad/noon.cases.yaml', casesOf(identifier, 'deny'));
    cli.write('wrong/noon.cedar', morning(identifier).replace('hour', 'hours'));
    cli.write('wrong/noon.cases.yaml', casesOf(identifier, 'deny'));
    cli.write('bare/noon.cedar', morning(identifier));
    cli.write('mistaken/noon.cedar', morning(identifier));
    cli.write('mistaken/noon.cases.yaml', casesOf(identifier, 'deny').replace('expect: deny', 'expects: deny'));
  });
  after(() => cli.close());

  test('a policy is asked beside the starter set, and not beside the others of its folder', async () => {
    for (const given of ['good', 'good/noon.cedar', 'good/noon.cases.yaml']) {
      const { code, out, err } = await cli('policy', 'test', given);
      assert.equal(code, 0, out + err);
      assert.match(out, /^good\/noon\.cases\.yaml: 2 cases$/m);
      assert.match(out, /All 2 cases are as they should be/);
      assert.equal(/Without cases: other/.test(out), given === 'good');
    }
  });

  test('a failing case is told with what came, and ends with 1', async () => {
    const { code, out } = await cli('policy', 'test', 'bad');
    assert.equal(code, 1);
    assert.match(
      out,
      /^bad\/noon\.cases\.yaml: 1 of 2 cases failed\n {2}in the morning\n {4}expected deny, got step_up by noon\/from-noon/m,
    );
    const json = await cli('policy', 'test', 'bad', '--json');
    assert.equal(json.code, 1);
    const told = JSON.parse(json.out);
    assert.deepEqual(
      [told.passed, told.failed, told.suites[0].cases[1].by],
      [false, 1, ['starter/roles-do-what-they-say']],
    );
  });

  test('together they are asked as an organization has them; without the starter set nothing permits', async () => {
    const together = await cli('policy', 'test', 'good', '--together');
    assert.equal(together.code, 1);
    assert.match(together.out, /in the afternoon\n {4}expected allow, got deny by other\/all/);
    const alone = await cli('policy', 'test', 'good/noon.cedar', '--no-starter');
    assert.equal(alone.code, 1);
    assert.match(alone.out, /in the afternoon\n {4}expected allow, got deny, since nothing permits it/);
  });

  const refused: [what: string, argv: string[], words: RegExp][] = [
    ['a policy that can not be read', ['wrong'], /wrong\/noon\.cedar:5:\d+: .*hours/],
    ['policies without any case', ['bare'], /There are no cases/],
    ['a case that says what there is not', ['mistaken'], /mistaken\/noon\.cases\.yaml line \d+: cases\.0\.expect/],
    ['what is neither', ['good/noon.cedar', 'nothing.txt'], /no file or folder nothing\.txt/],
  ];
  for (const [what, argv, words] of refused) {
    test(`refuses ${what}`, async () => {
      const { code, err } = await cli('policy', 'test', ...argv);
      assert.equal(code, 2, err);
      assert.match(err, words);
    });
  }
});

suite('policy simulate and explain', () => {
  let server: TestServer;
  let cli: CommandLine;
  let client: TokenClient;
  let name: string;
  before(async () => {
    server = await startServer();
    cli = commandLine(server);
    client = await tokenClient(server);
    name = (await server.admin<{ name: string }>('GET', `/agents/${client.clientId}`)).name;
    cli.write('noon.cedar', morning(client.identifier));
    for (let n = 0; n < 3; n += 1) await client.send();
    await server.admin('POST', '/agents', { name: 'idle', kind: 'workload', owner: client.owner });
  });
  after(async () => {
    cli.close();
    await server.close();
  });

  test('simulate tells who would lose, by what and how often, and saves nothing', async () => {
    const { code, out, err } = await cli('policy', 'simulate', '--since', '7d', 'noon.cedar');
    assert.equal(code, 0, err);
    assert.match(out, /^Would be refused what is allowed now \(3\)$/m);
    assert.match(
      out,
      new RegExp(`^${name} +token:issue +${client.identifier} +3 .* noon/from-noon \\(not yet\\)$`, 'm'),
    );
    assert.match(out, /^3 decisions of the last 7 d asked again\./m);
    assert.doesNotMatch((await cli('policy', 'list')).out, /noon/);
    const told = await cli.json<{ complete: boolean; differences: { count: number }[] }>(
      'policy',
      'simulate',
      'noon.cedar',
    );
    assert.deepEqual([told.complete, told.differences.map(({ count }) => count)], [true, [3]]);
  });

  test('it stops where it was told to, and says so; what does not exist is refused', async () => {
    const { out } = await cli('policy', 'simulate', 'noon.cedar', '--most', '2');
    assert.match(out, /It stopped there: --most 2 was reached/);
    const { code, err } = await cli('policy', 'simulate', '--remove', 'nights');
    assert.deepEqual([code, /must be the name of a policy/.test(err)], [2, true]);
    assert.match((await cli('policy', 'simulate', '--remove', 'starter')).out, /nothing permits it/);
  });

  test('explain goes layer by layer, and says what it would take', async () => {
    const about = ['policy', 'explain', name, '--resource', client.identifier];
    const yes = await cli(...about);
    assert.equal(yes.code, 0, yes.err);
    assert.match(yes.out, new RegExp(`^${name}: yes\n\n {2}alive +yes +The agent and its organization are active\\.`));
    await cli('policy', 'save', 'noon.cedar', '--reason', 'x', '--yes');
    const { out } = await cli(...about);
    assert.match(out, new RegExp(`^${name}: not yet\\. It may not get the token yet: noon/from-noon wants more\\.`));
    assert.match(out, /^ {2}It would take a task that an orchestrator has opened\.$/m);
    assert.match((await cli(...about, '--at', '2026-11-01T15:00:00Z')).out, /: yes$/m);
    const all = await cli('policy', 'explain', '--resource', client.identifier, '--scope', 'tickets:read');
    assert.match(all.out, /^Nobody may\.\n\nAGENT +MAY +WHY +ID\n/);
    assert.match(all.out, new RegExp(`^${name} +not yet +It may not get the token yet: .* ${client.clientId}$`, 'm'));
    assert.match(all.out, /^2 others do not have this resource at all \(--all names them\)\.$/m);
    assert.doesNotMatch(all.out, /may not \(--all/);
    const one = [...about, '--at', '2026-11-23T02:12:00Z'];
    assert.match((await cli(...one)).out, /^asked as of Mon 02:12 UTC \(the organization's time zone: UTC\)$/m);
    const both = await cli.json<{ says: string; decision: string }>(
      ...about,
      ...['--scope', 'tickets:read,tickets:write', '--at', '2026-11-01T15:00:00Z'],
    );
    assert.match(both.says, /^Given by the role role-\w+; starter\/roles-do-what-they-say permits it\.$/);
    const task = await cli(...about, '--workflow', 'month-end');
    assert.match(task.out, /The task is supposed/);
    const known = await cli.json<{ about: string; decision: string }>(...about);
    assert.deepEqual([known.about, known.decision], ['agent', 'step_up']);
  });

  test('explain tells why something was decided, and whether it would be today', async () => {
    await client.send();
    const [event] = (await server.admin<{ items: { id: string }[] }>('GET', `/events?agent=${client.clientId}&limit=1`))
      .items;
    const then = await cli('policy', 'explain', '--event', event?.id ?? '');
    assert.equal((await cli('policy', 'explain', name, '--last')).out, then.out);
    assert.match(then.out, /^token\.refused at .*\n.*Today's policies decide the same\./);
    await cli('policy', 'observe', 'noon', '--reason', 'x', '--yes');
    const now = await cli('policy', 'explain', '--event', event?.id ?? '');
    assert.match(now.out, /^The policies of that time \(revision 2\): not yet$/m);
    assert.match(now.out, /^ {2}noon\/from-noon \(observed\) would not allow it yet\.$/m);
    assert.match(now.out, /^asked as of Sun 09:\d\d UTC \(the organization's time zone: UTC\)$/m);
    assert.match(
      now.out,
      /^The policies of today \(revision 3\): yes\n {2}noon\/from-noon {2}forbids token:issue, observed only$/m,
    );
  });

  test('explain tells limits in words, and whose they are', async () => {
    const limiting = `@id("limited")\n@limit_hours("tue-fri 08:00-18:00 UTC")\n@limit_lifetime("60")\npermit (principal, action, resource == Api::"${client.identifier}");\n`;
    cli.write('hours2.cedar', limiting);
    await cli('policy', 'save', 'hours2.cedar', '--reason', 'x', '--yes');
    const { out } = await cli('policy', 'explain', name, '--resource', client.identifier);
    const words = 'imited by policy hours2/limited: tue-fri 08:00-18:00 UTC';
    assert.match(out, new RegExp(`^${name}: no\\. L${words}; it was Sun 09:\\d\\d there\\.$`, 'm'));
    assert.match(out, new RegExp(`^ {2}Its token would be l${words}\\.$`, 'm'));
    assert.match(out, /^ {2}Its token would live for at most 60 seconds, by policy hours2\/limited\.$/m);
    assert.doesNotMatch(out, /[{}]/);
    await client.send();
    const last = await cli('policy', 'explain', name, '--last');
    assert.match(last.out, /refused: outside of the limits of policy hours2\/limited: hours$/m);
    assert.match(last.out, new RegExp(`^It may not get the token: l${words}; it was Sun 09:`, 'm'));
    await cli('policy', 'remove', 'hours2', '--reason', 'x', '--yes');
  });

  const refused: [what: string, argv: string[], code: number, words: RegExp][] = [
    [
      'a workflow that no task could have',
      ['NAME', '--resource', 'RESOURCE', '--workflow', 'Month-End'],
      2,
      /lowercase/,
    ],
    ['the last of nobody', ['--last'], 2, /--last is about an agent/],
    ['the last of who asked for nothing', ['idle', '--last'], 5, /The log tells of no token/],
    ['nothing', [], 2, /Name what would be asked for/],
    ['an event of an agent', ['desk', '--event', 'x'], 2, /names its agent and resource itself/],
    ['an agent that is not there', ['desk', '--resource', 'RESOURCE'], 5, /no agent "desk"/],
    ['everybody without a scope', ['--resource', 'RESOURCE'], 2, /^--scope must be there/],
    ['a step without a workflow', ['--resource', 'RESOURCE', '--step', 'x'], 2, /--workflow/],
    [
      'a task that is made up and real',
      ['--resource', 'RESOURCE', '--task', 'x', '--workflow', 'y'],
      2,
      /--task names a task/,
    ],
  ];
  for (const [what, argv, code, words] of refused) {
    test(`explain refuses ${what}`, async () => {
      const said = await cli(
        'policy',
        'explain',
        ...argv.map((word) => (word === 'RESOURCE' ? client.identifier : word === 'NAME' ? name : word)),
      );
      assert.equal(said.code, code, said.err);
      assert.match(said.err, words);
    });
  }
});
