import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { readSchema, SchemaError } from './json-schema.ts';
import { wrongWith } from './json-schema-check.ts';

/** Where and what the first mistake is: `a.b must …`; undefined if there is none. */
async function wrong(schema: unknown, value: unknown): Promise<string | undefined> {
  const found = wrongWith(await readSchema(schema), value);
  return found && `${found.at} ${found.message}`.trim();
}

suite('values held against a schema', () => {
  const payment = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    required: ['to'],
    properties: {
      to: { $ref: '#/$defs/account' },
      amount: { type: 'number', exclusiveMinimum: 0, maximum: 1000, multipleOf: 0.01 },
      currency: { enum: ['EUR', 'USD'] },
      tags: { type: 'array', items: { type: 'string', minLength: 1, maxLength: 3 }, uniqueItems: true, maxItems: 3 },
      pair: { type: 'array', prefixItems: [{ type: 'string' }, { type: 'integer' }], items: false, minItems: 2 },
      when: { type: 'string', format: 'date-time' },
      code: { type: 'string', pattern: '^[A-Z]{2}[0-9]+$' },
      nested: { properties: { a: true, b: false } },
      open: { type: 'object', additionalProperties: { type: 'integer' }, minProperties: 1, maxProperties: 2 },
      named: { type: 'object', patternProperties: { '^x-': { type: 'string' } } },
      either: { anyOf: [{ type: 'null' }, { type: 'object', properties: { a: { const: 1 } } }] },
      one: {
        oneOf: [
          { type: 'integer', multipleOf: 2 },
          { type: 'integer', multipleOf: 3 },
        ],
      },
      not: { type: 'string', not: { const: 'no' } },
      all: { allOf: [{ minimum: 1 }, { maximum: 3 }] },
      mixed: { type: ['string', 'null'] },
      exact: { const: { a: [1, null], b: 'x' } },
    },
    $defs: { account: { type: 'object', required: ['iban'], properties: { iban: { type: 'string' } } } },
  };
  const to = { iban: 'x' };
  const cases: [value: Record<string, unknown>, wrong: string | undefined][] = [
    [{ to }, undefined],
    [{}, 'to must be there'],
    [{ to: 'x' }, 'to must be of type object'],
    [{ to: {} }, 'to.iban must be there'],
    [{ to: { iban: 'x', bic: 'y' } }, 'to.bic is no member of this type'],
    [{ to, other: 1 }, 'other is no member of this type'],
    [{ to, 'a\nb': 1 }, '? is no member of this type'],
    [{ to, toString: 1 }, 'toString is no member of this type'],
    [JSON.parse('{"to":{"iban":"x"},"__proto__":1}'), '__proto__ is no member of this type'],
    [{ to, amount: 0.07 }, undefined],
    [{ to, amount: 0 }, 'amount must be more than 0'],
    [{ to, amount: 1000.01 }, 'amount must be at most 1000'],
    [{ to, amount: 0.001 }, 'amount must be a multiple of 0.01'],
    [{ to, amount: '5' }, 'amount must be of type number'],
    [{ to, currency: 'EUR' }, undefined],
    [{ to, currency: 'eur' }, 'currency must be one of the values listed'],
    [{ to, tags: ['a', 'ä😀b'] }, undefined],
    [{ to, tags: ['a', 'a'] }, 'tags must name each item once'],
    [{ to, tags: ['', 'a'] }, 'tags[0] must have at least 1 letters'],
    [{ to, tags: ['abcd'] }, 'tags[0] must have at most 3 letters'],
    [{ to, tags: ['a', 'b', 'c', 'd'] }, 'tags must have at most 3 items'],
    [{ to, pair: ['a', 1] }, undefined],
    [{ to, pair: ['a', 1.5] }, 'pair[1] must be of type integer'],
    [{ to, pair: ['a'] }, 'pair must have at least 2 items'],
    [{ to, pair: ['a', 1, 2] }, 'pair[2] must not be there'],
    [{ to, when: '2026-11-23T01:00:00Z' }, undefined],
    [{ to, when: '2026-02-29T01:00:00Z' }, 'when must be of the format date-time'],
    [{ to, code: 'AB12' }, undefined],
    [{ to, code: 'AB12\n' }, 'code must match its pattern'],
    [{ to, nested: { a: {} } }, undefined],
    [{ to, nested: { b: 1 } }, 'nested.b must not be there'],
    [{ to, nested: { c: 1 } }, 'nested.c is no member of this type'],
    [{ to, nested: 5 }, undefined],
    [{ to, open: { x: 1 } }, undefined],
    [{ to, open: { x: 'a' } }, 'open.x must be of type integer'],
    [{ to, open: {} }, 'open must have at least 1 members'],
    [{ to, named: { 'x-a': 'b' } }, undefined],
    [{ to, named: { 'x-a': 1 } }, 'named.x-a must be of type string'],
    [{ to, named: { y: 'b' } }, 'named.y is no member of this type'],
    [{ to, either: null }, undefined],
    [{ to, either: { a: 1 } }, undefined],
    [{ to, either: { a: 1, b: 2 } }, 'either must be of one of the forms allowed'],
    [{ to, one: 4 }, undefined],
    [{ to, one: 6 }, 'one must be of exactly one of the forms allowed'],
    [{ to, one: 5 }, 'one must be of exactly one of the forms allowed'],
    [{ to, not: 'yes' }, undefined],
    [{ to, not: 'no' }, 'not must not be of the form excluded'],
    [{ to, all: 2 }, undefined],
    [{ to, all: 4 }, 'all must be at most 3'],
    [{ to, mixed: null }, undefined],
    [{ to, mixed: 1 }, 'mixed must be of type string or null'],
    [{ to, exact: { b: 'x', a: [1, null] } }, undefined],
    [{ to, exact: { b: 'x', a: [1] } }, 'exact must be one of the values listed'],
  ];
  for (const [value, is] of cases) {
    test(`${JSON.stringify(value)}: ${is ?? 'fine'}`, async () => assert.equal(await wrong(payment, value), is));
  }

  test('forms of the same object: the schema around them names all members', async () => {
    const schema = {
      type: 'object',
      properties: { a: true, b: true },
      oneOf: [{ required: ['a'], properties: { a: { type: 'string' } } }, { required: ['b'] }],
    };
    assert.equal(await wrong(schema, { a: 'x' }), undefined);
    assert.equal(await wrong(schema, { b: 1 }), undefined);
    assert.equal(await wrong(schema, { a: 'x', c: 1 }), 'c is no member of this type');
    assert.equal(await wrong(schema, { a: 'x', b: 1 }), 'must be of exactly one of the forms allowed');
  });

  test('what is excluded stays excluded with a member more', async () => {
    const schema = {
      type: 'object',
      properties: { a: true, b: true },
      not: { type: 'object', properties: { a: { const: 1 } }, required: ['a'] },
    };
    assert.equal(await wrong(schema, { a: 1, b: 2 }), 'must not be of the form excluded');
  });

  const formats: [format: string, good: string[], bad: string[]][] = [
    ['date', ['2024-02-29', '2000-02-29'], ['2023-02-29', '1900-02-29', '2026-13-01', '2026-00-01', '2026-1-1', '']],
    [
      'date-time',
      ['2026-11-23T01:02:03Z', '2026-11-23t23:59:60.123+14:00'],
      ['2026-11-23 01:02:03Z', '2026-11-23T24:00:00Z', '2026-11-23T01:02:03', '2026-11-23T01:02:03+24:00'],
    ],
    ['time', ['01:02:03'], ['25:00:00', '1:2:3', '01:02:03Z']],
    ['email', ['a@b', 'a.b+c@d.example'], ['a', '@b', 'a@', 'a b@c', 'a@b@c']],
    ['hostname', ['a', 'a-b.example'], ['', 'a..b', '-a.b', 'a_b', `${'a'.repeat(64)}.b`]],
    ['ipv4', ['1.2.3.4'], ['1.2.3', '1.2.3.256', '01.2.3.4', '::1']],
    ['ipv6', ['::1', '::ffff:1.2.3.4'], ['1.2.3.4', 'fe80::1%eth0', ':::']],
    ['uri', ['https://a.example/b', 'urn:x:y'], ['/a', 'a b:c', 'https://']],
    ['uuid', ['123e4567-e89b-12d3-a456-426614174000'], ['123e4567e89b12d3a456426614174000', 'x']],
  ];
  for (const [format, good, bad] of formats) {
    test(`format ${format}`, async () => {
      for (const text of good) assert.equal(await wrong({ format }, text), undefined, text);
      for (const text of bad) assert.equal(await wrong({ format }, text), `must be of the format ${format}`, text);
    });
  }
});

