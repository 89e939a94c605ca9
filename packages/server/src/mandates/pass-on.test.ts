/** What may be passed on of a mandate, and to whom: the rules, without a server. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type AuthorizationDetail, type ComparedType, excessOf, isWithinPower, type Power } from '@bailiwick/protocol';
import fc from 'fast-check';
import { Unfit } from '../lib/unfit.ts';
import type { Mandate } from './mandate.ts';
import { boundsOf, mayComeTo, partOf, type Receiver, type WantedPart } from './pass-on.ts';

const types: ComparedType[] = [{ type: 'payment', compare: { amount: 'at_most' } }];
const typesOf = () => types;
const payment = (amount: number): AuthorizationDetail => ({ type: 'payment', amount });
const limit = (total: number) => ({ type: 'payment', amount: '/amount', total });

const mandate = (id: string, agent: string, more: Partial<Mandate> = {}): Mandate => ({
  id,
  org: 'org_1',
  person: 'per_1',
  agent,
  instance: undefined,
  parent: undefined,
  ancestors: [],
  resources: [{ resource: 'res_1', scope: ['read', 'write'], details: [payment(50)] }],
  context: { country: ['AT', 'DE'] },
  task: undefined,
  limits: { uses: 10, amounts: [limit(100)] },
  passing: { depth: 2 },
  given: { way: 'administrator', by: 'agt_0' },
  createdAt: 0,
  endsAt: 1000,
  endedAt: undefined,
  ...more,
});

const root = mandate('mdt_1', 'agt_1');
const line = [mandate('mdt_2', 'agt_2', { passing: { depth: 1 }, endsAt: 900 }), root];
const unspent = ({ limits }: Mandate) => limits;
const bounds = boundsOf(line, unspent);

/** The field and the sentence of what can't be accepted. */
function unfit(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Unfit) return `${error.field} ${error.message}`;
    throw error;
  }
  return 'accepted';
}

