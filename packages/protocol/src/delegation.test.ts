import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import type { Actor } from './access-token.ts';
import {
  type AmountLimit,
  actorsOf,
  type ChainedActor,
  deepestChain,
  type Excess,
  excessOf,
  isWithinPower,
  nestActor,
  type Power,
  type PowerOnResource,
} from './delegation.ts';
import type { AuthorizationDetail, ComparedType } from './details.ts';
import { ProtocolError } from './errors.ts';

const types: ComparedType[] = [{ type: 'payment', compare: { amount: 'at_most', to: 'subset' } }];
const typesOf = () => types;

const euros: AmountLimit = { type: 'payment', amount: '/amount', unit: { at: '/currency', is: 'EUR' }, total: 100 };
const whole: Power = {
  resources: [
    { resource: 'res_1', scope: ['read', 'write'], details: [{ type: 'payment', amount: 50, to: ['a', 'b'] }] },
    { resource: 'res_2', scope: ['read'], details: [] },
  ],
  context: { ip: ['10.0.0.0/8'], country: ['AT', 'DE'] },
  task: { workflow: 'travel' },
  limits: { uses: 10, amounts: [euros] },
  passing: { depth: 2, to: ['agt_1', 'agt_2'] },
  endsAt: 1000,
};

suite('one power within another', () => {
  const [first, second] = whole.resources as [PowerOnResource, PowerOnResource];
  const on = (change: Partial<PowerOnResource>): Partial<Power> => ({ resources: [{ ...first, ...change }, second] });
  const payment = (members: object): AuthorizationDetail => ({ type: 'payment', ...members });
  const beyondPayment = (value: AuthorizationDetail): Excess[] => [
    { what: 'authorization_details', resource: 'res_1', value: [value] },
  ];
  const cases: [what: string, change: Partial<Power>, beyond: Excess[]][] = [
    ['the same', {}, []],
    ['one resource less', { resources: [second] }, []],
    ['no resource', { resources: [] }, []],
    ['another resource', { resources: [{ ...second, resource: 'res_3' }] }, [{ what: 'resource', value: 'res_3' }]],
    ['fewer scopes', on({ scope: ['write'] }), []],
    [
      'a scope of the other resource',
      { resources: [first, { ...second, scope: ['read', 'write'] }] },
      [{ what: 'scope', resource: 'res_2', value: ['write'] }],
    ],
    ['no details', on({ details: [] }), []],
    ['a smaller detail', on({ details: [payment({ amount: 20, to: ['a'] })] }), []],
    ['two of them', on({ details: [payment({ amount: 50, to: ['a'] }), payment({ amount: 1, to: ['b'] })] }), []],
    [
      'a greater detail, beside a smaller one',
      on({ details: [payment({ amount: 1, to: [] }), payment({ amount: 51, to: ['a'] })] }),
      beyondPayment(payment({ amount: 51, to: ['a'] })),
    ],
    [
      'a detail that leaves a member out',
      on({ details: [payment({ amount: 1 })] }),
      beyondPayment(payment({ amount: 1 })),
    ],
    [
      'a detail of a type that nobody knows',
      on({ details: [{ type: 'unknown' }] }),
      beyondPayment({ type: 'unknown' }),
    ],
    ['a smaller place', { context: { ip: ['10.1.0.0/16'], country: ['DE'], zone: ['eu-1'] } }, []],
    [
      'no place',
      { context: undefined },
      [
        { what: 'context', value: 'ip' },
        { what: 'context', value: 'country' },
      ],
    ],
    ['a larger place', { context: { ...whole.context, ip: ['10.0.0.0/7'] } }, [{ what: 'context', value: 'ip' }]],
    ['a task that says more', { task: { id: 'tsk_1', workflow: 'travel' } }, []],
    ['any task', { task: undefined }, [{ what: 'task', value: 'workflow' }]],
    ['another task', { task: { workflow: 'billing' } }, [{ what: 'task', value: 'workflow' }]],
    ['fewer uses', { limits: { ...whole.limits, uses: 1 } }, []],
    ['more uses', { limits: { ...whole.limits, uses: 11 } }, [{ what: 'limits', value: 'uses' }]],
    ['uses without end', { limits: { amounts: [euros] } }, [{ what: 'limits', value: 'uses' }]],
    ['a smaller amount', { limits: { uses: 10, amounts: [{ ...euros, total: 99.5 }] } }, []],
    ['a limit more', { limits: { uses: 10, amounts: [euros, { type: 'gift', amount: '/n', total: 1 }] } }, []],
    ['a greater amount', { limits: { uses: 10, amounts: [{ ...euros, total: 100.000001 }] } }, [limits(euros)]],
    ['no amount', { limits: { uses: 10 } }, [limits(euros)]],
    ['amounts of another type', { limits: { uses: 10, amounts: [{ ...euros, type: 'gift' }] } }, [limits(euros)]],
    ['amounts found elsewhere', { limits: { uses: 10, amounts: [{ ...euros, amount: '/sum' }] } }, [limits(euros)]],
    [
      'amounts in another unit',
      { limits: { uses: 10, amounts: [{ ...euros, unit: { at: '/currency', is: 'VND' } }] } },
      [limits(euros)],
    ],
    [
      'amounts in no unit',
      { limits: { uses: 10, amounts: [{ type: 'payment', amount: '/amount', total: 1 }] } },
      [limits(euros)],
    ],
    ['less deep', { passing: { depth: 1, to: ['agt_1', 'agt_2'] } }, []],
    ['deeper', { passing: { ...whole.passing, depth: 3 } }, [{ what: 'passing', value: 'depth' }]],
    ['to fewer', { passing: { depth: 2, to: ['agt_2'] } }, []],
    ['to nobody', { passing: { depth: 2, to: [] } }, []],
    ['to anybody', { passing: { depth: 2 } }, [{ what: 'passing', value: 'to' }]],
    ['to another', { passing: { depth: 1, to: ['agt_1', 'agt_3'] } }, [{ what: 'passing', value: 'to' }]],
    ['not at all, whoever is named', { passing: { depth: 0, to: ['agt_3'] } }, []],
    ['an earlier end', { endsAt: 999 }, []],
    ['a later end', { endsAt: 1001 }, [{ what: 'lifetime', value: 1001 }]],
    ['no end', { endsAt: Number.POSITIVE_INFINITY }, [{ what: 'lifetime', value: Number.POSITIVE_INFINITY }]],
    ['what is no end', { endsAt: Number.NaN }, [{ what: 'lifetime', value: Number.NaN }]],
    ['no depth at all', { passing: { ...whole.passing, depth: Number.NaN } }, [{ what: 'passing', value: 'depth' }]],
  ];
  for (const [what, change, beyond] of cases) {
    test(`${what}: ${beyond.length === 0 ? 'within' : 'beyond'}`, () => {
      assert.deepEqual(excessOf({ ...whole, ...change }, whole, typesOf), beyond);
      assert.equal(isWithinPower({ ...whole, ...change }, whole, typesOf), beyond.length === 0);
    });
  }

  test('what is beyond in several dimensions is named in each', () => {
    const other = { ...whole, resources: [{ ...second, resource: 'res_3' }], task: undefined, endsAt: 1001 };
    assert.deepEqual(
      excessOf(other, whole, typesOf).map(({ what }) => what),
      ['resource', 'task', 'lifetime'],
    );
  });

  test('a unit where there was none is a limit more', () => {
    const { unit: _, ...any } = euros;
    const [inner, outer] = [
      { ...whole, limits: { uses: 10, amounts: [euros] } },
      { ...whole, limits: { uses: 10, amounts: [any] } },
    ];
    assert.ok(isWithinPower(inner, outer, typesOf));
    assert.ok(!isWithinPower(outer, inner, typesOf));
  });

  function limits(value: AmountLimit): Excess {
    return { what: 'limits', value };
  }
});

