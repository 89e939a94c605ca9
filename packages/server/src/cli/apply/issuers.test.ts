/** Whose word lets agents act for people, and who people are there, as a file says it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, beforeEach, test } from 'node:test';
import { parse } from 'yaml';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';
import type { Person, TrustedIssuer } from '../registry.ts';
import { fleetSchema } from './fleet.ts';

const login = 'https://login.example.com';
const fleet = `
people:
  Ada Lovelace: { identities: [{ issuer: ${login}, subject: "2482" }] }
teams: { ops: {} }
resources:
  trips:
    identifier: https://trips.example.com
    scopes: { trips:read: See, trips:book: Book }
    details_types:
      payment:
        schema: { type: object, properties: { amount: { type: number } } }
        compare: { amount: at_most }
agents:
  desk: { owner: ops, resources: [trips] }
  helper: { owner: ops, resources: [trips] }
trusted_issuers:
  ${login}:
    jwks_uri: https://localhost:1/jwks
    algorithms: [RS256, ES256]
    accepts: [id_token, access_token]
    audiences: [assistant-app]
    max_age_seconds: 900
    rules:
      - name: leads
        claims: { hd: { exact: example.com }, groups: { glob: org/*/leads } }
        person: verified_email
        agents: [helper, desk]
        resources:
          trips:
            scope: [trips:read, trips:book]
            details: [{ type: payment, amount: 100 }]
        context: { ip: [10.0.0.0/8] }
        task: { workflow: travel }
        passing: { depth: 1, to: [helper] }
        max_lifetime_seconds: 120
        within_scope: true
      - name: staff
        agents: [desk]
        resources: { trips: [trips:read] }