suite('what is passed on', () => {
  test('of what is not named, all that is left, but not to be passed on again', () => {
    const part = partOf(bounds, {}, typesOf);
    assert.deepEqual(part, {
      resources: root.resources,
      context: root.context,
      task: undefined,
      limits: root.limits,
      passing: { depth: 0 },
      endsAt: 900,
    });
    const spent = partOf(
      boundsOf(line, ({ id }) =>
        id === 'mdt_1' ? { uses: 3, amounts: [limit(70)] } : { uses: 9, amounts: [limit(60)] },
      ),
      {},
      typesOf,
    );
    assert.deepEqual(spent.limits, { uses: 3, amounts: [limit(60)] });
  });

  test('what was narrowed above since counts, though the mandate itself says more', () => {
    const narrowed = mandate('mdt_1', 'agt_1', {
      resources: [{ resource: 'res_1', scope: ['read'], details: [payment(20)] }],
      passing: { depth: 2, to: ['agt_2', 'agt_3'] },
      context: { country: ['DE'], zone: ['eu-1'] },
    });
    const part = partOf(boundsOf([line[0] as Mandate, narrowed], unspent), {}, typesOf);
    assert.deepEqual(part.resources, [{ resource: 'res_1', scope: ['read'], details: [payment(20)] }]);
    assert.deepEqual(part.context, { country: ['DE'], zone: ['eu-1'] });
    assert.deepEqual(part.passing, { depth: 0, to: ['agt_2', 'agt_3'] });
  });

  test('what is named stands beside what is not', () => {
    const part = partOf(
      bounds,
      { context: { ip: ['10.0.0.0/8'] }, task: { workflow: 'travel' }, limits: { uses: 1 }, endsAt: 10 },
      typesOf,
    );
    assert.deepEqual(part.context, { country: ['AT', 'DE'], ip: ['10.0.0.0/8'] });
    assert.deepEqual(part.task, { workflow: 'travel' });
    assert.deepEqual(part.limits, { uses: 1, amounts: [limit(100)] });
    assert.equal(part.endsAt, 10);
  });

  const on = (more: object) => ({ resources: [{ resource: 'res_1', scope: ['read'], details: [], ...more }] });
  const refusals: [what: string, wanted: WantedPart, says: RegExp][] = [
    [
      'a resource more',
      { resources: [...on({}).resources, { ...on({}).resources[0], resource: 'res_2' }] as never },
      /^resources\[1\]\.resource is more than mandate mdt_2 allows/,
    ],
    [
      'a scope more',
      on({ scope: ['read', 'delete'] }),
      /^resources\[0\]\.scope is more than mandate mdt_2 allows .*: delete$/,
    ],
    [
      'a greater detail',
      on({ details: [payment(51)] }),
      /^resources\[0\]\.authorization_details is more than mandate mdt_2/,
    ],
    ['another place', { context: { country: ['FR'] } }, /^context\.country is more than mandate mdt_2 allows$/],
    ['more uses', { limits: { uses: 11 } }, /^limits\.uses is more than mandate mdt_2 allows: 10 are left$/],
    [
      'a greater amount',
      { limits: { amounts: [limit(101)] } },
      /^limits\.amounts\[0\] is more than mandate mdt_2 allows: 100 are left$/,
    ],
    ['another depth', { passing: { depth: 1 } }, /^passing\.depth is more than mandate mdt_2 allows: 0 is left$/],
    [
      'a later end',
      { endsAt: 901 },
      /^expires_in is more than mandate mdt_2 allows: it ends at 1970-01-01T00:00:00.900Z$/,
    ],
    ['no resource', { resources: [] }, /^parent can not be passed on: nothing is left/],
  ];
  for (const [what, wanted, says] of refusals) {
    test(`${what} is refused`, () =>
      assert.match(
        unfit(() => partOf(bounds, wanted, typesOf)),
        says,
      ));
  }

  test('a mandate above refuses in its own name', () => {
    const above = mandate('mdt_1', 'agt_1', { task: { workflow: 'travel' } });
    const bounds = boundsOf([line[0] as Mandate, above], unspent);
    assert.match(
      unfit(() => partOf(bounds, { task: { workflow: 'billing' } }, typesOf)),
      /^task\.workflow .*mandate mdt_1/,
    );
  });

  test('what is used up can not be passed on, nor what may come no deeper, nor where nothing is left', () => {
    const spent = boundsOf(line, () => ({ uses: 0 }));
    assert.match(
      unfit(() => partOf(spent, {}, typesOf)),
      /^parent .*nothing is left of its limit of uses/,
    );
    const paid = boundsOf(line, () => ({ amounts: [limit(0)] }));
    assert.match(
      unfit(() => partOf(paid, {}, typesOf)),
      /^parent .*limit of payment/,
    );
    const low = boundsOf(
      [mandate('mdt_2', 'agt_2', { passing: { depth: 5 } }), mandate('mdt_1', 'agt_1', { passing: { depth: 1 } })],
      unspent,
    );
    assert.match(
      unfit(() => partOf(low, {}, typesOf)),
      /^parent can not be passed on: mandate mdt_1 may not come any deeper/,
    );
    const apart = boundsOf([mandate('mdt_2', 'agt_2', { context: { country: ['FR'] } }), root], unspent);
    assert.match(
      unfit(() => partOf(apart, {}, typesOf)),
      /^parent can not be passed on: no countries/,
    );
  });
});

suite('to whom', () => {
  const ofAgent = (agent: string, id: string, ...ancestors: string[]): Receiver => ({
    agent,
    instance: { id, ancestors },
  });
  const held = (more: Partial<Mandate> = {}) => [mandate('mdt_2', 'agt_2', more), root];
  const table: [what: string, line: Mandate[], to: Receiver, says: RegExp][] = [
    ['another agent', held(), { agent: 'agt_3' }, /^accepted$/],
    ['an instance of another agent', held(), ofAgent('agt_3', 'ins_1'), /^accepted$/],
    ['an instance of its own', held(), ofAgent('agt_2', 'ins_1'), /^accepted$/],
    ['the agent itself', held(), { agent: 'agt_2' }, /^agent holds it already/],
    ['an agent above', held(), { agent: 'agt_1' }, /^agent must not be in its line already: mandate mdt_1/],
    ['an instance of an agent above', held(), ofAgent('agt_1', 'ins_1'), /^instance must not be in its line already/],
    [
      'a child of the instance that holds it',
      held({ instance: 'ins_1' }),
      ofAgent('agt_2', 'ins_3', 'ins_2', 'ins_1'),
      /^accepted$/,
    ],
    ['the instance that holds it', held({ instance: 'ins_1' }), ofAgent('agt_2', 'ins_1'), /^instance must be a child/],
    [
      'another instance than the one that holds it',
      held({ instance: 'ins_1' }),
      ofAgent('agt_2', 'ins_2', 'ins_0'),
      /^instance must be a child/,
    ],
    ['whom it may come to', held({ passing: { depth: 1, to: ['agt_3'] } }), { agent: 'agt_3' }, /^accepted$/],
    [
      'whom it may not come to',
      held({ passing: { depth: 1, to: ['agt_3'] } }),
      { agent: 'agt_4' },
      /^agent must be among those .*mandate mdt_2/,
    ],
    [
      'an instance of its own, whomever it may come to',
      held({ passing: { depth: 1, to: ['agt_3'] } }),
      ofAgent('agt_2', 'ins_1'),
      /^accepted$/,
    ],
  ];
  for (const [what, line, to, says] of table) {
    test(what, () =>
      assert.match(
        unfit(() => mayComeTo(line, to)),
        says,
      ),
    );
  }

  test('whom a mandate above may not come to, below neither', () => {
    const line = [mandate('mdt_2', 'agt_2'), mandate('mdt_1', 'agt_1', { passing: { depth: 2, to: ['agt_2'] } })];
    assert.match(
      unfit(() => mayComeTo(line, { agent: 'agt_3' })),
      /^agent must be among those .*mandate mdt_1/,
    );
  });
});

