/** What a plan is made of: what is there, what is wanted, and what differs. */
import { CliError } from '../errors.ts';
import type { Mandate } from '../mandate-words.ts';
import type { Agent, Credential, Person, Resource, Role, Team, TrustDomain, TrustedIssuer } from '../registry.ts';
import type { PresentPolicy } from './policies.ts';

/** What the server has now, of one organization. */
export interface Present {
  /** Empty where the file speaks of none. */
  trustDomains: readonly TrustDomain[];
  people: readonly Person[];
  teams: readonly (Team & { members: readonly string[] })[];
  resources: readonly Resource[];
  roles: readonly Role[];
  agents: readonly Agent[];
  /** Empty where the file speaks of none. */
  policies: readonly PresentPolicy[];
  credentials: readonly Credential[];
  /** Empty where the file speaks of none. */
  issuers: readonly TrustedIssuer[];
  /** Those that have a name; empty where the file speaks of none. */
  mandates: readonly Mandate[];
  /** As of when all of it was read (milliseconds). */
  now: number;
  /** Agents that --prune leaves alone: the one that asks, and guards. */
  kept: ReadonlySet<string>;
}

/** A key or another credential that the file gives an agent. */
export interface WantedCredential {
  /** The same credential, however it is written. */
  thumbprint: string;
  /** As the plan calls it: its file, its name, or its thumbprint. */
  title: string;
  /** What tells the server which it is. */
  body: Readonly<Record<string, unknown>>;
  label: string | undefined;
  expires_at: string | undefined;
}

/** What the file says an agent has; what it is silent about stays. */
export interface WantedOfAgent {
  keys?: readonly WantedCredential[] | undefined;
  credentials?: readonly WantedCredential[] | undefined;
}

/** One field of a thing, as it is and as it will be. Lists are compared item by item. */
export interface FieldChange {
  field: string;
  before: unknown;
  after: unknown;
}

export type Noun =
  | 'trust_domain'
  | 'person'
  | 'team'
  | 'resource'
  | 'role'
  | 'policy'
  | 'agent'
  | 'key'
  | 'credential'
  | 'grant'
  | 'trusted_issuer'
  | 'mandate';

/** One thing to make, change or end. References in `fields` are names, which the doing turns into ids. */
export interface Change {
  action: 'create' | 'update' | 'end';
  noun: Noun;
  name: string;
  /** Of what is there already. */
  id?: string;
  /** The agent whose key, credential or role it is. */
  agent?: string;
  credential?: WantedCredential;
  /** It ends because the file does not name it. */
  pruned?: boolean;
  fields: readonly FieldChange[];
}

/** Of those with the name, the one that lives. */
export function find<T extends { name: string; status: string }>(all: readonly T[], name: string): T | undefined {
  const named = all.filter((one) => one.name === name);
  return named.find(({ status }) => status !== 'retired' && status !== 'erased') ?? named[0];
}

/** `person` and `agent` are fields of mandates alone. */
const neverChanging: ReadonlySet<string> = new Set(['kind', 'identifier', 'person', 'agent']);

/** One thing: made if it isn't there, changed where the file says something else, else nothing. */
export function change<T extends { id: string; status: string }>(
  noun: Noun,
  name: string,
  present: T | undefined,
  wanted: Record<string, unknown>,
  now: (present: T) => Record<string, unknown>,
): Change[] {
  const said = Object.entries(wanted).filter(([, value]) => value !== undefined);
  if (present === undefined) {
    const fields = said.map(([field, after]) => ({ field, before: undefined, after }));
    return [{ action: 'create', noun, name, fields }];
  }
  if (present.status === 'retired' || present.status === 'erased') {
    throw new CliError('conflict', `The ${noun} ${name} has ended for good, and its name is never used again.`, {
      hint: 'Choose another name, or take it out of the file.',
    });
  }
  const before = now(present);
  const fields = said
    .map(([field, after]) => ({ field, before: before[field], after }))
    .filter((one) => !same(one.before, one.after));
  if (fields.length === 0) return [];
  const fixed = fields.find(({ field }) => neverChanging.has(field));
  if (fixed !== undefined) {
    throw new CliError('conflict', `The ${fixed.field} of ${noun} ${name} is ${fixed.before} and never changes.`, {
      hint: `The file says ${fixed.after}: register that under another name.`,
    });
  }
  return [{ action: 'update', noun, name, id: present.id, fields }];
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sortKeys(a ?? null)) === JSON.stringify(sortKeys(b ?? null));
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined && inner !== null)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sortKeys(inner)]),
  );
}