suite('schemas that are refused', () => {
  const growing = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [
      `d${i}`,
      { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
    ]),
  );
  let deep: unknown = {};
  for (let i = 0; i < 20; i++) deep = { items: deep };
  const refused: [what: string, schema: unknown, at: string, says: RegExp][] = [
    ['no object', 'x', '', /must be an object/],
    ['null', null, '', /must be an object/],
    ['an unknown keyword', { properties: { a: { maximun: 1 } } }, 'properties.a.maximun', /not accepted/],
    ['$dynamicRef', { $dynamicRef: '#x' }, '$dynamicRef', /not accepted/],
    ['$anchor', { $anchor: 'x' }, '$anchor', /not accepted/],
    ['$id, which moves references', { $id: 'https://example.com/x' }, '$id', /not accepted/],
    ['if', { if: true }, 'if', /not accepted/],
    ['unevaluatedProperties', { unevaluatedProperties: false }, 'unevaluatedProperties', /not accepted/],
    ['$vocabulary', { $vocabulary: {} }, '$vocabulary', /not accepted/],
    ['another draft', { $schema: 'http://json-schema.org/draft-07/schema#' }, '$schema', /2020-12/],
    ['definitions further in', { properties: { a: { $defs: {} } } }, 'properties.a.$defs', /at the top/],
    ['a remote reference', { $ref: 'https://example.com/schema' }, '$ref', /into this schema/],
    ['a reference to a file', { $ref: 'file:///etc/passwd' }, '$ref', /into this schema/],
    ['a reference to itself', { $ref: '#' }, '$ref', /into this schema/],
    ['a reference that is no string', { $ref: {} }, '$ref', /into this schema/],
    ['a reference to nothing', { $ref: '#/$defs/a' }, '$ref', /names no definition/],
    ['a reference to what objects inherit', { $ref: '#/$defs/constructor' }, '$ref', /names no definition/],
    ['a circle', { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } }, '$ref', /back to itself/],
    [
      'a circle of two, unused',
      { $defs: { a: { items: { $ref: '#/$defs/b' } }, b: { not: { $ref: '#/$defs/a' } } } },
      'not.$ref',
      /back to itself/,
    ],
    ['definitions that grow', { $ref: '#/$defs/d0', $defs: { ...growing, d30: {} } }, 'd', /at most 1000 schemas/],
    ['depth', deep, 'items.items', /nested at most 12/],
    ['size', { description: 'x'.repeat(17_000) }, '', /at most 16384 bytes/],
    ['too many schemas', { anyOf: Array(1001).fill({}) }, '', /at most 1000 schemas/],
    ['a type that there is not', { type: 'text' }, 'type', /must be of null/],
    ['no types', { type: [] }, 'type', /must be of null/],
    ['an empty enum', { enum: [] }, 'enum', /1 to 200/],
    ['a long enum', { enum: Array.from({ length: 201 }, (_, i) => i) }, 'enum', /1 to 200/],
    ['an unknown format', { format: 'iban' }, 'format', /must be one of date/],
    ['a format that objects inherit', { format: 'constructor' }, 'format', /must be one of date/],
    ['format regex', { format: 'regex' }, 'format', /must be one of date/],
    ['required that is no list', { required: 'a' }, 'required', /list of names/],
    ['properties that are a list', { properties: [] }, 'properties', /object of schemas/],
    ['a property that is null', { properties: { a: null } }, 'properties.a', /must be a schema/],
    ['items that are a list', { items: [{}] }, 'items', /must be a schema/],
    ['an empty anyOf', { anyOf: [] }, 'anyOf', /list of schemas/],
    ['a limit that is text', { maximum: '5' }, 'maximum', /must be a number/],
    ['multipleOf 0', { multipleOf: 0 }, 'multipleOf', /above 0/],
    ['a negative length', { minLength: -1 }, 'minLength', /whole number/],
    ['uniqueItems as text', { uniqueItems: 'yes' }, 'uniqueItems', /true or false/],
    ['a pattern that is no string', { pattern: 1 }, 'pattern', /must be a string/],
    ['a pattern that is none', { pattern: '[' }, 'pattern', /rules of RE2/],
    ['look-ahead', { pattern: '(?=a)a' }, 'pattern', /rules of RE2/],
    ['a reference back', { pattern: '(a)\\1' }, 'pattern', /rules of RE2/],
    ['a long pattern', { pattern: 'a'.repeat(257) }, 'pattern', /256 letters/],
    ['a pattern that grows', { pattern: '([a-z]{100}){9}' }, 'pattern', /simpler/],
    ['a pattern that grows in its groups', { pattern: `((?:${'a?'.repeat(100)}){31}){31}` }, 'pattern', /simpler/],
    ['a class without regard to case', { pattern: '(?i)[a-\\x{10fffe}]' }, 'pattern', /without flags/],
    ['flags for a group', { pattern: 'a(?i:[a-\\x{10fffe}])' }, 'pattern', /without flags/],
    ['flags among others', { pattern: '(?sim-U)a' }, 'pattern', /without flags/],
    ['flags behind a backslash', { pattern: '\\\\(?i)a' }, 'pattern', /without flags/],
    ['flags behind a quotation', { pattern: '\\Q\\\\E(?i)a' }, 'pattern', /without \\Q/],
    ['many classes of Unicode', { pattern: '\\pL|\\PN|'.repeat(5) }, 'pattern', /at most 8 classes/],
    [
      'many patterns',
      { properties: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`p${i}`, { pattern: 'a' }])) },
      'properties.p20.pattern',
      /at most 20/,
    ],
    [
      'many patterns, of names too, and in definitions',
      {
        patternProperties: Object.fromEntries(Array.from({ length: 19 }, (_, i) => [`^${i}`, true])),
        $defs: { one: { pattern: 'a' }, two: { pattern: 'a' } },
      },
      'patternProperties',
      /at most 20/,
    ],
    [
      'a pattern of names that grows',
      { patternProperties: { '([a-z]{100}){9}': true } },
      'patternProperties',
      /simpler/,
    ],
    [
      'a growing pattern within a pattern',
      { patternProperties: { a: { pattern: '(x+x+)+\\1' } } },
      'patternProperties.a.pattern',
      /rules of RE2/,
    ],
  ];
  for (const [what, schema, at, says] of refused) {
    test(what, async () => {
      await assert.rejects(readSchema(schema), (error) => {
        assert.ok(error instanceof SchemaError, String(error));
        assert.match(error.message, says);
        assert.ok(error.at.includes(at), error.at);
        return true;
      });
    });
  }
});

