import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtocolError } from '@bailiwick/protocol';
import fc from 'fast-check';
import { der, oid, sequence, tags } from '../lib/der.ts';
import { attributeNames, dnOf, formatName } from '../lib/x509-name.ts';
import { subjectFields } from './credential.ts';
import { canonicalName } from './distinguished-name.ts';
import { canonicalSubject, readSpiffePattern, subjectThumbprint } from './subject.ts';

const attempt = <Result>(work: () => Result): Result | undefined => {
  try {
    return work();
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    return undefined;
  }
};

test('every name has one spelling, and that one is its own', () => {
  const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom(...'aA=,+\\.:/@%# 1é"') }));
  const near = fc.oneof(text, fc.webUrl(), fc.ipV4(), fc.ipV6(), fc.emailAddress(), fc.domain());
  fc.assert(
    fc.property(fc.constantFrom(...subjectFields), near, (field, value) => {
      const once = attempt(() => canonicalSubject(field, value));
      if (once !== undefined) assert.equal(canonicalSubject(field, once), once);
    }),
    { numRuns: 3000 },
  );
});

test('a distinguished name says the same after it was written and read, whatever stands in it', () => {
  const value = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 20 })
    .filter((one) => !/[\u0000-\u001f\u007f]/.test(one));
  const attribute = fc.record({ type: fc.constantFrom('CN', 'O', 'OU', 'DC', '1.2.3.4'), value });
  const parts = fc.array(fc.array(attribute, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(parts, (name) => {
      const text = formatName(name);
      assert.equal(canonicalName(text), text);
    }),
  );
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      const sorted = (name: typeof a) =>
        JSON.stringify(
          name.map((part) => part.map(({ type, value: held }) => JSON.stringify([type, held])).toSorted()),
        );
      assert.equal(formatName(a) === formatName(b), sorted(a) === sorted(b), 'no two names are written alike');
    }),
  );
});

const inDer = (parts: readonly (readonly { type: string; tag?: number; value: string | Buffer }[])[]) =>
  dnOf(
    sequence(
      ...parts
        .toReversed()
        .map((part) =>
          der(
            tags.set,
            ...part.map(({ type, tag = tags.utf8String, value }) =>
              sequence(oid(oidByName.get(type) ?? type), der(tag, Buffer.from(value as string))),
            ),
          ),
        ),
    ),
  );
const oidByName = new Map(Object.entries(attributeNames).map(([id, name]) => [name, id]));

test('a name in a certificate has the spelling of the same name as it was registered, and no other', () => {
  const value = fc.string({ unit: fc.constantFrom(...'aA=,+\\;<>"# é\u{1F511}'), minLength: 1, maxLength: 4 });
  const attribute = fc.record({ type: fc.constantFrom('CN', 'O', 'DC', 'UID', '1.2.3.4'), value });
  const parts = fc.array(fc.array(attribute, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      const registered = canonicalName(formatName(a));
      assert.equal(inDer(a), registered);
      assert.equal(inDer(b) === registered, formatName(b) === registered);
    }),
  );
});

test('what nobody could register is spelled so that it is no registered name', () => {
  const names: Parameters<typeof inDer>[0][] = [
    [],
    [[{ type: 'CN', value: '' }]],
    [[{ type: 'CN', value: 'a\u0000' }]],
    [[{ type: 'CN', value: 'a\n' }]],
    [[{ type: 'CN', value: '\u007f' }]],
    [[{ type: 'CN', tag: 0x14, value: 'a' }]], // T.61
    [[{ type: 'CN', tag: 0x1e, value: Buffer.of(0, 0x61) }]], // UTF-16
    [[{ type: 'O', value: 'a' }], [{ type: 'CN', tag: tags.octetString, value: 'a' }]],
  ];
  for (const name of names) {
    const spelled = inDer(name);
    assert.notEqual(
      attempt(() => canonicalName(spelled)),
      spelled,
      spelled,
    );
  }
  for (const [tag, bytes] of [
    [tags.utf8String, Buffer.of(0xff)],
    [tags.printableString, Buffer.of(0xe9)],
  ] as const) {
    assert.throws(() => inDer([[{ type: 'CN', tag, value: bytes }]]), { code: 'malformed' });
  }
  assert.throws(() => inDer([[]]), { code: 'malformed' });
});

test('escapes of RFC 4514 §2.4 and §3, in either form', () => {
  for (const [written, canonical] of [
    ['CN=Lu\\C4\\8Di\\C4\\87', 'CN=Lučić'],
    ['CN=James \\"Jim\\" Smith\\, III,DC=example', 'CN=James \\"Jim\\" Smith\\, III,DC=example'],
    ['CN=Before\\20After', 'CN=Before After'],
    ['OU=Sales+CN=J.  Smith,DC=net', 'CN=J.  Smith+OU=Sales,DC=net'],
    ['CN=\\ a\\ ', 'CN=\\ a\\ '],
    ['CN=  a  ', 'CN=a'],
    ['CN=\\ ', 'CN=\\ '],
    ['CN=\\20', 'CN=\\ '],
    ['CN=\\#1', 'CN=\\#1'],
    ['CN=a\\=b', 'CN=a=b'],
    ['oid.2.5.4.3=a', 'CN=a'],
    ['emailaddress=a@b.example', 'emailAddress=a@b.example'],
  ] as const) {
    assert.equal(canonicalName(written), canonical);
  }
});

test('another field, name or authority is another credential', () => {
  const prints = [
    subjectThumbprint({ field: 'san_dns', value: 'a' }),
    subjectThumbprint({ field: 'san_uri', value: 'a' }),
    subjectThumbprint({ field: 'san_dns', value: 'b' }),
    subjectThumbprint({ field: 'san_dns', value: 'a', ca: 'x' }),
  ];
  assert.equal(new Set(prints).size, prints.length);
});

test('a pattern ends with /*, and has no star elsewhere', () => {
  assert.deepEqual(readSpiffePattern('spiffe://a.example/b/*'), { trustDomain: 'a.example', path: ['b'], below: true });
  assert.deepEqual(readSpiffePattern('spiffe://a.example/*'), { trustDomain: 'a.example', path: [], below: true });
  for (const text of [
    'spiffe://a.example*',
    'spiffe://a.example/b*',
    'spiffe://a.example/*/b',
    'spiffe://a.example/**',
    '/*',
  ]) {
    assert.throws(() => readSpiffePattern(text), /^ProtocolError: is no SPIFFE ID/, text);
  }
});
