import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  contextRefusal,
  isContextWithin,
  narrowed,
  type Presenter,
  parseContext,
  type TokenContext,
} from './context.ts';
import { ProtocolError } from './errors.ts';
import { weekdays } from './local-time.ts';

const now = Date.parse('2026-11-23T10:00:00Z'); // a Monday
const from = (address: string): Presenter => ({ address, now });

test('a context is read in its canonical form', () => {
  const table: [string, unknown, unknown][] = [
    ['nothing', {}, {}],
    ['IPv4 in IPv6', { ip: ['::ffff:10.0.0.1'] }, { ip: ['10.0.0.1'] }],
    ['IPv4 in IPv6, in hexadecimal', { ip: ['::ffff:c000:201'] }, { ip: ['192.0.2.1'] }],
    ['IPv4 in IPv6, in full', { ip: ['0:0:0:0:0:FFFF:192.0.2.1'] }, { ip: ['192.0.2.1'] }],
    ['a network of IPv4 in IPv6', { ip: ['::ffff:10.0.0.0/104'] }, { ip: ['10.0.0.0/8'] }],
    ['all of IPv4, in IPv6', { ip: ['::ffff:0:0/96'] }, { ip: ['0.0.0.0/0'] }],
    ['IPv6 in capitals and in full', { ip: ['2001:DB8:0:0:0:0:0:1'] }, { ip: ['2001:db8::1'] }],
    ['the longest run of zeros alone is shortened', { ip: ['2001:0:0:1:0:0:0:1'] }, { ip: ['2001:0:0:1::1'] }],
    ['a single zero is not', { ip: ['2001:db8:0:1:1:1:1:1'] }, { ip: ['2001:db8:0:1:1:1:1:1'] }],
    ['nothing but zeros', { ip: ['::/0'] }, { ip: ['::/0'] }],
    ['a network of one', { ip: ['10.0.0.1/32', '::1/128'] }, { ip: ['10.0.0.1', '::1'] }],
    ['what lies in another', { ip: ['10.1.0.0/16', '10.0.0.0/8', '10.1.2.3'] }, { ip: ['10.0.0.0/8'] }],
    ['two halves', { ip: ['10.128.0.0/9', '10.0.0.0/9'] }, { ip: ['10.0.0.0/8'] }],
    ['four quarters', { ip: ['0.0.0.0/2', '64.0.0.0/2', '128.0.0.0/2', '192.0.0.0/2'] }, { ip: ['0.0.0.0/0'] }],
    ['countries, twice', { country: ['DE', 'AT', 'DE'] }, { country: ['AT', 'DE'] }],
    ['zones', { zone: ['eu-1', 'Rack.7_b'] }, { zone: ['Rack.7_b', 'eu-1'] }],
    [
      'days in the order of the week',
      { hours: [{ tz: 'UTC', windows: [{ days: ['fri', 'mon'], from: '08:00', to: '24:00' }] }] },
      { hours: [{ tz: 'UTC', windows: [{ days: ['mon', 'fri'], from: '08:00', to: '24:00' }] }] },
    ],
    [
      'all days, and a schedule twice',
      {
        hours: [
          { tz: 'UTC', windows: [{ days: [...weekdays].reverse(), from: '22:00', to: '06:00' }] },
          { tz: 'UTC', windows: [{ from: '22:00', to: '06:00' }] },
        ],
      },
      { hours: [{ tz: 'UTC', windows: [{ from: '22:00', to: '06:00' }] }] },
    ],
  ];
  for (const [what, value, expected] of table) assert.deepEqual(parseContext(value), expected, what);
});

