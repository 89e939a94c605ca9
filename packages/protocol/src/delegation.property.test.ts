/** The algebra of powers, on generated ones. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { contextRefusal, type Presenter, parseContext, type TokenContext } from './context.ts';
import {
  type AmountLimit,
  commonPower,
  excessOf,
  isWithinPower,
  type Passing,
  type Power,
  type PowerLimits,
} from './delegation.ts';
import { type AuthorizationDetail, areWithin, type ComparedType } from './details.ts';
import type { ProtocolError } from './errors.ts';

const types: ComparedType[] = [{ type: 'payment', compare: { amount: 'at_most', to: 'subset' } }];
const typesOf = () => types;

const someOf = <Value>(...values: Value[]) => fc.uniqueArray(fc.constantFrom(...values));
const anyDetail = fc.record(
  { type: fc.constant('payment'), amount: fc.integer({ min: 0, max: 4 }), to: someOf('a', 'b', 'c') },
  { requiredKeys: ['type'] },
);
const anyPowerOn = (resource: string) =>
  fc.record({
    resource: fc.constant(resource),
    scope: someOf('read', 'write'),
    details: fc.array(anyDetail, { maxLength: 2 }),
  });
const anyContext: fc.Arbitrary<TokenContext | undefined> = fc.option(
  fc
    .record(
      {
        ip: fc.uniqueArray(fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', '10.1.1.1', '192.0.2.1'), { minLength: 1 }),
        country: fc.uniqueArray(fc.constantFrom('AT', 'DE'), { minLength: 1 }),
        hours: fc.uniqueArray(
          fc
            .tuple(
              fc.constantFrom('UTC', 'Asia/Kathmandu'),
              fc.integer({ min: 6, max: 9 }),
              fc.integer({ min: 15, max: 18 }),
            )
            .map(([tz, from, to]) => ({ tz, windows: [{ from: `0${from}:00`, to: `${to}:00` }] })),
          { minLength: 1, maxLength: 2 },
        ),
      },
      { requiredKeys: [] },
    )
    .map(parseContext),
  { nil: undefined },
);
const anyTask = fc.option(
  fc.record(
    { id: fc.constantFrom('tsk_1', 'tsk_2'), workflow: fc.constantFrom('travel', 'billing') },
    { requiredKeys: [] },
  ),
  { nil: undefined },
);
const anyAmount: fc.Arbitrary<AmountLimit> = fc.record(
  {
    type: fc.constant('payment'),
    amount: fc.constantFrom('/amount', '/tip'),
    unit: fc.constantFrom('EUR', 'VND').map((is) => ({ at: '/currency', is })),
    total: fc.integer({ min: 1, max: 8 }),
  },
  { requiredKeys: ['type', 'amount', 'total'] },
);
const anyLimits: fc.Arbitrary<PowerLimits> = fc.record(
  {
    uses: fc.integer({ min: 1, max: 4 }),
    amounts: fc.uniqueArray(anyAmount, { selector: ({ amount }) => amount, maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const anyPassing: fc.Arbitrary<Passing> = fc.record(
  { depth: fc.integer({ min: 0, max: 3 }), to: someOf('agt_1', 'agt_2', 'agt_3') },
  { requiredKeys: ['depth'] },
);
const anyPower: fc.Arbitrary<Power> = fc.record({
  resources: fc
    .tuple(fc.option(anyPowerOn('res_1')), fc.option(anyPowerOn('res_2')))
    .map((each) => each.filter((one) => one !== null)),
  context: anyContext,
  task: anyTask,
  limits: anyLimits,
  passing: anyPassing,
  endsAt: fc.integer({ min: 1, max: 5 }),
});

/** What both allow; undefined where there is no place or no work that both do, or none that can be written. */
function commonOf(one: Power, other: Power): Power | undefined {
  try {
    return commonPower(one, other, typesOf);
  } catch (error) {
    assert.match((error as ProtocolError).code, /^(nowhere|too_many)$/);
    return undefined;
  }
}

const narrowedBy = (power: Power, wish: Power): Power => commonOf(power, wish) ?? power;

/** What somebody might do: told in the terms of the world, not in those of powers. */
interface Doing {
  resource: string;
  scope: string | undefined;
  detail: AuthorizationDetail | undefined;
  presenter: Presenter;
  task: { id?: string; workflow?: string };
  /** Payments in all, in one unit: how many and how much. */
  payments: readonly number[];
  unit: string;
  /** To whom it is passed on, and further. */
  passedTo: readonly string[];
  at: number;
}

const anyDoing: fc.Arbitrary<Doing> = fc.record({
  resource: fc.constantFrom('res_1', 'res_2'),
  scope: fc.constantFrom('read', 'write', undefined),
  detail: fc.option(
    fc.record({ type: fc.constant('payment'), amount: fc.integer({ min: 0, max: 4 }), to: someOf('a', 'b', 'c') }),
    { nil: undefined },
  ),
  presenter: fc.record({
    address: fc.constantFrom('10.1.1.1', '10.1.2.3', '10.2.2.2', '192.0.2.1'),
    country: fc.constantFrom('AT', 'DE'),
    now: fc.integer({ min: 0, max: 23 }).map((hour) => Date.UTC(2026, 10, 23, hour, 30)),
  }),
  task: fc.record({ id: fc.constantFrom('tsk_1', 'tsk_2'), workflow: fc.constantFrom('travel', 'billing') }),
  payments: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 4 }),
  unit: fc.constantFrom('EUR', 'VND'),
  passedTo: fc.array(fc.constantFrom('agt_1', 'agt_2', 'agt_3'), { maxLength: 3 }),
  at: fc.integer({ min: 0, max: 5 }),
});

