import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { loadPolicyEngine, PolicyError } from './engine.ts';
import type { AgentPrincipal, PolicyContext, PolicyRequest } from './request.ts';

const engine = await loadPolicyEngine();

const desk: AgentPrincipal = {
  type: 'Agent',
  id: 'agt_1',
  name: 'desk',
  kind: 'ai_agent',
  environment: 'production',
  owner: 'tea_1',
  roles: ['reader'],
  instance: undefined,
  attested: { zone: 'eu' },
};

const around: PolicyContext = {
  at: Date.UTC(2026, 10, 23, 8, 30),
  timeZone: 'Europe/Vienna',
  address: '10.1.2.3',
  country: 'AT',
  zone: undefined,
  task: undefined,
  binding: 'dpop',
  method: 'private_key_jwt',
  proofAge: 1.5,
  scope: ['tickets:read'],
  details: [],
  chainDepth: 0,
  subject: undefined,
  operation: undefined,
};

const usual: PolicyRequest = {
  principal: desk,
  action: 'token:issue',
  resource: { type: 'Api', identifier: 'https://tickets.example', name: 'Tickets', sensitivity: 'low' },
  context: around,
};

/** What a text alone decides about the usual request, changed. */
function decide(
  text: string,
  change: Partial<Omit<PolicyRequest, 'context'>> & { context?: Partial<PolicyContext> } = {},
) {
  const set = engine.compile([{ name: 'p', text, mode: 'enforce' }], '1');
  return engine.evaluate(set, { ...usual, ...change, context: { ...around, ...change.context } });
}

suite('what is decided', () => {
  test('without a policy: no', () => {
    assert.equal(decide('').decision, 'deny');
    assert.deepEqual(decide('').determining, []);
  });

  test('what is permitted, and by which statement', () => {
    const answer = decide(
      '@id("readers") @reason("they read") permit(principal in Role::"reader", action, resource is Api);',
    );
    assert.equal(answer.decision, 'allow');
    assert.deepEqual(answer.determining, [
      { policy: 'p/readers', effect: 'permit', reason: 'they read', public: false },
    ]);
  });
});

test('a mistake is told with its place', () => {
  assert.throws(
    () =>
      engine.compile(
        [
          {
            name: 'p',
            text: '@id("x")\npermit(principal, action, resource) when {\n "é" == "é" && context.tisk.id == "x"};',
            mode: 'enforce',
          },
        ],
        '1',
      ),
    (error) => {
      assert.ok(error instanceof PolicyError);
      assert.deepEqual([error.policy, error.line, error.column, error.expected], ['p', 3, 16, 'did you mean `task`?']);
      return true;
    },
  );
});