test('what is no context is refused', () => {
  const window = { from: '08:00', to: '18:00' };
  const schedule = { tz: 'Europe/Berlin', windows: [window] };
  const table: [string, unknown, RegExp][] = [
    ['a list', [], /must be an object/],
    ['null', null, /must be an object/],
    ['a text', '{}', /must be an object/],
    ['an unknown member', { ip: ['10.0.0.1'], asn: ['1'] }, /no members but/],
    ['a prototype', JSON.parse('{"__proto__":{"ip":["10.0.0.1"]}}'), /no members but/],
    ['an empty list', { ip: [] }, /ip must be a list of 1 to 64/],
    ['one address alone', { ip: '10.0.0.1' }, /ip must be a list of 1 to 64/],
    ['65 addresses', { ip: Array.from({ length: 65 }, (_, i) => `10.0.0.${i}`) }, /ip must be a list of 1 to 64/],
    ['a name', { ip: ['example.com'] }, /ip must be a list of addresses/],
    ['a number', { ip: [1] }, /ip must be a list of addresses/],
    ['zeros before', { ip: ['010.0.0.1'] }, /ip must be a list of addresses/],
    ['half an address', { ip: ['10.0'] }, /ip must be a list of addresses/],
    ['a prefix too long', { ip: ['10.0.0.0/33'] }, /ip must be a list of addresses/],
    ['a prefix too long for IPv6', { ip: ['::/129'] }, /ip must be a list of addresses/],
    ['an empty prefix', { ip: ['10.0.0.0/'] }, /ip must be a list of addresses/],
    ['zeros before a prefix', { ip: ['10.0.0.0/08'] }, /ip must be a list of addresses/],
    ['two prefixes', { ip: ['10.0.0.0/8/8'] }, /ip must be a list of addresses/],
    ['bits beyond the prefix', { ip: ['10.1.2.3/8'] }, /more bits than its prefix/],
    ['bits beyond the prefix of IPv4 in IPv6', { ip: ['::ffff:10.1.0.0/104'] }, /more bits than its prefix/],
    ['an interface', { ip: ['fe80::1%eth0'] }, /ip must be a list of addresses/],
    ['brackets', { ip: ['[::1]'] }, /ip must be a list of addresses/],
    ['spaces', { ip: [' 10.0.0.1'] }, /ip must be a list of addresses/],
    ['a country in small letters', { country: ['de'] }, /country must be a list of countries/],
    ['a country of three letters', { country: ['DEU'] }, /country must be a list of countries/],
    ['no country', { country: [] }, /country must be a list of 1 to 64/],
    ['a zone with a space', { zone: ['eu 1'] }, /zone must be a list of names/],
    ['a zone without a name', { zone: [''] }, /zone must be a list of names/],
    ['a zone of 64 letters', { zone: ['a'.repeat(64)] }, /zone must be a list of names/],
    ['one schedule alone', { hours: schedule }, /hours must be a list of 1 to 8/],
    ['nine schedules', { hours: Array(9).fill(schedule) }, /hours must be a list of 1 to 8/],
    ['a schedule with an unknown member', { hours: [{ ...schedule, until: 1 }] }, /hours\[0\] has a member/],
    ['no time zone', { hours: [{ windows: [window] }] }, /hours\[0\]\.tz must be/],
    ['an unknown time zone', { hours: [{ ...schedule, tz: 'Mars/Olympus' }] }, /hours\[0\]\.tz must be/],
    ['an offset', { hours: [{ ...schedule, tz: '+02:00' }] }, /hours\[0\]\.tz must be/],
    ['no windows', { hours: [{ ...schedule, windows: [] }] }, /hours\[0\]\.windows must be/],
    ['15 windows', { hours: [{ ...schedule, windows: Array(15).fill(window) }] }, /hours\[0\]\.windows must be/],
    [
      'an unknown member of a window',
      { hours: [{ ...schedule, windows: [{ ...window, day: 'mon' }] }] },
      /windows\[0\] has/,
    ],
    ['a time without zero', { hours: [{ ...schedule, windows: [{ from: '8:00', to: '18:00' }] }] }, /from must be/],
    ['a beginning at 24:00', { hours: [{ ...schedule, windows: [{ from: '24:00', to: '18:00' }] }] }, /from must be/],
    ['an end at 24:01', { hours: [{ ...schedule, windows: [{ from: '08:00', to: '24:01' }] }] }, /to must be/],
    ['a minute 60', { hours: [{ ...schedule, windows: [{ from: '08:60', to: '18:00' }] }] }, /from must be/],
    ['no days', { hours: [{ ...schedule, windows: [{ ...window, days: [] }] }] }, /days must be/],
    ['a day twice', { hours: [{ ...schedule, windows: [{ ...window, days: ['mon', 'mon'] }] }] }, /days must be/],
    ['a day in full', { hours: [{ ...schedule, windows: [{ ...window, days: ['monday'] }] }] }, /days must be/],
  ];
  for (const [what, value, message] of table) {
    assert.throws(
      () => parseContext(value),
      (error: unknown) => {
        assert.ok(error instanceof ProtocolError, what);
        assert.equal(error.code, 'malformed', what);
        assert.match(error.message, message, what);
        return true;
      },
    );
  }
});

