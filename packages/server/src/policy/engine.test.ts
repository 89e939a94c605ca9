import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { context, decideBy, engine, permitAll, request } from '../testing/policy-request.ts';
import type { PolicyContext } from './request.ts';

const names = (answer: { determining: readonly { policy: string }[] }) =>
  answer.determining.map(({ policy }) => policy);

suite('what is decided', () => {
  test('without a policy: no', () => {
    assert.deepEqual([decideBy('').decision, names(decideBy(''))], ['deny', []]);
  });

  test('what is permitted, by which statement and why', () => {
    const answer = decideBy(
      '@id("readers") @reason("they read") @public permit(principal in Role::"reader", action, resource is Api);',
    );
    assert.equal(answer.decision, 'allow');
    assert.deepEqual(answer.determining, [
      { policy: 'p/readers', effect: 'permit', reason: 'they read', public: true },
    ]);
    assert.equal(decideBy('@id("x") permit(principal in Role::"writer", action, resource);').decision, 'deny');
  });

  test('a prohibition wins over any permission', () => {
    const answer = decideBy(
      `${permitAll} @id("no") forbid(principal, action, resource) when { context.binding == "dpop" };`,
    );
    assert.deepEqual([answer.decision, names(answer)], ['deny', ['p/no']]);
  });

  test('not yet, until all is there that prohibitions ask for; never, where one asks for nothing', () => {
    const stepUp = `${permitAll}
      @id("a") @step_up("approval, fresh_proof 60") forbid(principal, action, resource);
      @id("b") @step_up("fresh_proof 30") forbid(principal, action, resource);
      @id("c") @step_up("binding mtls") forbid(principal, action, resource);`;
    const answer = decideBy(stepUp);
    assert.deepEqual([answer.decision, names(answer)], ['step_up', ['p/a', 'p/b', 'p/c']]);
    assert.deepEqual(answer.requirements, [
      { type: 'approval' },
      { type: 'fresh_proof', max_age: 30 },
      { type: 'binding', binding: 'mtls' },
    ]);
    const never = decideBy(`${stepUp} @id("d") forbid(principal, action, resource);`);
    assert.deepEqual([never.decision, names(never), never.requirements], ['deny', ['p/d'], []]);
  });

  test('limits of all that permit are intersected, and no is what is left of nothing', () => {
    const limits = (a: string, b: string) =>
      decideBy(`@id("a") ${a} permit(principal, action, resource); @id("b") ${b} permit(principal, action, resource);`);
    const answer = limits(
      '@limit_ip("10.0.0.0/8, 192.0.2.1") @limit_lifetime("300")',
      '@limit_ip("10.1.0.0/16") @limit_lifetime("60") @limit_country("DE AT")',
    );
    assert.equal(answer.decision, 'allow');
    assert.deepEqual(answer.limits, { context: { ip: ['10.1.0.0/16'], country: ['AT', 'DE'] }, lifetimeSeconds: 60 });
    const hours = limits('@limit_hours("mon-fri 08:00-18:00 Europe/Berlin")', '@limit_zone("eu-1")');
    assert.deepEqual(hours.limits.context?.zone, ['eu-1']);
    assert.equal(hours.limits.context?.hours?.[0]?.tz, 'Europe/Berlin');
    const nowhere = limits('@limit_country("DE")', '@limit_country("AT")');
    assert.deepEqual([nowhere.decision, names(nowhere), nowhere.errors], ['deny', ['p/a', 'p/b'], []]);
  });

  test('what cannot be evaluated is no, a permission as much as a prohibition that Cedar would pass over', () => {
    const overflow = 'when { context.proof_age + 9223372036854775807 > 0 }';
    for (const effect of ['permit', 'forbid']) {
      const answer = decideBy(`${permitAll} @id("bad") ${effect}(principal, action, resource) ${overflow};`, {
        context: { proofAge: 1 },
      });
      assert.equal(answer.decision, 'deny', effect);
      assert.deepEqual(names(answer), ['p/bad']);
      assert.match(answer.errors[0]?.message ?? '', /overflow/);
    }
    const elsewhere = `${permitAll} @id("bad") forbid(principal in Role::"writer", action, resource) ${overflow};`;
    assert.equal(
      decideBy(elsewhere, { context: { proofAge: 1 } }).decision,
      'allow',
      'what does not apply is not evaluated',
    );
  });

  test('what is observed changes nothing, and is told where it would', () => {
    const set = engine.compile(
      [
        { name: 'real', text: permitAll, mode: 'enforce' },
        {
          name: 'draft',
          text: '@id("no") @reason("soon") forbid(principal, action, resource) when { context.chain_depth > 0 };',
          mode: 'observe',
        },
      ],
      '1',
    );
    const first = engine.evaluate(set, request);
    assert.deepEqual([first.decision, first.observed], ['allow', undefined]);
    const second = engine.evaluate(set, { ...request, context: { ...context, chainDepth: 1 } });
    assert.equal(second.decision, 'allow');
    assert.deepEqual(second.observed, {
      decision: 'deny',
      determining: [{ policy: 'draft/no', effect: 'forbid', reason: 'soon', public: false }],
      requirements: [],
    });
  });

  test('a question that the schema does not have is no', () => {
    const answer = decideBy(permitAll, {
      resource: { type: 'Tool', identifier: 'https://a.example', name: 'x', sensitivity: 'low' },
    });
    assert.equal(answer.decision, 'deny');
    assert.match(answer.errors[0]?.message ?? '', /token:issue is not for Agent and Tool/);
  });

  const wrong: [what: string, change: Partial<PolicyContext>][] = [
    ['a time that is none', { at: Number.NaN }],
    ['a time zone that is none', { timeZone: 'Nowhere/Land' }],
    ['a proof without an age', { proofAge: Number.POSITIVE_INFINITY }],
    ['half a delegation', { chainDepth: 0.5 }],
  ];
  for (const [what, change] of wrong) {
    test(`no: ${what}, where it is asked for`, () => {
      const text = `${permitAll} @id("no") forbid(principal, action, resource) when { context.time.hour > 24 || context.proof_age < 0 || context.chain_depth < 0 };`;
      const answer = decideBy(text, { context: change });
      assert.equal(answer.decision, 'deny');
      assert.equal(answer.errors.length, 1);
      assert.equal(decideBy(permitAll, { context: change }).decision, 'allow', 'nobody asked');
    });
  }

  test('country and zone are found out only where a policy mentions them', () => {
    const read: string[] = [];
    const watched: PolicyContext = Object.defineProperties(
      { ...context },
      {
        country: { get: () => (read.push('country') > 0 ? 'AT' : undefined) },
        zone: { get: () => void read.push('zone') },
      },
    );
    const ask = (text: string) =>
      engine.evaluate(engine.compile([{ name: 'p', text, mode: 'enforce' }], '1'), { ...request, context: watched });
    ask(`${permitAll} @id("else") forbid(principal in Role::"writer", action, resource) when { context has zone };`);
    assert.deepEqual(read, []);
    assert.equal(
      ask(
        `${permitAll} @id("no") forbid(principal, action, resource) when { context has country && context.country == "AT" };`,
      ).decision,
      'deny',
    );
    assert.deepEqual(read, ['country']);
  });

  test('explained: what became of every statement', () => {
    const set = engine.compile(
      [
        {
          name: 'p',
          mode: 'enforce',
          text: `${permitAll}
        @id("elsewhere") permit(principal in Role::"writer", action, resource);
        @id("later") permit(principal, action == Action::"resource:access", resource);
        @id("other") permit(principal, action, resource in Api::"https://other.example");
        @id("not") forbid(principal, action, resource) when { context.chain_depth > 3 };
        @id("broken") forbid(principal, action, resource) when { context.chain_depth * 9223372036854775807 == 1 && context.chain_depth - 9223372036854775807 - 2 == 0 };`,
        },
      ],
      '1',
    );
    const { answer, statements } = engine.explain(set, { ...request, context: { ...context, chainDepth: 2 } });
    assert.equal(answer.decision, 'deny');
    assert.deepEqual(
      statements.map(({ policy, outcome, because }) => [policy, outcome, because]),
      [
        ['p/all', 'satisfied', undefined],
        ['p/elsewhere', 'out_of_scope', 'principal'],
        ['p/later', 'out_of_scope', 'action'],
        ['p/other', 'out_of_scope', 'resource'],
        ['p/not', 'not_satisfied', undefined],
        ['p/broken', 'error', undefined],
      ],
    );
  });

  test('named: entities and foreign operations', () => {
    const set = engine.compile(
      [
        {
          name: 'p',
          mode: 'enforce',
          text: `@id("x") permit(principal == Subject::"user:alice", action == Action::"resource:access", resource is Object)
        when { context has operation && (context.operation == "can_read" || ["can_write", "can_delete"].contains(context.operation)) && [Object::"record:1"].contains(resource) }
        unless { principal in [Role::"a", Role::"b"] };`,
        },
      ],
      '1',
    );
    const { entities, operations } = engine.named(set);
    assert.deepEqual(entities.map(({ type, id }) => `${type} ${id}`).sort(), [
      'Object record:1',
      'Role a',
      'Role b',
      'Subject user:alice',
    ]);
    assert.deepEqual(operations.sort(), ['can_delete', 'can_read', 'can_write']);
  });
});
