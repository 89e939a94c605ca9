import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtocolError } from '@bailiwick/protocol';
import fc from 'fast-check';
import {
  bitString,
  booleanOf,
  der,
  integer,
  namedBitsOf,
  oid,
  oidOf,
  only,
  readerOf,
  sequence,
  smallOf,
  tags,
  take,
  time,
  timeOf,
  unsignedOf,
} from './der.ts';

const element = (...bytes: number[]) => take(readerOf(Buffer.from(bytes)));

const refused: [string, () => unknown][] = [
  ['nothing', () => element()],
  ['a tag alone', () => element(0x30)],
  ['a length beyond the end', () => element(0x30, 2, 0)],
  ['a length in the long form that fits the short one', () => element(0x30, 0x81, 1, 0)],
  ['a length with a zero in front', () => element(0x30, 0x82, 0, 0x80, ...Array(128).fill(0))],
  ['an indefinite length', () => element(0x30, 0x80, 0, 0)],
  ['a length of four bytes', () => element(0x30, 0x84, 0, 0, 0, 1, 0)],
  ['a tag of several bytes', () => element(0x3f, 0x81, 1, 0)],
  ['another tag than asked for', () => only(Buffer.of(0x31, 0), tags.sequence)],
  ['something behind the end', () => only(Buffer.of(0x30, 0, 0), tags.sequence)],
  ['a boolean that is 1', () => booleanOf(element(1, 1, 1))],
  ['a boolean of two bytes', () => booleanOf(element(1, 2, 0xff, 0xff))],
  ['an empty integer', () => unsignedOf(element(2, 0))],
  ['a negative integer', () => unsignedOf(element(2, 1, 0x80))],
  ['an integer with a zero too many', () => unsignedOf(element(2, 2, 0, 1))],
  ['a small integer that is large', () => smallOf(element(2, 5, 1, 0, 0, 0, 0))],
  ['an object identifier that is empty', () => oidOf(element(6, 0))],
  ['an object identifier that does not end', () => oidOf(element(6, 2, 0x55, 0x80))],
  ['an object identifier with a zero in front', () => oidOf(element(6, 3, 0x55, 0x80, 1))],
  ['named bits with zeros at the end', () => namedBitsOf(element(3, 2, 6, 0x80))],
  ['named bits that are set beyond the end', () => namedBitsOf(element(3, 2, 7, 0x81))],
  ['named bits with a byte of zeros', () => namedBitsOf(element(3, 3, 0, 0x80, 0))],
  ['named bits with eight unused ones', () => namedBitsOf(element(3, 2, 8, 0x80))],
  ...[
    '2602290000Z',
    '260230000000Z',
    '261301000000Z',
    '260101240000Z',
    '260101006000Z',
    '260101000000+0000',
    '26010100000Z',
    '２60101000000Z',
  ].map((text): [string, () => unknown] => [
    `the time ${text}`,
    () => timeOf(take(readerOf(der(tags.utcTime, Buffer.from(text))))),
  ]),
  [
    'a GeneralizedTime before 2050',
    () => timeOf(take(readerOf(der(tags.generalizedTime, Buffer.from('20260101000000Z'))))),
  ],
  [
    'a GeneralizedTime with a fraction',
    () => timeOf(take(readerOf(der(tags.generalizedTime, Buffer.from('20510101000000.5Z'))))),
  ],
];

for (const [what, read] of refused) {
  test(`no DER: ${what}`, () => {
    assert.throws(read, (error) => error instanceof ProtocolError && error.code === 'malformed');
  });
}

test('property: what is written is read again', () => {
  const arcs = fc.tuple(
    fc.integer({ min: 0, max: 2 }),
    fc.integer({ min: 0, max: 39 }),
    fc.array(fc.nat(2 ** 31), { maxLength: 5 }),
  );
  fc.assert(
    fc.property(arcs, ([top, second, rest]) => {
      const dotted = [top, second, ...rest].join('.');
      assert.equal(oidOf(take(readerOf(oid(dotted)))), dotted);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
      const first = bytes.findIndex((byte) => byte !== 0);
      const trimmed = Buffer.from(first === -1 ? [0] : bytes.subarray(first));
      assert.deepEqual(unsignedOf(take(readerOf(integer(bytes)))), trimmed);
      const whole = sequence(der(tags.octetString, bytes), bitString(bytes));
      const reader = readerOf(only(whole, tags.sequence).content);
      assert.deepEqual(take(reader, tags.octetString).content, Buffer.from(bytes));
      assert.deepEqual(take(reader, tags.bitString).content.subarray(1), Buffer.from(bytes));
    }),
  );
  const seconds = fc.integer({ min: Date.UTC(1950, 0) / 1000, max: Date.UTC(9999, 11, 31) / 1000 });
  fc.assert(
    fc.property(seconds, (at) => {
      assert.equal(timeOf(take(readerOf(time(at * 1000)))), at * 1000);
    }),
  );
});