test('who is outside of which limit', () => {
  const context = parseContext({
    ip: ['10.0.0.0/8', '2001:db8::/32'],
    country: ['DE'],
    zone: ['eu-1'],
    hours: [{ tz: 'UTC', windows: [{ days: ['mon'], from: '10:00', to: '11:00' }] }],
  });
  const inside = { address: '10.1.2.3', country: 'DE', zone: 'eu-1', now };
  const table: [string, Partial<Presenter>, string | undefined][] = [
    ['inside', {}, undefined],
    ['IPv6', { address: '2001:db8::7' }, undefined],
    ['IPv4 in IPv6', { address: '::ffff:10.1.2.3' }, undefined],
    ['IPv4 in IPv6, in hexadecimal', { address: '::ffff:a01:203' }, undefined],
    ['the last of its network', { address: '10.255.255.255' }, undefined],
    ['the first of the next', { address: '11.0.0.0' }, 'ip'],
    ['IPv6 of the same bits', { address: '::10.1.2.3' }, 'ip'],
    ['an unknown address', { address: undefined }, 'ip'],
    ['no address', { address: 'unknown' }, 'ip'],
    ['with a port', { address: '10.1.2.3:80' }, 'ip'],
    ['an unknown country', { country: undefined }, 'country'],
    ['another country', { country: 'AT' }, 'country'],
    ['an unknown zone', { zone: undefined }, 'zone'],
    ['another zone', { zone: 'eu-10' }, 'zone'],
    ['a minute early', { now: now - 1 }, 'hours'],
    ['the last moment', { now: now + 3_600_000 - 1 }, undefined],
    ['the moment after', { now: now + 3_600_000 }, 'hours'],
    ['a week on', { now: now + 7 * 86_400_000 }, undefined],
    ['no time', { now: Number.NaN }, 'hours'],
    ['a time beyond all time', { now: 1e300 }, 'hours'],
  ];
  for (const [what, presenter, expected] of table) {
    assert.equal(contextRefusal(context, { ...inside, ...presenter }), expected, what);
  }
  assert.equal(contextRefusal(undefined, { address: undefined, now: Number.NaN }), undefined);
  assert.equal(contextRefusal({}, { address: undefined, now: Number.NaN }), undefined);
});

test('a limit that allows nobody, or that can not be read, refuses everybody', () => {
  for (const context of [{ ip: [] }, { ip: ['everywhere'] }, { ip: ['10.0.0.1/99'] }]) {
    assert.equal(contextRefusal(context, from('10.0.0.1')), 'ip');
  }
  assert.equal(contextRefusal({ hours: [] }, from('10.0.0.1')), 'hours');
  const unknownZone = { hours: [{ tz: 'Mars/Olympus', windows: [{ from: '00:00', to: '24:00' }] }] };
  assert.equal(contextRefusal(unknownZone, from('10.0.0.1')), 'hours');
});

test('country and zone are looked up only where they are limited', () => {
  const presenter = {
    address: '10.0.0.1',
    now,
    get country(): string {
      throw new Error('looked up');
    },
    get zone(): string {
      throw new Error('looked up');
    },
  };
  assert.equal(contextRefusal({ ip: ['10.0.0.0/8'] }, presenter), undefined);
});