suite('patterns that are accepted', () => {
  const usual = [
    '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
    '^[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?$',
    '^(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})\\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})$',
    '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{1,9})?(?:Z|[+-]\\d{2}:\\d{2})$',
    '^[\\p{L}\\p{M}\\p{N} .,\\-]{1,100}$',
    '^(?P<year>[0-9]{4})\\(\\?(?<rest>.*)\\)$',
    '^.{1,140}$',
    'a\\(?i',
  ];
  for (const pattern of usual) test(pattern, async () => assert.equal((await readSchema({ pattern })).patterns, 1));
});

suite('time', () => {
  /** CPU seconds that it takes. */
  const cpu = async (work: () => Promise<unknown>) => {
    const before = process.cpuUsage().user;
    await work();
    return (process.cpuUsage().user - before) / 1e6;
  };

  const doubled = Object.fromEntries(
    Array.from({ length: 7 }, (_, i) => [
      `d${i}`,
      { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
    ]),
  );
  const hostile: [what: string, schema: unknown, value: unknown, says: string | undefined][] = [
    ['the pattern that stops engines', { pattern: '^(a+)+$' }, `${'a'.repeat(16_000)}!`, 'must match its pattern'],
    [
      'many letters against a large pattern',
      { pattern: '(?:[a-d]?){120}[x-z]' },
      'abcd'.repeat(4000),
      'takes too long to check',
    ],
    [
      'many patterns against many names',
      {
        additionalProperties: true,
        patternProperties: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`(?:[a-d]?){120}${i}$`, true])),
      },
      Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`abcd${i}x`, 1])),
      'takes too long to check',
    ],
    [
      'a thousand forms for each of thousands of items',
      { items: { $ref: '#/$defs/d0' }, $defs: { ...doubled, d7: { type: 'null' } } },
      Array(8000).fill(1),
      '[0] must be of one of the forms allowed',
    ],
    [
      'a thousand forms, all of them looked at',
      { items: { oneOf: [{ $ref: '#/$defs/d0' }, true] }, $defs: { ...doubled, d7: { type: 'null' } } },
      Array(8000).fill(1),
      'takes too long to check',
    ],
    ['thousands of items, each once', { uniqueItems: true }, Array.from({ length: 8000 }, (_, i) => i), undefined],
    [
      'thousands of large values against a list',
      { allOf: Array(900).fill({ const: 1 }) },
      'x'.repeat(16_000),
      'must be one of the values listed',
    ],
    [
      'thousands of large values against lists that match',
      { anyOf: Array(900).fill({ const: 1 }) },
      'x'.repeat(16_000),
      'takes too long to check',
    ],
  ];
  for (const [what, schema, value, says] of hostile) {
    test(`${what}: an answer comes soon`, async () => {
      await readSchema({ pattern: 'a' }); // the engine is there
      const seconds = await cpu(async () => assert.equal(await wrong(schema, value), says));
      assert.ok(seconds < 1.5, `${seconds} s`);
    });
  }

  test('anything at all gets a schema or a refusal, and anything an answer by it', async () => {
    const keywords = [
      'type',
      '$ref',
      'properties',
      'items',
      'enum',
      'anyOf',
      'pattern',
      'required',
      'const',
      'not',
      'maximum',
      'format',
      'additionalProperties',
    ];
    const { schema } = fc.letrec((tie) => ({
      schema: fc.oneof(
        { depthSize: 'small' },
        fc.boolean(),
        fc.dictionary(
          fc.constantFrom(...keywords),
          fc.oneof(tie('schema'), fc.jsonValue({ maxDepth: 1 }), fc.constantFrom('object', 'string', 'array', ['a'])),
          { maxKeys: 4 },
        ),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(schema, fc.jsonValue(), async (each, value) => {
        try {
          const found = wrongWith(await readSchema(each), value);
          assert.ok(found === undefined || typeof found.message === 'string');
        } catch (error) {
          assert.ok(error instanceof SchemaError, String(error));
        }
      }),
    );
  });
});
