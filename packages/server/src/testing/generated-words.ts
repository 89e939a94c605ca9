/** Test support: what generated policies and requests are made of, so that they have to do with each other. */
import fc from 'fast-check';

/** Names that would mean something else if anybody pasted them together. */
export const hostile = [
  '"',
  '\\',
  'a"b',
  'x\n@id("y")',
  '__proto__',
  'constructor',
  'toString',
  '',
  'Ω',
  '😀',
  '\u{fffd}',
  '*',
  'a*',
  'r1"];',
];
export const words = ['alpha', 'alalpha', 'beta', 'r1', 'low', 'high', ...hostile];
export const word = fc.constantFrom(...words);
/** Requests may hold what no policy can say: half of a character. */
export const anyWord = fc.oneof(
  { weight: 12, arbitrary: word },
  { weight: 1, arbitrary: fc.constantFrom('\ud83d', 'alpha\ude00') },
);

/** A string as a policy writes it. */
export const literal = (text: string): string =>
  `"${[...text].map((each) => (/^[ !#-[\]-~]$/.test(each) ? each : `\\u{${(each.codePointAt(0) as number).toString(16)}}`)).join('')}"`;

export const roles = ['r1', 'r2', 'reader', ...hostile];
export const identifiers = ['https://a.example', 'https://b.example', 'x"y', '__proto__'];
export const actions = [
  'token:issue',
  'token:exchange',
  'resource:access',
  'approval:request',
  'lease:create',
] as const;
export const addresses = [
  '10.1.2.3',
  '10.2.0.1',
  '192.0.2.7',
  '127.0.0.1',
  '::1',
  '2001:db8::1',
  '2001:db8:1::7',
  '::ffff:10.1.2.3',
  'ff02::1',
  '224.0.0.9',
  'fe80::1%eth0',
  '0.0.0.0',
];