test('what nobody can be inside of is refused, and so is what nobody could write down', () => {
  const hours = (tz: string, from: string, to: string) => ({ hours: [{ tz, windows: [{ from, to }] }] });
  const nowhere: [TokenContext, TokenContext, RegExp][] = [
    [{ ip: ['10.0.0.0/8'] }, { ip: ['11.0.0.0/8'] }, /addresses/],
    [{ ip: ['0.0.0.0/0'] }, { ip: ['::/0'] }, /addresses/],
    [{ country: ['DE'] }, { country: ['AT'] }, /countries/],
    [{ zone: ['eu-1'] }, { zone: ['eu-2'] }, /zones/],
    [hours('UTC', '08:00', '12:00'), hours('UTC', '12:00', '18:00'), /hours/],
  ];
  for (const [a, b, message] of nowhere) assert.throws(() => narrowed(a, b), { code: 'nowhere', message });
  const many = Array.from({ length: 8 }, (_, i) => `08:0${i}`);
  const eight = { hours: many.map((from) => ({ tz: 'UTC', windows: [{ from, to: '18:00' }] })) };
  assert.throws(() => narrowed(eight, hours('UTC', '09:00', '10:00')), { code: 'too_many' });
  assert.deepEqual(narrowed(eight, eight), eight);
});

// What follows is the algebra, on generated contexts.

const ipv4 = fc.tuple(fc.constantFrom(10, 11, 192), fc.nat(3), fc.nat(3), fc.nat(255)).map((parts) => parts.join('.'));
const ipv6 = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(0xffff)).map(([a, b, c]) => `2001:db8:${a}:${b}::${c.toString(16)}`);
const hexOf = (address: string) =>
  `::ffff:${address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('')
    .replace(/^(....)/, '$1:')}`;
const address = fc.oneof(
  ipv4,
  ipv6,
  ipv4.map((each) => `::ffff:${each}`),
  ipv4.map(hexOf),
);
const v4Network = fc
  .tuple(fc.constantFrom(10, 11, 192), fc.nat(3), fc.nat(3), fc.constantFrom(0, 6, 7, 8, 15, 16, 23, 24))
  .map(([a, b, c, length]) => {
    const bits = ((a << 24) | (b << 16) | (c << 8)) & (length === 0 ? 0 : -1 << (32 - length));
    return `${[24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.')}/${length}`;
  });
const network = fc.oneof(
  ipv4,
  ipv6,
  ipv4.map(hexOf),
  v4Network,
  v4Network.map((each) =>
    each.replace(/^(.*)\/(\d+)$/, (_, start, length) => `::ffff:${start}/${Number(length) + 96}`),
  ),
  fc.tuple(fc.nat(3), fc.nat(3)).map(([a, b]) => `2001:db8:${a}:${b}::/64`),
  fc.nat(3).map((a) => `2001:db8:${a}::/48`),
  fc.constantFrom('::/0', '2001:db8::/32'),
);
const list = <Entry>(entry: fc.Arbitrary<Entry>, maxLength = 6) => fc.array(entry, { minLength: 1, maxLength });
const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu'];
const time = fc
  .tuple(fc.nat(23), fc.nat(59))
  .map((parts) => parts.map((part) => String(part).padStart(2, '0')).join(':'));
const window = fc.record(
  {
    days: fc.uniqueArray(fc.constantFrom(...weekdays), { minLength: 1 }),
    from: time,
    to: fc.oneof(time, fc.constant('24:00')),
  },
  { requiredKeys: ['from', 'to'] },
);
const schedule = fc.record({ tz: fc.constantFrom(...zones), windows: list(window, 3) });
const context = fc
  .record(
    {
      ip: list(network),
      country: list(fc.constantFrom('DE', 'AT', 'CH')),
      zone: list(fc.constantFrom('eu-1', 'eu-2', 'us-1')),
      hours: list(schedule, 2),
    },
    { requiredKeys: [] },
  )
  .map(parseContext);

/** Around the changes of daylight saving of the zones above, and anywhere else. */
const changes = [
  '2026-03-29T01:00Z',
  '2026-10-25T01:00Z',
  '2026-03-08T07:00Z',
  '2026-11-01T06:00Z',
  '2026-04-04T15:00Z',
  '2026-10-03T15:30Z',
];
const instant = fc.oneof(
  fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: -200, max: 200 }))
    .map(([at, minutes]) => Date.parse(at) + minutes * 60_000),
  fc.integer({ min: now, max: now + 400 * 86_400_000 }),
);
const presenter = fc.record({
  address: fc.option(address, { nil: undefined, freq: 20 }),
  country: fc.constantFrom('DE', 'AT', 'CH', undefined),
  zone: fc.constantFrom('eu-1', 'eu-2', undefined),
  now: instant,
});

