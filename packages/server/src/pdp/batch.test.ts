import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inTurn } from './batch.ts';
import { readEvaluations, type Semantic } from './question.ts';

const yes = true;
const no = false;

describe('the three semantics', () => {
  const rows: [semantic: Semantic, decisions: boolean[], answered: boolean[]][] = [
    ['execute_all', [yes, no, yes], [yes, no, yes]],
    ['execute_all', [no, no], [no, no]],
    ['deny_on_first_deny', [yes, no, yes], [yes, no]],
    ['deny_on_first_deny', [no, yes], [no]],
    ['deny_on_first_deny', [yes, yes], [yes, yes]],
    ['permit_on_first_permit', [no, yes, no], [no, yes]],
    ['permit_on_first_permit', [yes, no], [yes]],
    ['permit_on_first_permit', [no, no], [no, no]],
  ];
  for (const [semantic, decisions, answered] of rows) {
    test(`${semantic} of ${decisions.join(', ')}: ${answered.join(', ')}, and no more is asked`, async () => {
      const asked: boolean[] = [];
      const answers = await inTurn(semantic, decisions, async (decision) => {
        asked.push(decision);
        return { decision };
      });
      assert.deepEqual(
        answers.map(({ decision }) => decision),
        answered,
      );
      assert.deepEqual(asked, answered);
    });
  }
});

test('a question is asked when the one before is answered and others had their turn, of execute_all, too', async () => {
  const log: string[] = [];
  const answer = async (question: number) => {
    log.push(`asked ${question}`);
    await Promise.resolve();
    log.push(`answered ${question}`);
    return { decision: yes };
  };
  await inTurn('execute_all', [1, 2], answer, async () => {
    log.push('pause');
  });
  assert.deepEqual(log, ['asked 1', 'answered 1', 'pause', 'asked 2', 'answered 2', 'pause']);
});

describe('what is said for all', () => {
  const alice = { type: 'user', id: 'alice', properties: { role: 'admin' } };
  const read = { name: 'read' };
  const one = { type: 'record', id: '1' };
  const questionsIn = (body: object) => {
    const read = readEvaluations(body);
    assert.ok('questions' in read);
    return read.questions as readonly unknown[] as Record<string, Record<string, unknown>>[];
  };

  test('is replaced whole by what a question says, never mixed with it', () => {
    const [first, second] = questionsIn({
      subject: alice,
      action: read,
      resource: one,
      context: { a: '1' },
      evaluations: [{ subject: { type: 'user', id: 'bob' } }, { context: { b: '2' } }],
    });
    assert.deepEqual(first?.subject, { type: 'user', id: 'bob', properties: {} });
    assert.deepEqual(first?.context?.claimed, { a: '1' });
    assert.deepEqual(second?.subject, alice);
    assert.deepEqual(second?.context?.claimed, { b: '2' });
  });

  test('execute_all is meant where nothing is said', () => {
    const body = { subject: alice, action: read, resource: one, evaluations: [{}] };
    assert.equal((readEvaluations(body) as { semantic: string }).semantic, 'execute_all');
    assert.equal((readEvaluations({ ...body, options: { other: 1 } }) as { semantic: string }).semantic, 'execute_all');
  });

  for (const [what, own] of [
    ['a number', 5],
    ['null', null],
    ['a list', []],
    ['an entity that is half there', { resource: { type: 'record' } }],
    ['an action without a name', { action: {} }],
  ] as const) {
    test(`a question that is ${what} is wrong by itself`, () => {
      const [first, second] = questionsIn({ subject: alice, action: read, resource: one, evaluations: [own, {}] });
      assert.equal(typeof first?.wrong, 'string');
      assert.equal(second?.wrong, undefined);
    });
  }
});
