import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { formatChallenge, parseChallenges } from './index.ts';
import { code } from './testing.ts';

const parsed = (header: string) =>
  parseChallenges(header).map(({ scheme, params }) => ({ scheme, params: { ...params } }));

suite('challenge', () => {
  test('writes quoted strings and leaves out what is undefined', () => {
    assert.equal(
      formatChallenge('DPoP', { error: 'invalid_token', error_description: 'say "hi" \\ bye', scope: undefined }),
      'DPoP error="invalid_token", error_description="say \\"hi\\" \\\\ bye"',
    );
    assert.equal(formatChallenge('Bearer', {}), 'Bearer');
  });

  const broken: [name: string, scheme: string, params: Record<string, string>][] = [
    ['a line break in a value', 'Bearer', { error: 'a\r\nSet-Cookie: x=y' }],
    ['NUL in a value', 'Bearer', { error: '\0' }],
    ['a value beyond ASCII', 'Bearer', { error: 'ä' }],
    ['a line break in a name', 'Bearer', { 'a\r\nb': 'x' }],
    ['an empty name', 'Bearer', { '': 'x' }],
    ['a scheme with a space', 'Be arer', {}],
    ['an empty scheme', '', {}],
  ];
  for (const [name, scheme, params] of broken) {
    test(`refuses to write ${name}`, () =>
      assert.equal(
        code(() => formatChallenge(scheme, params)),
        'malformed',
      ));
  }

  const readable: [header: string, challenges: object[]][] = [
    ['', []],
    [' , ,', []],
    ['Bearer', [{ scheme: 'Bearer', params: {} }]],
    [
      'Bearer realm="a, b", ERROR=invalid_token',
      [{ scheme: 'Bearer', params: { realm: 'a, b', error: 'invalid_token' } }],
    ],
    ['Bearer a = "b" ,, c=d', [{ scheme: 'Bearer', params: { a: 'b', c: 'd' } }]],
    [
      'DPoP algs="ES256 EdDSA", Bearer x="y"',
      [
        { scheme: 'DPoP', params: { algs: 'ES256 EdDSA' } },
        { scheme: 'Bearer', params: { x: 'y' } },
      ],
    ],
    [
      'Basic, DPoP',
      [
        { scheme: 'Basic', params: {} },
        { scheme: 'DPoP', params: {} },
      ],
    ],
    [
      'Negotiate abc==, Bearer a=b',
      [
        { scheme: 'Negotiate', params: { token68: 'abc==' } },
        { scheme: 'Bearer', params: { a: 'b' } },
      ],
    ],
    ['Bearer a=""', [{ scheme: 'Bearer', params: { a: '' } }]],
    ['Bearer __proto__="x"', [{ scheme: 'Bearer', params: { ['__proto__']: 'x' } }]],
  ];
  for (const [header, challenges] of readable) {
    test(`reads ${JSON.stringify(header)}`, () => assert.deepEqual(parsed(header), challenges));
  }

  for (const bad of [
    '"',
    '=',
    'Bearer a="b',
    'Bearer a="b\\',
    'Bearer a="b" c="d"',
    'Bearer a=b, a=c',
    'Bearer a=b, A=c',
    'Bearer a=;',
    'Bearer (x)',
    'é',
    `Bearer a="${'x'.repeat(17_000)}"`,
  ]) {
    test(`refuses ${JSON.stringify(bad.slice(0, 24))}`, () =>
      assert.equal(
        code(() => parseChallenges(bad)),
        'malformed',
      ));
  }

  const name = fc.stringMatching(/^[a-z0-9_]{1,10}$/).filter((text) => text !== 'token68');
  const value = fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((point) => String.fromCharCode(point)),
    maxLength: 30,
  });
  const params = fc
    .uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 5 })
    .map(Object.fromEntries);

  test('property: what is written reads back, several in one header too', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ scheme: fc.constantFrom('Bearer', 'DPoP', 'X-y'), params }), { maxLength: 3 }),
        (challenges) => {
          const header = challenges.map((challenge) => formatChallenge(challenge.scheme, challenge.params)).join(', ');
          assert.deepEqual(
            parsed(header),
            challenges.map((challenge) => ({ scheme: challenge.scheme, params: { ...challenge.params } })),
          );
        },
      ),
    );
  });
});