/** The narrowed context, or undefined in a box of its own where nobody is inside of both. */
function meet(
  a: TokenContext | undefined,
  b: TokenContext | undefined,
): { context: TokenContext | undefined } | 'nowhere' {
  try {
    return { context: narrowed(a, b) };
  } catch (error) {
    assert.equal((error as ProtocolError).code, 'nowhere');
    return 'nowhere';
  }
}

const isIn = (a: TokenContext | undefined, who: Presenter) => contextRefusal(a, who) === undefined;

test('inside of the narrowed is who is inside of both', () => {
  fc.assert(
    fc.property(context, context, presenter, (a, b, who) => {
      const met = meet(a, b);
      assert.equal(met !== 'nowhere' && isIn(met.context, who), isIn(a, who) && isIn(b, who));
    }),
    { numRuns: 2_000 },
  );
});

test('addresses alone: inside of the narrowed is who is inside of both', () => {
  fc.assert(
    fc.property(list(network, 10), list(network, 10), address, (a, b, from) => {
      const [x, y, who] = [parseContext({ ip: a }), parseContext({ ip: b }), { address: from, now }];
      const met = meet(x, y);
      assert.equal(met !== 'nowhere' && isIn(met.context, who), isIn(x, who) && isIn(y, who));
      assert.equal(isIn(x, who), isIn({ ip: a }, who), 'the canonical form holds the same');
    }),
    { numRuns: 2_000 },
  );
});

test('narrowing never widens, twice is once, and order does not matter', () => {
  fc.assert(
    fc.property(context, context, context, (a, b, c) => {
      const met = meet(a, b);
      assert.deepEqual(met, meet(b, a), 'commutative');
      assert.deepEqual(meet(a, a), { context: Object.keys(a).length === 0 ? undefined : a }, 'idempotent');
      if (met !== 'nowhere') {
        assert.ok(isContextWithin(met.context, a) && isContextWithin(met.context, b), 'never wider');
        assert.deepEqual(parseContext(met.context ?? {}), met.context ?? {}, 'canonical');
      }
      const left = met === 'nowhere' ? met : meet(met.context, c);
      const inner = meet(b, c);
      assert.deepEqual(left, inner === 'nowhere' ? inner : meet(a, inner.context), 'associative');
    }),
    { numRuns: 1_000 },
  );
});

test('what is within another is never inside where that is not', () => {
  let within = 0;
  fc.assert(
    fc.property(
      list(network, 3),
      list(network, 3),
      list(schedule, 2),
      schedule,
      presenter,
      (x, y, hours, last, who) => {
        const a = parseContext({ ip: x, hours });
        const b = parseContext({ ip: y, hours: [{ ...last, tz: hours[0]!.tz }] });
        if (!isContextWithin(a, { ip: b.ip! }) && !isContextWithin(a, { hours: b.hours! })) return;
        within++;
        assert.ok(!isContextWithin(a, b) || isIn(b, who) || !isIn(a, who));
        assert.ok(!isContextWithin(a, { ip: b.ip! }) || isIn({ ip: b.ip! }, who) || !isIn({ ip: a.ip! }, who));
        assert.ok(
          !isContextWithin(a, { hours: b.hours! }) || isIn({ hours: b.hours! }, who) || !isIn({ hours: a.hours! }, who),
        );
      },
    ),
    { numRuns: 1_000 },
  );
  assert.ok(within > 50, `${within} of the generated pairs say something`);
});

test('within: halves hold the whole, and what is not limited is within no limit', () => {
  assert.ok(isContextWithin({ ip: ['10.0.0.0/8'] }, { ip: ['10.0.0.0/9', '10.128.0.0/9'] }));
  assert.ok(!isContextWithin({ ip: ['10.0.0.0/8'] }, { ip: ['10.0.0.0/9'] }));
  assert.ok(!isContextWithin({}, { ip: ['0.0.0.0/0'] }));
  assert.ok(!isContextWithin(undefined, { country: ['DE'] }));
  assert.ok(isContextWithin({ country: ['DE'] }, undefined));
  assert.ok(isContextWithin({}, {}));
});
