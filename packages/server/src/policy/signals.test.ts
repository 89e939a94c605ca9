/** What policies say about security signals: only what names the action, and nothing by default. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCedar } from './cedar.ts';
import { createPolicyEngine } from './engine.ts';
import type { SignalContext, SignalRequest } from './request.ts';
import { starterPolicies } from './starter.ts';

const engine = createPolicyEngine(openCedar());

const request = (context: Partial<SignalContext>, roles: string[] = ['reader']): SignalRequest => ({
  principal: { type: 'Source', id: 'ssr_1', name: 'okta', issuer: 'https://okta.example' },
  action: 'signal:apply',
  resource: {
    type: 'Agent',
    id: 'agt_1',
    name: 'desk',
    kind: 'ai_agent',
    environment: 'production',
    owner: 'per_1',
    roles,
    instance: undefined,
    attested: {},
  },
  context: {
    at: Date.UTC(2026, 10, 1, 9),
    timeZone: 'UTC',
    event: 'session-revoked',
    effect: 'revoke',
    concerns: 'agent',
    claims: {},
    ...context,
  },
});

const decide = (text: string, asked: SignalRequest) => {
  const set = engine.compile([{ name: 'p', text, mode: 'enforce' }], text);
  return engine.evaluate(set, asked);
};
const naming = (rest: string, head = 'principal, action == Action::"signal:apply", resource') =>
  `@id("one") permit (${head}) ${rest};`;

const starter = starterPolicies.map(({ text }) => text).join('\n');

for (const [what, context, decision] of [
  ['a revoked session ends tokens', {}, 'allow'],
  ['a revoked session does not suspend', { effect: 'suspend' }, 'deny'],
  ...(['revoke', 'delete'] as const).map(
    (change_type) =>
      [
        `a credential change (${change_type}) suspends`,
        { event: 'credential-change', effect: 'suspend', claims: { change_type } },
        'allow',
      ] as const,
  ),
  [
    'a new credential does nothing',
    { event: 'credential-change', effect: 'suspend', claims: { change_type: 'create' } },
    'deny',
  ],
  ['a credential change without its kind does nothing', { event: 'credential-change', effect: 'suspend' }, 'deny'],
  ['high risk suspends', { event: 'risk-level-change', effect: 'suspend', claims: { current_level: 'HIGH' } }, 'allow'],
  [
    'medium risk does nothing',
    { event: 'risk-level-change', effect: 'suspend', claims: { current_level: 'MEDIUM' } },
    'deny',
  ],
  ['an event that nobody thought of does nothing', { event: 'session-presented' }, 'deny'],
] as const satisfies readonly (readonly [string, Partial<SignalContext>, string])[]) {
  test(`by the starter policies: ${what}`, () => {
    const answer = decide(starter, request(context));
    assert.equal(answer.decision, decision);
    assert.deepEqual(answer.errors, []);
  });
}

test('nothing is allowed by what does not name the action, nor forbidden', () => {
  const wide = '@id("all") permit (principal, action, resource);';
  assert.equal(decide(wide, request({})).decision, 'deny');
  const both = `@id("no") forbid (principal, action, resource) when { resource.sensitivity == "high" };\n${naming('')}`;
  assert.equal(decide(both, request({})).decision, 'allow');
  assert.deepEqual(decide(both, request({})).errors, []);
});

test('statements see the source, the agent with its roles, and what the event says', () => {
  assert.equal(decide(naming('when { principal.issuer == "https://okta.example" }'), request({})).decision, 'allow');
  assert.equal(
    decide(naming('', 'principal == Source::"okta", action in [Action::"signal:apply"], resource'), request({}))
      .decision,
    'allow',
  );
  assert.equal(
    decide(naming('', 'principal == Source::"other", action == Action::"signal:apply", resource'), request({}))
      .decision,
    'deny',
  );
  const held = naming('', 'principal, action == Action::"signal:apply", resource in Role::"reader"');
  assert.equal(decide(held, request({})).decision, 'allow');
  assert.equal(decide(held, request({}, ['writer'])).decision, 'deny');
  const within = naming('when { resource in Role::"reader" && resource.kind == "ai_agent" }');
  assert.equal(decide(within, request({})).decision, 'allow');
  assert.equal(decide(within, request({}, [])).decision, 'deny');
  const claims = naming(
    'when { context has risk_reason && context.risk_reason like "*LEAK*" && context.concerns == "owner" }',
  );
  assert.equal(decide(claims, request({ concerns: 'owner', claims: { risk_reason: 'A LEAK' } })).decision, 'allow');
  assert.equal(decide(claims, request({ concerns: 'owner', claims: {} })).decision, 'deny');
  assert.equal(decide(naming('when { context.time.hour < 12 }'), request({})).decision, 'allow');
  const forbidding = `${naming('')}\n@id("no") forbid (principal, action == Action::"signal:apply", resource == Agent::"desk");`;
  assert.equal(decide(forbidding, request({})).decision, 'deny');
});

for (const [what, text, message] of [
  ['words that signals do not have', naming('when { context.address.isLoopback() }'), /address/],
  ['a claim that may be missing', naming('when { context.current_level == "HIGH" }'), /current_level/],
  ['a source that decides about tokens', '@id("x") permit (principal is Source, action, resource);', /never apply/],
] as const) {
  test(`refused: ${what}`, () => {
    assert.throws(() => engine.check(text, 'p'), message);
  });
}
