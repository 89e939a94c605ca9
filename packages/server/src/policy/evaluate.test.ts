import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { agentPrincipal, context, decideBy, permitAll, request } from '../testing/policy-request.ts';
import { openCedar } from './cedar.ts';
import { createPolicyEngine, type PolicySource } from './engine.ts';

suite('time', () => {
  const at = (text: string, instant: string, timeZone: string) =>
    decideBy(`${permitAll} @id("no") forbid(principal, action, resource) when { ${text} };`, {
      context: { at: Date.parse(instant), timeZone },
    }).decision === 'deny';

  const truths: [words: string, instant: string, zone: string][] = [
    ['context.time.hour == 1 && context.time.minutes == 119', '2026-03-29T00:59:59.999Z', 'Europe/Vienna'],
    // the hour from two to three is not there
    ['context.time.hour == 3 && context.time.minutes == 180', '2026-03-29T01:00:00Z', 'Europe/Vienna'],
    // the hour from two to three is there twice
    ['context.time.hour == 2 && context.time.minute == 30', '2026-10-25T00:30:00Z', 'Europe/Vienna'],
    ['context.time.hour == 2 && context.time.minute == 30', '2026-10-25T01:30:00Z', 'Europe/Vienna'],
    ['context.time.date == "2026-11-22" && context.time.weekday == "sun"', '2026-11-23T04:59:00Z', 'America/New_York'],
    ['context.time.hour == 0 && context.time.minutes == 0', '2026-11-23T00:00:30Z', 'UTC'],
    ['context.time.hour == 5 && context.time.minute == 45', '2026-11-23T00:00:00Z', 'Asia/Kathmandu'],
    ['context.now == datetime("2026-11-23T02:00:00+0100")', '2026-11-23T01:00:59.999Z', 'Europe/Vienna'],
  ];
  for (const [words, instant, zone] of truths) {
    test(`${words} at ${instant} in ${zone}`, () => assert.ok(at(words, instant, zone)));
  }

  test('a clock that goes back is told as it is', () => {
    const late = 'context.time.hour >= 22';
    assert.equal(at(late, '2026-11-23T23:00:00Z', 'UTC'), true);
    assert.equal(at(late, '2026-11-23T21:00:00Z', 'UTC'), false);
    assert.equal(at(late, '2026-11-23T23:00:00Z', 'UTC'), true);
    assert.equal(at(late, '2026-11-23T21:59:59Z', 'UTC'), false);
  });
});

suite('names that would like to be more', () => {
  const hostile = [
    '"',
    '\\',
    '"); permit(principal, action, resource); //',
    'a\nb',
    '__proto__',
    'constructor',
    'toString',
    '😀',
    '\u202e',
    '\ud800',
    'reader"',
  ];
  const only =
    '@id("reader") permit(principal in Role::"reader", action, resource) when { principal.owner == "tea_1" };';
  for (const name of hostile) {
    test(`${JSON.stringify(name)} is nothing but a name`, () => {
      for (const principal of [
        { ...agentPrincipal, name, roles: [name], attested: { [name]: name } },
        { ...agentPrincipal, owner: name },
        { ...agentPrincipal, environment: name, instance: name, roles: [name] },
      ]) {
        assert.equal(decideBy(only, { principal }).decision, 'deny');
      }
      const elsewhere = {
        ...request.resource,
        type: 'Api' as const,
        identifier: name,
        name,
        sensitivity: 'low' as const,
      };
      assert.equal(
        decideBy(only, { resource: elsewhere, context: { scope: [name], subject: name, method: name } }).decision,
        'allow',
      );
      assert.equal(
        decideBy('@id("x") permit(principal, action, resource in Api::"https://tickets.example");', {
          resource: elsewhere,
        }).decision,
        'deny',
      );
    });
  }

  test('tags called like what every object has', () => {
    for (const tag of ['__proto__', 'constructor', 'hasOwnProperty']) {
      const text = `@id("x") permit(principal, action, resource) when { principal.hasTag("${tag}") && principal.getTag("${tag}") == "yes" };`;
      assert.equal(decideBy(text).decision, 'deny', tag);
      assert.equal(
        decideBy(text, { principal: { ...agentPrincipal, attested: Object.fromEntries([[tag, 'yes']]) } }).decision,
        'allow',
        tag,
      );
    }
  });

  test('a context of a megabyte is answered, and not remembered', () => {
    const own = createPolicyEngine(openCedar());
    const set = own.compile(
      [
        {
          name: 'p',
          mode: 'enforce',
          text: `${permitAll} @id("no") forbid(principal, action, resource) when { context has task.purpose && {a: context.task.purpose}.a == "x" || context.scope.contains("evil") };`,
        },
      ],
      '1',
    );
    const task = { provenance: 'declared' as const, purpose: 'x'.repeat(1_000_000) };
    const scope = Array.from({ length: 50_000 }, (_, i) => `scope-${i}`);
    for (const decision of ['allow', 'allow'])
      assert.equal(own.evaluate(set, { ...request, context: { ...context, task, scope } }).decision, decision);
    assert.equal(
      own.evaluate(set, { ...request, context: { ...context, task, scope: [...scope, 'evil'] } }).decision,
      'deny',
    );
    assert.equal(own.counts(set).asked, 4, 'the permission once, the prohibition each time');
  });
});