suite('chains of actors', () => {
  const actor = (n: number, iss: string | undefined = 'https://us.example'): ChainedActor => ({
    sub: `spiffe://us.example/org/a-${n}`,
    ...(iss === undefined ? {} : { iss }),
    sub_profile: 'ai_agent',
  });
  const chainOf = (...actors: ChainedActor[]) =>
    actors.toReversed().reduce<Actor | undefined>((earlier, each) => nestActor(each, earlier), undefined);
  const code = (expected: string) => (error: unknown) => error instanceof ProtocolError && error.code === expected;

  test('the current actor stands outermost, and those before it inside', () => {
    const act = chainOf(actor(2), actor(1), actor(0));
    assert.deepEqual(act, { ...actor(2), act: { ...actor(1), act: actor(0) } });
    assert.deepEqual(actorsOf(act), [actor(2), actor(1), actor(0)]);
    assert.deepEqual(actorsOf(undefined), []);
  });

  test('any chain comes back as it was put together, to five actors and no further', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(20), { maxLength: 8 }), (numbers) => {
        const actors = numbers.map((n) => actor(n));
        if (actors.length <= deepestChain) assert.deepEqual(actorsOf(chainOf(...actors)), actors);
        else assert.throws(() => chainOf(...actors), code('too_deep'));
      }),
    );
    let act: unknown;
    for (let n = 0; n <= deepestChain; n++) act = { ...actor(n), act };
    assert.throws(() => actorsOf(act), code('too_deep'));
    const endless: Record<string, unknown> = { sub: 'x' };
    endless.act = endless;
    assert.throws(() => actorsOf(endless), code('too_deep'));
  });

  test('nobody acts twice, at any place of the chain', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(20), { minLength: 1, maxLength: deepestChain }), fc.nat(), (numbers, place) => {
        const again = actor(numbers[place % numbers.length] as number);
        assert.throws(() => nestActor(again, chainOf(...numbers.map((n) => actor(n)))), code('cycle'));
      }),
    );
  });

  test('the same name vouched for by another issuer is somebody else, by nobody it may be anybody', () => {
    const foreign = actor(1, 'https://them.example');
    assert.equal(actorsOf(nestActor(foreign, chainOf(actor(1)))).length, 2);
    const { iss: _, ...unsaid } = actor(1);
    assert.throws(() => nestActor(unsaid, chainOf(actor(1))), code('cycle'));
    assert.throws(() => nestActor(actor(1), unsaid), code('cycle'));
  });

  test('what is no chain is refused, however deep it stands', () => {
    for (const bad of [
      null,
      'x',
      [],
      [{ sub: 'x' }],
      {},
      { sub: '' },
      { sub: 1 },
      { sub: 'x', iss: 1 },
      { sub: 'x', sub_profile: [] },
    ]) {
      assert.throws(() => actorsOf(bad), code('malformed'), JSON.stringify(bad));
      assert.throws(() => actorsOf({ sub: 'y', act: bad }), code('malformed'), JSON.stringify(bad));
      assert.throws(() => nestActor(actor(0), { sub: 'y', act: bad as Actor }), code('malformed'), JSON.stringify(bad));
    }
  });
});