/** Each by itself: whether a power allows what is done. */
const allows: ((power: Power, doing: Doing) => boolean)[] = [
  ({ resources }, { resource, scope, detail }) =>
    resources.some(
      (each) =>
        each.resource === resource &&
        (scope === undefined || each.scope.includes(scope)) &&
        (detail === undefined || areWithin(types, [detail], each.details)),
    ),
  ({ context }, { presenter }) => contextRefusal(context, presenter) === undefined,
  ({ task = {} }, doing) =>
    (task.id === undefined || task.id === doing.task.id) &&
    (task.workflow === undefined || task.workflow === doing.task.workflow),
  ({ limits: { uses } }, { payments }) => uses === undefined || payments.length <= uses,
  ({ limits: { amounts = [] } }, { payments, unit }) =>
    amounts.every(
      (limit) =>
        payments.length === 0 ||
        ((limit.unit === undefined || limit.unit.is === unit) &&
          payments.reduce((sum, each) => sum + each, 0) <= limit.total),
    ),
  ({ passing: { depth, to } }, { passedTo }) =>
    passedTo.length <= depth && passedTo.every((each) => to === undefined || to.includes(each)),
  ({ endsAt }, { at }) => at < endsAt,
];

/** @returns how often the property had something to say: one that never has can't fail */
function counted(runs: (count: () => void) => void): number {
  let held = 0;
  runs(() => {
    held += 1;
  });
  return held;
}

suite('the order of powers', () => {
  test('is reflexive', () => {
    fc.assert(fc.property(anyPower, (one) => isWithinPower(structuredClone(one), one, typesOf)));
  });

  test('is transitive', () => {
    const held = counted((count) =>
      fc.assert(
        fc.property(fc.array(anyPower, { minLength: 3, maxLength: 3 }), fc.boolean(), (powers, near) => {
          const [c, second, third] = powers as [Power, Power, Power];
          const b = near ? narrowedBy(c, second) : second;
          const a = { ...b, ...(near ? narrowedBy(b, third) : third) };
          if (!isWithinPower(a, b, typesOf) || !isWithinPower(b, c, typesOf)) return;
          count();
          assert.ok(isWithinPower(a, c, typesOf));
        }),
        { numRuns: 1000 },
      ),
    );
    assert.ok(held > 250, `only ${held} chains were looked at`);
  });

  test('what two have in common is within each, in every dimension', () => {
    const held = counted((count) =>
      fc.assert(
        fc.property(anyPower, anyPower, (one, other) => {
          const common = commonOf(one, other);
          if (!common) return;
          count();
          assert.deepEqual(excessOf(common, one, typesOf), []);
          assert.deepEqual(excessOf(common, other, typesOf), []);
        }),
        { numRuns: 1000 },
      ),
    );
    assert.ok(held > 250, `only ${held} were looked at`);
  });

  test('what both allow, their common power allows, if it is no detail that neither names', () => {
    for (const allowed of allows) {
      const held = counted((count) =>
        fc.assert(
          fc.property(anyPower, anyPower, anyDoing, (one, other, doing) => {
            const what = { ...doing, detail: undefined, scope: doing.scope ?? 'read' };
            if (!allowed(one, what) || !allowed(other, what)) return;
            const common = commonOf(one, other);
            if (!common) return;
            count();
            assert.ok(allowed(common, what));
          }),
          { numRuns: 1000 },
        ),
      );
      assert.ok(held > 50, `only ${held} were looked at: ${allowed}`);
    }
  });

  test('what is within allows nothing that the other does not', () => {
    for (const allowed of allows) {
      const held = counted((count) =>
        fc.assert(
          fc.property(anyPower, anyPower, anyDoing, fc.boolean(), (outer, other, doing, near) => {
            const inner = near ? narrowedBy(outer, other) : other;
            if (!isWithinPower(inner, outer, typesOf) || !allowed(inner, doing)) return;
            count();
            assert.ok(allowed(outer, doing));
          }),
          { numRuns: 1000 },
        ),
      );
      assert.ok(held > 50, `only ${held} were looked at: ${allowed}`);
    }
  });

  test('one dimension is enough to be beyond: what only the wider one allows is named', () => {
    const dimensions = ['resources', 'context', 'task', 'limits', 'passing', 'endsAt'] as const;
    for (const dimension of dimensions) {
      const held = counted((count) =>
        fc.assert(
          fc.property(anyPower, anyPower, fc.array(anyDoing, { maxLength: 20 }), (outer, other, doings) => {
            const inner: Power = { ...outer, [dimension]: other[dimension] };
            const wider = doings.some((doing) =>
              allows.some((allowed) => allowed(inner, doing) && !allowed(outer, doing)),
            );
            if (!wider) return;
            count();
            assert.ok(!isWithinPower(inner, outer, typesOf));
          }),
        ),
      );
      assert.ok(held > 10, `only ${held} were looked at: ${dimension}`);
    }
  });

  test('in a tree, whatever is within a leaf is within everything above it', () => {
    const tree = fc.array(fc.tuple(fc.nat(), anyPower), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(tree, anyPower, (wishes, last) => {
        const nodes: { power: Power; above: readonly number[] }[] = [];
        for (const [choice, wish] of wishes) {
          const parent = nodes.length === 0 ? undefined : choice % nodes.length;
          const under = parent === undefined ? undefined : nodes[parent];
          nodes.push({
            power: under ? narrowedBy(under.power, wish) : wish,
            above: under && parent !== undefined ? [parent, ...under.above] : [],
          });
        }
        for (const { power, above } of nodes) {
          const within = narrowedBy(power, last);
          for (const each of above) {
            const outer = nodes[each]?.power as Power;
            assert.ok(isWithinPower(power, outer, typesOf));
            assert.ok(isWithinPower(within, outer, typesOf));
          }
        }
      }),
    );
  });
});
