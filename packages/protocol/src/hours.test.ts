import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatHours, isOpen, isTimeZone, parseHours, type Schedule } from './hours.ts';
import type { Weekday } from './local-time.ts';

const schedule = (tz: string, from: string, to: string, days?: Weekday[]): Schedule => ({
  tz,
  windows: [days === undefined ? { from, to } : { days, from, to }],
});

test('hours are what a clock on the wall shows', () => {
  const office = schedule('Europe/Berlin', '08:00', '18:00', ['mon', 'tue', 'wed', 'thu', 'fri']);
  const night = schedule('Europe/Berlin', '22:00', '06:00', ['fri']);
  const gap = schedule('Europe/Berlin', '02:00', '03:00');
  const sunday = schedule('Europe/Berlin', '20:00', '04:00', ['sun']);
  const table: [string, Schedule, string, boolean][] = [
    ['at its beginning', office, '2026-11-23T08:00:00+01:00', true],
    ['a moment before', office, '2026-11-23T07:59:59.999+01:00', false],
    ['the last moment', office, '2026-11-23T17:59:59.999+01:00', true],
    ['at its end', office, '2026-11-23T18:00:00+01:00', false],
    ['by the wall in summer, too', office, '2026-07-06T08:00:00+02:00', true],
    ['which is another hour of UTC', office, '2026-07-06T06:00:00Z', true],
    ['but not in winter', office, '2026-11-23T06:00:00Z', false],
    ['on Saturday', office, '2026-11-28T10:00:00+01:00', false],
    ['over midnight, the evening', night, '2026-11-27T23:00:00+01:00', true],
    ['over midnight, the morning after', night, '2026-11-28T05:59:00+01:00', true],
    ['over midnight, the morning before', night, '2026-11-27T05:00:00+01:00', false],
    ['over midnight, the evening after', night, '2026-11-28T22:00:00+01:00', false],
    ['over the end of the week', sunday, '2026-11-30T03:59:00+01:00', true],
    ['not the other way round', sunday, '2026-11-29T03:59:00+01:00', false],
    ['an hour that is left out: before', gap, '2026-03-29T01:59:59+01:00', false],
    ['an hour that is left out: after', gap, '2026-03-29T03:00:00+02:00', false],
    ['an hour that comes twice: first', gap, '2026-10-25T02:30:00+02:00', true],
    ['an hour that comes twice: again', gap, '2026-10-25T02:30:00+01:00', true],
    ['an hour that comes twice: after', gap, '2026-10-25T03:00:00+01:00', false],
    ['half an hour of summer', schedule('Australia/Lord_Howe', '02:00', '02:30'), '2026-10-03T15:30:00Z', false],
    ['three quarters of an hour', schedule('Asia/Kathmandu', '15:45', '15:46'), '2026-11-23T10:00:00Z', true],
    ['all day, until 24:00', schedule('UTC', '00:00', '24:00'), '2026-11-23T23:59:59Z', true],
    ['until 00:00 is until midnight', schedule('UTC', '08:00', '00:00', ['mon']), '2026-11-24T00:00:00Z', false],
    ['from and to alike: a whole day', schedule('UTC', '08:00', '08:00', ['mon']), '2026-11-24T07:59:00Z', true],
    ['and not more', schedule('UTC', '08:00', '08:00', ['mon']), '2026-11-24T08:00:00Z', false],
    ['a zone that nobody knows', schedule('Mars/Olympus', '00:00', '24:00'), '2026-11-23T10:00:00Z', false],
    ['no windows', { tz: 'UTC', windows: [] }, '2026-11-23T10:00:00Z', false],
  ];
  for (const [what, hours, at, expected] of table)
    assert.equal(isOpen(hours, Date.parse(at)), expected, `${what}: ${at}`);
});