`;

let server: TestServer;
let cli: CommandLine;
const close = async () => {
  cli?.close();
  await server?.close();
};
beforeEach(async () => {
  await close();
  server = await startServer();
  cli = commandLine(server);
});
after(close);

/** Applies it, which must do; a second time it changes nothing. */
async function apply(text: string, ...flags: string[]): Promise<string> {
  cli.write('fleet.yaml', text);
  const { code, out, err } = await cli('apply', '-f', 'fleet.yaml', '--yes', ...flags);
  assert.equal(code, 0, err);
  assert.match((await cli('apply', '-f', 'fleet.yaml', '--dry-run', ...flags)).out, /^Nothing to change/);
  return out;
}

const all = async () => (await cli.json<{ items: TrustedIssuer[] }>('issuers', 'list')).items;

test('trusted with all that it says, beside people and agents that are new', async () => {
  assert.match(await apply(fleet), /\+ trusted issuer https:\/\/login\.example\.com\n {4}jwks_uri: /);
  const [issuer, ...others] = await all();
  assert.deepEqual(others, []);
  const [desk, helper] = await Promise.all(
    ['desk', 'helper'].map(async (name) => (await cli.json<{ id: string }>('agents', 'show', name)).id),
  );
  const { jwks_uri, algorithms, accepts, audiences, max_age_seconds, rules } = issuer as TrustedIssuer;
  assert.deepEqual(
    { jwks_uri, algorithms, accepts, audiences, max_age_seconds },
    {
      jwks_uri: 'https://localhost:1/jwks',
      algorithms: ['RS256', 'ES256'],
      accepts: ['id_token', 'access_token'],
      audiences: ['assistant-app'],
      max_age_seconds: 900,
    },
  );
  assert.deepEqual(rules, [
    {
      name: 'leads',
      claims: { hd: { exact: 'example.com' }, groups: { glob: 'org/*/leads' } },
      person: 'verified_email',
      agents: [helper, desk],
      resources: [
        {
          resource: 'https://trips.example.com',
          scope: 'trips:read trips:book',
          authorization_details: [{ type: 'payment', amount: 100 }],
        },
      ],
      context: { ip: ['10.0.0.0/8'] },
      task: { workflow: 'travel' },
      passing: { depth: 1, to: [helper] },
      max_lifetime_seconds: 120,
      within_scope: true,
    },
    {
      name: 'staff',
      claims: {},
      person: 'identity',
      agents: [desk],
      resources: [{ resource: 'https://trips.example.com', scope: 'trips:read' }],
      passing: { depth: 0 },
      within_scope: false,
    },
  ]);
  const { identities } = await cli.json<Person>('people', 'show', 'Ada Lovelace');
  assert.deepEqual(identities, [{ issuer: login, subject: '2482' }]);
});

test('what the file says otherwise is changed, rule by rule and in their order; what it leaves out stays', async () => {
  await apply(fleet);
  const [before] = await all();
  const less = fleet
    .replace('    audiences: [assistant-app]\n', '')
    .replace('max_age_seconds: 900', 'max_age_seconds: 60')
    .replace('agents: [desk]', 'agents: [desk, helper]')
    .replace('subject: "2482"', 'subject: "2483"');
  const out = await apply(less);
  assert.match(out, /~ person Ada Lovelace\n {4}identities:\n {6}- 2482 at https.*\n {6}\+ 2483 at https/);
  assert.match(
    out,
    /~ trusted issuer https\S+\n {4}max_age_seconds: 900 → 60\n {4}rules:\n {6}- 2\. staff .*\n {6}\+ 2\. staff /,
  );
  const [after] = await all();
  assert.equal(after?.id, before?.id);
  assert.deepEqual(
    [after?.audiences, after?.max_age_seconds, after?.rules[1]?.agents.length],
    [['assistant-app'], 60, 2],
  );

  const [head = '', leads = '', staff = ''] = less.split(/(?= {6}- name)/);
  assert.match(await apply(head + staff + leads), /\+ 1\. staff .*\n {6}\+ 2\. leads /);
  const names = async () => (await all())[0]?.rules.map(({ name }) => name);
  assert.deepEqual(await names(), ['staff', 'leads']);
  assert.match(await apply(head + staff), /- 2\. leads /);
  assert.deepEqual(await names(), ['staff']);
});

test('taken out it stays, and ends with --prune where the file names others; suspended it stays so', async () => {
  await apply(fleet);
  await cli.json('issuers', 'suspend', login);
  await apply(fleet);
  assert.deepEqual(
    (await all()).map(({ status }) => status),
    ['suspended'],
  );
  const gone = fleet.slice(0, fleet.indexOf('trusted_issuers:'));
  await apply(gone, '--prune');
  const other = fleet.replace(`  ${login}:\n`, '  https://other.example.com:\n');
  await apply(other);
  assert.equal((await all()).length, 2);
  const out = await apply(other, '--prune');
  assert.match(out, /- trusted issuer https:\/\/login\.example\.com\n[\s\S]*--prune ends .*: 1 trusted issuer\./);
  assert.deepEqual(
    (await all()).map(({ issuer }) => issuer),
    ['https://other.example.com'],
  );
});

test('what leads nowhere is named with its line, before anything is done', async () => {
  const at = `trusted_issuers.${login}.rules`;
  for (const [from, to, says] of [
    ['agents: [desk]', 'agents: [dsk]', `${at}.1.agents.0 names "dsk"`],
    ['resources: { trips: [', 'resources: { trps: [', `${at}.1.resources.trps names`],
    ['{ trips: [trips:read] }', '{ trips: [trips:fly] }', "scopes that the resource doesn't have: trips:fly"],
    ['to: [helper]', 'to: [hlper]', `${at}.0.passing.to.0 names "hlper"`],
    ['{ exact: example.com }', '{ like: example.com }', `${at}.0.claims.hd.like is not known`],
    ['person: verified_email', 'person: email', 'must be one of identity, verified_email'],
    ['[RS256, ES256]', '[HS256]', 'must be one of'],
    [', subject: "2482"', '', 'people.Ada Lovelace.identities.0'],
  ] as const) {
    assert.ok(fleet.includes(from), from);
    cli.write('fleet.yaml', fleet.replace(from, to));
    const { code, out, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
    assert.equal(code, exitCodes.usage.code, out);
    assert.equal(out, '', 'nothing is shown, and nothing done');
    assert.ok(err.includes(says), err);
    assert.match(err, /line \d+/);
  }
});

test('the file of the guide says the same rule as its JSON', () => {
  const page = readFileSync(new URL('../../../../../docs/guides/trusted-issuers.md', import.meta.url), 'utf8');
  const [, rules = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  const [, file = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  const said = fleetSchema.parse(parse(file));
  assert.deepEqual(Object.keys(said.people), ['Ada Lovelace']);
  const [wanted] = JSON.parse(rules);
  const [rule] = said.trusted_issuers['https://login.example.com']?.rules ?? [];
  assert.deepEqual(
    [rule?.name, rule?.claims, rule?.max_lifetime_seconds],
    [wanted.name, wanted.claims, wanted.max_lifetime_seconds],
  );
});
