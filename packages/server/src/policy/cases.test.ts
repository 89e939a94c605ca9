import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { caseFile, parseCases, runCases } from './cases.ts';
import { loadPolicyEngine } from './engine.ts';

const engine = await loadPolicyEngine();
const set = engine.compile(
  [
    {
      name: 'night',
      mode: 'enforce',
      text: `
        @id("no-export-at-night") @step_up("approval, fresh_proof 60")
        forbid(principal, action == Action::"token:issue", resource in Api::"https://crm.example/api")
        when { context.scope.contains("crm:export") && context.time.hour < 6 };
        @id("exporters") @limit_lifetime("300") @limit_ip("10.0.0.0/8")
        permit(principal in Role::"exporter", action, resource);
        @id("owners-of-records")
        permit(principal is Subject, action == Action::"resource:access", resource is Object)
        when { resource.hasTag("owner") && resource.getTag("owner") == principal.id };`,
    },
  ],
  'draft',
);

const run = (yaml: string) => runCases(engine, set, parseCases(parse(yaml)));

suite('cases beside policies', () => {
  test('pass where all that they say is so', () => {
    const outcomes = run(`
cases:
  - name: by day
    principal: { name: sync, roles: [exporter] }
    resource: https://crm.example/api
    context: { scope: [crm:export] }
    expect: allow
    by: [night/exporters]
    limits: { lifetime_seconds: 300, ctx: { ip: [10.0.0.0/8] } }
  - name: at two in Vienna, which is one o'clock UTC
    principal: { name: sync, roles: [exporter], kind: workload, environment: sandbox, owner: tea_1, attested: { zone: eu } }
    action: token:issue
    resource: { api: https://crm.example/api, sensitivity: high }
    context: { at: 2026-11-23T02:00:00+01:00, time_zone: Europe/Vienna, scope: [crm:export], task: { workflow: sync }, zone: eu-1 }
    expect: step_up
    by: [night/no-export-at-night]
    requirements: [fresh_proof 60, approval]
  - name: a record of hers
    principal: { subject: { type: user, id: alice } }
    action: resource:access
    resource: { type: record, id: "1", properties: { owner: alice } }
    expect: allow
  - name: a tool, without the role
    principal: { name: sync }
    action: resource:access
    resource: { api: https://tools.example/mcp, tool: export }
    expect: deny
    by: []
`);
    for (const { name, differences } of outcomes) assert.deepEqual(differences, [], name);
    assert.deepEqual(
      outcomes.map(({ passed }) => passed),
      [true, true, true, true],
    );
  });

  test('say what was expected and what came', () => {
    const [wrong, named] = run(`
cases:
  - name: wrong in everything
    principal: { name: sync, roles: [exporter] }
    resource: https://crm.example/api
    expect: deny
    by: [night/no-export-at-night]
    requirements: [task]
    limits: {}
  - name: names what is not there
    principal: { name: sync }
    resource: https://crm.example/api
    expect: deny
    by: [night/exportes]
`);
    assert.equal(wrong?.passed, false);
    assert.deepEqual(wrong?.differences, [
      'expected deny, got allow by night/exporters',
      'expected to be decided by night/no-export-at-night, was by night/exporters',
      'expected to require task, required nothing',
      'expected a lifetime of any seconds, got 300',
      'expected the context {}, got {"ip":["10.0.0.0/8"]}',
    ]);
    assert.deepEqual(named?.differences, [
      'there is no statement night/exportes in these policies. Did you mean "night/exporters"?',
      'expected to be decided by night/exportes, was by nothing',
    ]);
  });

  const rejections: [what: string, change: Record<string, unknown>, message: RegExp][] = [
    ['an unknown member', { expct: 'deny' }, /expct/],
    ['an unknown outcome', { expect: 'maybe' }, /must be allow, deny or step_up/],
    ['an unknown action', { action: 'token:isue' }, /must be token:issue, .* or lease:create/],
    ['a time without its offset', { context: { at: '2026-11-23T02:00:00' } }, /must be a time with its offset/],
    ['an unknown time zone', { context: { time_zone: 'Europe/Wien' } }, /must be the name of a time zone/],
    ['an unknown circumstance', { context: { adress: '10.0.0.1' } }, /adress/],
    ['a requirement that is none', { requirements: ['patience'] }, /must be approval, fresh_proof/],
    ['a context that is none', { limits: { ctx: { ip: ['10.0.0.0/99'] } } }, /is no context/],
    [
      'a resource of two kinds',
      { resource: { api: 'https://a.example', tool: 'x', operation: 'y' } },
      /must be the identifier/,
    ],
    ['a sensitivity that is none', { resource: { api: 'https://a.example', sensitivity: 'huge' } }, /must be/],
    ['half a second', { context: { proof_age: 0.5 } }, /whole number/],
  ];
  for (const [what, change, message] of rejections) {
    test(`refuse ${what}`, () => {
      const usual = { name: 'x', principal: { name: 'a' }, resource: 'https://a.example', expect: 'deny' };
      assert.equal(caseFile.safeParse({ cases: [usual] }).success, true);
      const { error } = caseFile.safeParse({ cases: [{ ...usual, ...change }] });
      assert.match(JSON.stringify(error && z.treeifyError(error)) ?? '', message);
    });
  }
});