test('a clock that is set back is asked again', () => {
  const hours = schedule('Europe/Berlin', '08:00', '09:00');
  const open = Date.parse('2026-11-23T08:30:00+01:00');
  for (const [at, expected] of [
    [open, true],
    [open + 3_600_000, false],
    [open, true],
    [open - 86_400_000, true],
  ] as const) {
    assert.equal(isOpen(hours, at), expected);
  }
});

test('names of time zones, and what is none', () => {
  for (const name of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+2'])
    assert.ok(isTimeZone(name), name);
  for (const name of ['', '+02:00', '-05', 'Z', 'Europe/Atlantis', 'Europe/Berlin ', 'a'.repeat(65), 'Europe/\u0000']) {
    assert.ok(!isTimeZone(name), name);
  }
});

test('hours as people write them', () => {
  const table: [string, Schedule][] = [
    [
      'mon-fri 08:00-18:00 Europe/Berlin',
      schedule('Europe/Berlin', '08:00', '18:00', ['mon', 'tue', 'wed', 'thu', 'fri']),
    ],
    ['08:00-24:00 UTC', schedule('UTC', '08:00', '24:00')],
    ['mon-sun 22:00-06:00 UTC', schedule('UTC', '22:00', '06:00')],
    ['  FRI-Mon   22:00-06:00   UTC ', schedule('UTC', '22:00', '06:00', ['mon', 'fri', 'sat', 'sun'])],
    ['tue thu-fri 08:00-09:00 UTC', schedule('UTC', '08:00', '09:00', ['tue', 'thu', 'fri'])],
    [
      'mon-tue 08:00-18:00, sat 09:00-12:00 UTC',
      {
        tz: 'UTC',
        windows: [
          ...schedule('', '08:00', '18:00', ['mon', 'tue']).windows,
          ...schedule('', '09:00', '12:00', ['sat']).windows,
        ],
      },
    ],
  ];
  for (const [text, expected] of table) {
    assert.deepEqual(parseHours(text), expected, text);
    assert.deepEqual(parseHours(formatHours(expected)), expected, text);
  }
});

test('what is no hours', () => {
  const refused = [
    '',
    'always',
    'UTC',
    'mon-fri UTC',
    'mon-fri 08:00-18:00',
    '08:00-18:00 +02:00',
    'mon-fri 8:00-18:00 UTC',
    'mon-fri 08:00–18:00 UTC',
    'mon-fri 08:00 - 18:00 UTC',
    'mon,fri 08:00-18:00 UTC',
    'monday 08:00-18:00 UTC',
    'mon mon 08:00-18:00 UTC',
    'mon-fri fri 08:00-18:00 UTC',
    'xyz 08:00-18:00 UTC',
    '24:00-08:00 UTC',
    '08:00-24:01 UTC',
    '08:00-18:00, UTC',
    '08:00-18:00 UTC UTC',
    Array(15).fill('08:00-18:00').join(', ').concat(' UTC'),
  ];
  for (const text of refused) assert.throws(() => parseHours(text), { code: 'malformed' }, text);
});

test('a wall clock of our own says the same as another reading of Intl', () => {
  const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Pacific/Apia', 'Asia/Kathmandu', 'UTC'];
  const names = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
  const times = fc.integer({ min: Date.parse('2020-01-01'), max: Date.parse('2035-01-01') });
  fc.assert(
    fc.property(fc.constantFrom(...zones), times, (tz, now) => {
      // "2026-11-23, 08:00:00", read as if it were UTC
      const shown = new Date(`${new Date(now).toLocaleString('sv-SE', { timeZone: tz }).replace(' ', 'T')}Z`);
      const from = shown.toISOString().slice(11, 16);
      const next = new Date(shown.getTime() + 60_000).toISOString().slice(11, 16);
      const today = names[shown.getUTCDay()] as Weekday;
      assert.ok(isOpen(schedule(tz, from, next, [today]), now));
      const later = new Date(shown.getTime() + 120_000).toISOString().slice(11, 16);
      assert.ok(!isOpen(schedule(tz, next, later, [today]), now));
    }),
    { numRuns: 500 },
  );
});