suite('what is remembered', () => {
  const text = `${permitAll}
    @id("office") forbid(principal, action, resource) unless { context has address && context.address.isInRange(ip("10.0.0.0/8")) };
    @id("tasks") forbid(principal, action, resource) when { context has task && context.task has workflow && ["a", "b"].contains(context.task.workflow) };`;

  test('a task and an address that nobody ever had are nothing new', () => {
    const own = createPolicyEngine(openCedar());
    const set = own.compile([{ name: 'p', text, mode: 'enforce' }], '1');
    for (let i = 0; i < 200; i += 1) {
      const task = { provenance: 'orchestrated' as const, id: `tsk_${i}`, workflow: `w${i}`, purpose: `${i}` };
      const answer = own.evaluate(set, { ...request, context: { ...context, address: `10.0.0.${i}`, task } });
      assert.equal(answer.decision, 'allow');
    }
    assert.deepEqual(own.counts(set), { remembered: 597, asked: 3 });
  });

  test('ends with the policies, and stays with the same ones', () => {
    const own = createPolicyEngine(openCedar());
    const sources: PolicySource[] = [{ name: 'p', text, mode: 'enforce' }];
    const set = own.compile(sources, '1');
    own.evaluate(set, request);
    assert.equal(own.compile(structuredClone(sources), '1'), set);
    assert.notEqual(own.compile(sources, '2'), set);
    const other = own.compile([{ name: 'p', text: text.replace('10.0.0.0/8', '192.0.2.0/24'), mode: 'enforce' }], '1');
    assert.equal(own.evaluate(other, request).decision, 'deny');
    assert.equal(own.evaluate(set, request).decision, 'allow');
  });

  test('is bounded, and right when it has been forgotten', () => {
    const own = createPolicyEngine(openCedar(), 10);
    const set = own.compile(
      [
        {
          name: 'p',
          mode: 'enforce',
          text: `${permitAll} @id("self") forbid(principal, action, resource) when { principal is Agent && {a: context.method}.a == principal.owner };`,
        },
      ],
      '1',
    );
    for (let i = 0; i < 100; i += 1) {
      const method = i % 10 === 3 ? 'tea_1' : `m${i}`;
      assert.equal(
        own.evaluate(set, { ...request, context: { ...context, method } }).decision,
        i % 10 === 3 ? 'deny' : 'allow',
      );
    }
  });

  test('Cedar keeps so many statements at once, and reads the rest again', () => {
    const own = createPolicyEngine(openCedar(2), 0);
    const sets = Array.from({ length: 5 }, (_, i) =>
      own.compile(
        [
          {
            name: 'p',
            mode: 'enforce',
            text: `${permitAll} @id("no") forbid(principal, action, resource) when { context.chain_depth == ${i} };`,
          },
        ],
        String(i),
      ),
    );
    for (let round = 0; round < 3; round += 1) {
      for (const [i, set] of sets.entries()) {
        for (let depth = 0; depth < 5; depth += 1) {
          const { decision } = own.evaluate(set, { ...request, context: { ...context, chainDepth: depth } });
          assert.equal(decision, depth === i ? 'deny' : 'allow');
        }
      }
    }
  });

  test('a Cedar that breaks is replaced, and what it was asked is no', () => {
    const cedar = openCedar();
    const own = createPolicyEngine(cedar, 0);
    const set = own.compile([{ name: 'p', text, mode: 'enforce' }], '1');
    // deeper than any policy that is let in: its stack overflows
    const deep = `permit(principal, action, resource) when { ${'('.repeat(5000)}true${')'.repeat(5000)} };`;
    assert.throws(() => cedar.call(({ policyToJson }) => policyToJson(deep)));
    assert.equal(own.evaluate(set, request).decision, 'allow');
    assert.equal(own.evaluate(set, { ...request, context: { ...context, address: '192.0.2.1' } }).decision, 'deny');
  });
});
