/** What somebody asks of the log: each member must hold; how it is found (terms), and whether an event is what was asked for. */
import type { ReadEvent } from '../audit/audit.ts';
import { type EventType, eventTypes } from '../audit/event.ts';
import { issueEventId } from '../lib/ids.ts';
import { mayBeTurn } from './acts.ts';
import { openValues, personalValues } from './event-values.ts';
import { type OpenKind, openTerm, type PersonalKind, personalKinds, personalTerm, type TermValue } from './terms.ts';
import { wordsOf } from './words.ts';

/** Exact, but for `text`. Times are in milliseconds. */
export interface EventFilter {
  /** Whose log it is: always one organization's. */
  org: string;
  /** Only what the log says of agents that this person or team answers for: how far the asking side may see. Not a wish. */
  ownedBy?: string | undefined;
  /** Any of these types. */
  types?: readonly string[] | undefined;
  outcome?: string | undefined;
  /** Whose doing it was. */
  agent?: string | undefined;
  /** What it was done to. */
  target?: string | undefined;
  /** Of an agent: what it did and what was done to it and what is its own. Any other id: where it stands. */
  about?: string | undefined;
  instance?: string | undefined;
  credential?: string | undefined;
  task?: string | undefined;
  workflow?: string | undefined;
  /** By identifier, as the log names it. */
  resource?: string | undefined;
  jti?: string | undefined;
  /** A token by its `jti`, or a transaction: all that was about it, and about what came of it. */
  origin?: string | undefined;
  operation?: string | undefined;
  /** A policy, or a statement as `<policy>/<statement>`. */
  policy?: string | undefined;
  /** A trace id of W3C Trace Context. */
  trace?: string | undefined;
  owner?: string | undefined;
  person?: string | undefined;
  address?: string | undefined;
  /** Every word of it. */
  text?: string | undefined;
  /** Any of these, by kind: for what is put together here, and not asked for by anybody. */
  any?: readonly TermValue[] | undefined;
  /** Inclusive. */
  since?: number | undefined;
  /** Exclusive. */
  until?: number | undefined;
}

/** One of these values. An event is found under any of them. */
export interface Group {
  values: readonly TermValue<OpenKind | PersonalKind>[];
  /** Found by its id, too: the issue of a token. */
  eventId?: string | undefined;
}

const single = ['outcome', 'agent', 'target', 'workflow', 'resource', 'operation', 'policy', 'trace'] as const;
const ids = ['instance', 'credential', 'task'] as const;

/** All of which must hold; `ownedBy` first, if it is there. */
export function groupsOf(filter: EventFilter): Group[] {
  const groups: Group[] = [];
  const add = (...values: TermValue<OpenKind | PersonalKind>[]) => groups.push({ values });
  const { ownedBy, types, about, jti, origin, text, any } = filter;
  if (ownedBy !== undefined) {
    if (asksForTurns(filter)) add(['turns', ownedBy]);
    else add(['owner', ownedBy], ['concerned', ownedBy]);
  }
  if (types !== undefined) add(...types.map((type) => ['type', type] as const));
  for (const kind of [...single, ...personalKinds]) {
    const value = filter[kind];
    if (value !== undefined) add([kind, value]);
  }
  for (const name of ids) {
    const value = filter[name];
    // what was done to it counts, too
    if (value !== undefined) add(['id', value], ['target', value]);
  }
  if (about !== undefined) add(['agent', about], ['target', about], ['id', about]);
  if (jti !== undefined) groups.push({ values: aboutToken(jti), eventId: issueEventId(jti) });
  if (origin !== undefined) {
    groups.push({ values: [...aboutToken(origin), ['origin', origin]], eventId: issueEventId(origin) });
  }
  if (any !== undefined) groups.push({ values: any });
  // an id in the text is meant as one
  for (const [id] of text?.matchAll(/\b[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}\b/g) ?? []) {
    add(['agent', id], ['target', id], ['id', id]);
  }
  for (const word of text === undefined ? [] : wordsOf([text])) {
    add(['word', word], ...typesWith(word).map((type) => ['type', type] as const));
  }
  return groups.length > 0 ? groups : [{ values: [['all', '']] }];
}

/** Under what is found what was about a token; its issue has its id. */
export const aboutToken = (jti: string): TermValue[] => [
  ['jti', jti],
  ['target', jti],
];

/** What comes in masses isn't asked for: there is a shorter way to the rest. */
const asksForTurns = ({ types, any }: EventFilter): boolean =>
  types?.every(mayBeTurn) === true || any?.every(([kind]) => kind === 'turn') === true;

const wordsOfTypes = Object.keys(eventTypes).map((type) => [type as EventType, type.split(/[._]/)] as const);

/** A type's words needn't be in the index: whoever asks for one asks for the types that have it. */
const typesWith = (word: string): string[] =>
  wordsOfTypes.flatMap(([type, words]) => (words.includes(word) || type === word ? [type] : []));

/** The numbers of a group, in its organization. */
export function termsOfGroup(key: Buffer, org: string, { values }: Group): { open: number[]; personal: number[] } {
  const open: number[] = [];
  const personal: number[] = [];
  for (const [kind, value] of values) {
    if (isPersonal(kind)) personal.push(personalTerm(key, org, kind, value));
    else open.push(openTerm(org, kind, value));
  }
  return { open, personal };
}

const isPersonal = (kind: OpenKind | PersonalKind): kind is PersonalKind =>
  kind === 'concerned' || kind === 'turns' || (personalKinds as readonly string[]).includes(kind);

/**
 * Whether an event is what was asked for: by its real values, whatever found it.
 * @param concerned who answers for what it was done to, if the filter asks for that
 */
export function fits(filter: EventFilter, groups: readonly Group[], event: ReadEvent, concerned?: string): boolean {
  const { leaf, personal, id } = event;
  const at = Date.parse(leaf.at as string);
  if (leaf.org !== filter.org) return false;
  if (filter.since !== undefined && at < filter.since) return false;
  if (filter.until !== undefined && at >= filter.until) return false;
  // what somebody may not see isn't there for them: else they would find it out by asking
  const shown = filter.ownedBy === undefined || personal.owner === filter.ownedBy ? personalValues(personal) : [];
  const has = new Set([...openValues(leaf), ...shown].map(keyOf));
  if (concerned !== undefined) has.add(keyOf(['concerned', concerned]));
  for (const whose of mayBeTurn(leaf.type) ? [personal.owner, concerned] : []) has.add(keyOf(['turns', String(whose)]));
  return groups.every(
    (group) =>
      (group.eventId !== undefined && group.eventId === id) || group.values.some((value) => has.has(keyOf(value))),
  );
}

const keyOf = ([kind, value]: TermValue<string>) => `${kind}\0${value}`;
