/**
 * By what events are found: each value of an event that one may ask for is a number of 53 bits, scoped by the organization. What is personal is hashed
 * under the deployment's key, so that a copy of the index doesn't say whose it is.
 */
import { createHmac, hash } from 'node:crypto';
import { type BoundedCache, boundedCache } from '@bailiwick/protocol';

/**
 * What stands in the open. `id` is anything that an event names beside who did it and what it was done to; `turn` is in whose life it is one,
 * `deed` who did what of that which comes in masses (`acts.ts`), and `origin` what a token came of.
 */
export const openKinds = [
  'all',
  'agent',
  'deed',
  'id',
  'jti',
  'operation',
  'origin',
  'outcome',
  'policy',
  'resource',
  'target',
  'trace',
  'turn',
  'type',
  'word',
  'workflow',
] as const;
export type OpenKind = (typeof openKinds)[number];

/** What is personal. */
export const personalKinds = ['address', 'owner', 'person'] as const;
/**
 * `concerned`: who answers for what it was done to, which an event doesn't say itself. `turns`: what somebody is the owner of, or concerned by,
 * without that which comes in masses.
 */
export type PersonalKind = (typeof personalKinds)[number] | 'concerned' | 'turns';

export type TermValue<Kind = OpenKind> = readonly [kind: Kind, value: string];

/** Values that come with one event and a few others: remembering them would only push out those that come again. */
const comesOnce: ReadonlySet<string> = new Set<OpenKind>(['jti', 'origin', 'trace']);

const openTerms: BoundedCache<number> = boundedCache(20_000);
const keyedTerms = new WeakMap<Buffer, BoundedCache<number>>();

/** The number under which events of `org` with this value are found. */
export function openTerm(org: string, kind: OpenKind, value: string): number {
  const text = `${org}\0${kind}\0${value}`;
  if (comesOnce.has(kind)) return numberOf(hash('sha256', text, 'buffer'));
  return openTermOf(text);
}

/** The number under which events are found that refer to this content of `personal`. */
export const contentTerm = (personal: string): number => openTermOf(`content\0${personal}`);

const openTermOf = (text: string): number =>
  remembered(openTerms, text, () => numberOf(hash('sha256', text, 'buffer')));

/** The same for what is personal: only who has the deployment's key can say what it stands for. */
export function personalTerm(key: Buffer, org: string, kind: PersonalKind, value: string): number {
  return keyed(key, `${org}\0${kind}\0${value}`);
}

/** Whose the entries of the index are that go when somebody is erased. */
export const subjectTerm = (key: Buffer, subject: string): number => keyed(key, `subject\0${subject}`);

function keyed(key: Buffer, text: string): number {
  let known = keyedTerms.get(key);
  if (!known) {
    known = boundedCache(20_000);
    keyedTerms.set(key, known);
  }
  return remembered(known, text, () => numberOf(createHmac('sha256', key).update(`event-term\0${text}`).digest()));
}

function remembered(cache: BoundedCache<number>, text: string, make: () => number): number {
  let term = cache.get(text);
  if (term === undefined) {
    term = make();
    cache.set(text, term);
  }
  return term;
}

/** The first 53 bits: what a JavaScript number holds exactly, and both databases as an integer. */
const numberOf = (digest: Buffer): number => digest.readUInt32BE(0) * 2 ** 21 + (digest.readUInt32BE(4) >>> 11);
