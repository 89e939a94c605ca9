import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { engine, permitAll, request } from '../testing/policy-request.ts';
import { type Cedar, openCedar } from './cedar.ts';
import { readDocuments } from './document.ts';
import { createPolicyEngine, mostStatements, PolicyError, type PolicySource } from './engine.ts';
import { wordsOf } from './words.ts';

suite('refused, with line, column and what was expected', () => {
  const head = 'permit(principal, action, resource)';
  const rejections: [what: string, text: string, place: [number, number], message: RegExp, expected?: RegExp][] = [
    ['no statement', 'hello', [1, 6], /unexpected end/],
    [
      'nothing after an operator',
      `@id("x")\n${head}\nwhen { context has task && };`,
      [3, 28],
      /unexpected token `}`/,
      /identifier/,
    ],
    [
      'a word that is misspelt, after others that are wider',
      `@id("x")\n${head} when {\n "é😀" == "é😀" && context.tisk.id == "x"};`,
      [3, 18],
      /`tisk` .* not found/,
      /did you mean `task`/,
    ],
    [
      'an action that is not there',
      '@id("x") permit(principal, action == Action::"token:isue", resource);',
      [1, 38],
      /unrecognized action/,
      /token:issue/,
    ],
    ['a number where a text is', `@id("x") ${head} when { context.binding == 3 };`, [1, 53], /type/],
    [
      'what may not be there, unasked',
      `@id("x") ${head} when { context.address.isLoopback() };`,
      [1, 53],
      /optional attribute `address`/,
      /has address/,
    ],
    [
      'an address that is none',
      `@id("x") ${head} when { context has address && context.address.isInRange(ip("10.0.0.0/99")) };`,
      [1, 102],
      /IP address/,
    ],
    ['no @id', `@reason("x") ${head};`, [1, 1], /must have an @id/],
    ['an @id that is none', `\n@id("a/b") ${head};`, [2, 1], /@id must be/],
    ['an @id twice', `@id("x") ${head};\n@id("x") ${head};`, [2, 1], /twice/],
    ['one annotation twice in a statement', `@id("x") @id("y") ${head};`, [1, 10], /duplicate annotation/],
    [
      'an unknown annotation',
      `@id("x") // @raeson in a remark\n  @raeson("y") ${head};`,
      [2, 3],
      /no annotation @raeson.*"reason"/,
    ],
    ['@step_up on permit', `@id("x") @step_up("approval") ${head};`, [1, 10], /on forbid only/],
    [
      '@limit_ip on forbid',
      '@id("x") @limit_ip("::1") forbid(principal, action, resource);',
      [1, 10],
      /on permit only/,
    ],
    [
      'a step-up that nobody can do',
      '@id("x") @step_up("patience") forbid(principal, action, resource);',
      [1, 10],
      /nothing that a client could do/,
      /approval/,
    ],
    ['a limit that is none', `@id("x") @limit_ip("10.0.0.1/8") ${head};`, [1, 10], /@limit_ip/],
    ['hours that are none', `@id("x") @limit_hours("always") ${head};`, [1, 10], /@limit_hours/],
    ['a lifetime beyond the longest', `@id("x") @limit_lifetime("901") ${head};`, [1, 10], /1 to 900/],
    ['a public reason that is none', `@id("x") @public ${head};`, [1, 10], /must be a @reason/],
    ['a reason of two lines', `@id("x") @reason("a\\nb") ${head};`, [1, 10], /one line/],
    ['a reason that reads backwards', `@id("x") @reason("a\\u{202e}b") ${head};`, [1, 10], /can be seen/],
    ['a template', '@id("x")\npermit(principal == ?principal, action, resource);', [2, 21], /templates/],
    [
      'what can never apply',
      '@id("y") permit(principal, action, resource);\n@id("x") permit(principal, action == Action::"token:issue", resource is Tool);',
      [2, 1],
      /can never apply/,
    ],
    ['conditions that are never true', `@id("x") ${head} when { false };`, [1, 1], /can never apply/],
    [
      'an attribute of an entity that it names',
      `@id("x") ${head} when { Agent::"a".owner == "b" };`,
      [1, 1],
      /itself names/,
    ],
    ['what cannot be seen', `@id("x") ${head}\n// \u202e\n;`, [2, 4], /U\+202E/],
    ['a NUL', `@id("x") ${head};\u0000`, [1, 46], /U\+0000/],
    ['half a character', `@id("x") ${head}; // \ud800`, [1, 1], /Unicode/],
    [
      'too deep a statement',
      `@id("x")\n${head} when { ${'('.repeat(40)}true${')'.repeat(40)} };`,
      [2, 75],
      /nested deeper/,
    ],
    [
      'too long a chain',
      `@id("x") ${head} when { ${Array(300).fill('context has task').join(' || ')} };`,
      [1, 1],
      /too long/,
    ],
    ['too long a path', `@id("x") ${head} when { context${'.x'.repeat(300)} };`, [1, 1], /too long/],
    [
      'too many alternatives',
      `@id("x") ${head} when { ${'if true then true else '.repeat(60)}true };`,
      [1, 1],
      /too long/,
    ],
    ['too long a text', `@id("x") ${head}; // ${'x'.repeat(65_536)}`, [1, 1], /64 KB/],
    [
      'like of what the policy makes of a text',
      `@id("x") ${head} when { (if true then context.binding else "x") like "*a*" };`,
      [1, 1],
      /text of the request alone/,
      /context\.task\.purpose like/,
    ],
    [
      'a pattern of 129 letters',
      `@id("x") ${head} when { context.binding like "*${'a'.repeat(129)}" };`,
      [1, 1],
      /pattern is too long/,
      /128 characters and 8 times \*/,
    ],
    [
      'a pattern with nine wildcards',
      `@id("x") ${head} when { context.binding like "${'*a'.repeat(9)}" };`,
      [1, 1],
      /pattern is too long/,
    ],
    [
      'a list of more than a statement may hold',
      `@id("y") ${head};\n@id("x") ${head} when { [${Array(2000).fill('"v"').join(', ')}].contains(context.binding) };`,
      [2, 1],
      /too long to decide/,
      /at most 2000/,
    ],
    [
      'requests compared with themselves, over and over',
      `@id("x") ${head} when { ${Array(40).fill('context.scope.containsAll(context.details)').join(' || ')} };`,
      [1, 1],
      /too long to decide/,
    ],
    [
      'statements that are too much together',
      Array.from(
        { length: 9 },
        (_, i) => `@id("s${i}") ${head} when { context.binding like "*${'a'.repeat(128)}" };`,
      ).join('\n'),
      [9, 1],
      /all statements together/,
      /at most 10000/,
    ],
    ['a bracket that is never closed', `@id("x") ${head} when { true`, [1, 57], /unexpected end/],
  ];
  for (const [what, text, place, message, expected] of rejections) {
    test(what, () => {
      const set = engine.compile([{ name: 'p', text: permitAll, mode: 'enforce' }], 'running');
      const refused = (error: unknown) => {
        assert.ok(error instanceof PolicyError, String(error));
        assert.match(error.message, message);
        assert.deepEqual([error.policy, error.line, error.column], ['p', ...place], error.message);
        if (expected !== undefined) assert.match(error.expected ?? '', expected);
        return true;
      };
      assert.throws(() => engine.compile([{ name: 'p', text, mode: 'enforce' }], '1'), refused);
      const beside: PolicySource = { name: 'good', text: permitAll, mode: 'enforce' };
      assert.throws(() => engine.compile([beside, { name: 'p', text, mode: 'observe' }], '1'), refused);
      assert.equal(engine.evaluate(set, request).decision, 'allow', 'the running set stays');
    });
  }

  test('more statements than a set may have, and one name twice', () => {
    const text = (count: number) =>
      Array.from({ length: count }, (_, i) => `@id("s${i}") forbid(principal in Role::"r", action, resource);`).join(
        '\n',
      );
    const own = createPolicyEngine(openCedar());
    const half: PolicySource = { name: 'a', text: text(mostStatements / 2), mode: 'enforce' };
    assert.equal(own.compile([half, { ...half, name: 'b' }], '1').statements.length, mostStatements);
    assert.throws(
      () => own.compile([half, { ...half, name: 'b' }, { name: 'c', text: text(1), mode: 'enforce' }], '1'),
      /at most 500/,
    );
    assert.throws(() => own.compile([half, half], '1'), /twice/);
  });

  test('more than may be decided by, in policies that are each within it', () => {
    const source = (name: string): PolicySource => {
      const like = `context.binding like "*${'a'.repeat(128)}"`;
      const text = Array.from(
        { length: 5 },
        (_, i) => `@id("s${i}") permit(principal, action, resource) when { ${like} };`,
      );
      return { name, text: text.join('\n'), mode: 'enforce' };
    };
    const own = createPolicyEngine(openCedar());
    assert.equal(own.compile([source('a')], '1').statements.length, 5);
    assert.throws(() => own.compile([source('a'), source('b')], '1'), /all policies together take too long/);
  });

  test('nothing is looked at after the first statement that is wrong, and nothing is looked at at a stretch', async () => {
    const cedar = openCedar();
    let calls = 0;
    const counting = {
      ...cedar,
      call<Answer>(work: (module: Cedar) => Answer): Answer {
        calls += 1;
        return cedar.call(work);
      },
    };
    const words = cedar.call(wordsOf);
    const textOf = (wrong: number) =>
      Array.from({ length: 300 }, (_, i) => {
        const word = i >= wrong ? 'context.n > 1' : 'context.proof_age > 1';
        return `@id("s${i}") permit(principal, action, resource) when { ${word} };`;
      }).join('\n');
    const steps = (wrong: number) => {
      calls = 0;
      let done = 0;
      let line = 0;
      try {
        for (const _ of readDocuments(counting, words, [{ name: 'p', text: textOf(wrong) }])) done += 1;
      } catch (error) {
        assert.ok(error instanceof PolicyError);
        line = error.line;
      }
      return { calls, done, line };
    };
    // once for all, once for each to read it; to validate, once for every 50 or so
    const right = steps(300);
    assert.equal(right.line, 0);
    assert.ok(right.done >= 300 && right.calls <= 301 + 8, JSON.stringify(right));
    // the first 50 together, then one
    assert.deepEqual(steps(0), { calls: 301 + 2, done: 301, line: 1 });
  });

  test('what only looks like a mistake is said', () => {
    const { statements, warnings } = engine.check(
      '@id("x") @reason("why") forbid(principal, action, resource) when { principal is Agent && principal.name == "аpple" };',
      'p',
    );
    assert.deepEqual(statements, [{ policy: 'p/x', effect: 'forbid', reason: 'why' }]);
    assert.match(warnings.join(), /mixed scripts/);
    assert.deepEqual(engine.check(permitAll).warnings, []);
  });
});