// A tree: each node is made of a wish by a node that is there, as the rules let it.

const agents = Array.from({ length: 6 }, (_, n) => `agt_${n + 1}`);
/** Said now and then: whoever says a lot is mostly refused. */
const sometimes = <Value>(value: fc.Arbitrary<Value>) =>
  fc.oneof({ arbitrary: value, weight: 1 }, { arbitrary: fc.constant(undefined), weight: 3 });
const wish: fc.Arbitrary<WantedPart> = fc
  .record({
    resources: sometimes(
      fc.record({
        resource: fc.constantFrom('res_1', 'res_1', 'res_2'),
        scope: fc.subarray(['read', 'write', 'delete'], { minLength: 1 }),
        details: fc.array(fc.integer({ min: 1, max: 60 }).map(payment), { maxLength: 1 }),
      }),
    ).map((one) => one && [one]),
    context: sometimes(fc.record({ country: fc.subarray(['AT', 'DE', 'FR'], { minLength: 1 }) })),
    task: sometimes(fc.record({ workflow: fc.constantFrom('travel', 'billing') })),
    limits: sometimes(fc.record({ uses: fc.integer({ min: 1, max: 12 }) })),
    passing: fc.record(
      { depth: fc.integer({ min: 0, max: 3 }), to: fc.subarray(agents, { minLength: 4 }) },
      { requiredKeys: ['depth'] },
    ),
    endsAt: sometimes(fc.integer({ min: 1, max: 1200 })),
  })
  .map((said) => Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)));
/** Of the newest node, or of any. */
const step = fc.record({
  from: fc.nat(),
  agent: fc.constantFrom(...agents),
  wish,
  spent: fc.nat(3),
});

suite('trees of mandates', () => {
  test('whatever comes of a mandate is within everything above it, no deeper than it says, and nobody is in a line twice', () => {
    let deepest = 0;
    let made = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 30, size: 'max' }), (steps) => {
        const top = mandate('mdt_0', 'agt_1', { passing: { depth: 4 } });
        const nodes: Mandate[][] = [[top]];
        for (const [index, { from, agent, wish, spent }] of steps.entries()) {
          const line = nodes.at(from % 2 === 0 ? -1 : from % nodes.length) as Mandate[];
          const leftOf = ({ limits }: Mandate) => ({ ...limits, uses: Math.max(0, (limits.uses ?? 10) - spent) });
          let part: Power;
          try {
            mayComeTo(line, { agent });
            part = partOf(boundsOf(line, leftOf), wish, typesOf);
          } catch (error) {
            assert.ok(error instanceof Unfit, String(error));
            continue;
          }
          nodes.push([{ ...mandate(`mdt_${index + 1}`, agent), ...part }, ...line]);
          made += 1;
        }
        for (const [node, ...above] of nodes as [Mandate, ...Mandate[]][]) {
          deepest = Math.max(deepest, above.length);
          assert.equal(new Set([node, ...above].map(({ agent }) => agent)).size, above.length + 1);
          for (const [index, each] of above.entries()) {
            assert.deepEqual(excessOf(node, each, typesOf), [], `${node.id} in ${each.id}`);
            assert.ok(node.passing.depth + index + 1 <= each.passing.depth);
            assert.ok(each.passing.to?.includes(node.agent) ?? true);
            assert.ok(isWithinPower(node, each, typesOf));
          }
        }
      }),
      { numRuns: 300 },
    );
    assert.ok(deepest >= 3, `the deepest was ${deepest}`);
    assert.ok(made > 500, `only ${made} were made`);
  });
});
