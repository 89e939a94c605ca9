/** The heads of statements: to whom, what and where each applies; and an index that finds those that apply to a request. */
import { isWithin } from './atoms.ts';
import type { PolicyJson, TypeAndId } from './cedar.ts';
import type { Facts } from './facts.ts';
import { entityIn } from './terms.ts';

/** `principal == e`, `principal in e`, `principal is T`, `principal is T in e`, or nothing. */
interface Head {
  type?: string;
  equals?: TypeAndId;
  within?: TypeAndId;
}

export interface Scope {
  principal: Head;
  resource: Head;
  /** Names; none: all. */
  actions: readonly string[] | undefined;
}

/** Reads the head of a statement. */
export function scopeOf({ principal, action, resource }: PolicyJson): Scope {
  return { principal: headOf(principal), resource: headOf(resource), actions: actionsOf(action) };
}

/** Entities that a head names, the action aside. */
export const namedIn = ({ principal, resource }: Scope): TypeAndId[] =>
  [principal.equals, principal.within, resource.equals, resource.within].filter((entity) => entity !== undefined);

function headOf(constraint: PolicyJson['principal']): Head {
  switch (constraint.op) {
    case 'All':
      return {};
    case '==':
      return { equals: named(constraint) };
    case 'in':
      return { within: named(constraint) };
    case 'is':
      return {
        type: constraint.entity_type,
        ...(constraint.in !== undefined && { within: named(constraint.in) }),
      };
  }
}

function actionsOf(constraint: PolicyJson['action']): string[] | undefined {
  if (constraint.op === 'All') return undefined;
  const given = 'entities' in constraint ? constraint.entities : [(constraint as { entity: unknown }).entity];
  return given.map((entity) => plain(entity)).map(({ type, id }) => (type === 'Action' ? id : ''));
}

function named(constraint: object): TypeAndId {
  if (!('entity' in constraint)) throw new Error('a template where none can be');
  return plain(constraint.entity);
}

const plain = (entity: unknown): TypeAndId => entityIn(entity) ?? (entity as TypeAndId);

/** Which part of its head keeps a statement from applying to a request: undefined if it applies. */
export function outside(scope: Scope, facts: Facts): 'principal' | 'action' | 'resource' | undefined {
  if (scope.actions !== undefined && !scope.actions.includes(facts.request.action)) return 'action';
  if (!meets(scope.principal, facts, 'principal')) return 'principal';
  return meets(scope.resource, facts, 'resource') ? undefined : 'resource';
}

function meets({ type, equals, within }: Head, facts: Facts, variable: 'principal' | 'resource'): boolean {
  const { type: itsType, id } = facts[variable];
  if (type !== undefined && type !== itsType) return false;
  if (equals !== undefined && (equals.type !== itsType || equals.id !== id)) return false;
  return within === undefined || isWithin(facts, variable, within);
}

/** Finds statements by the most telling part of each half of their heads, then looks closely. */
export interface ScopeIndex<Entry> {
  /** In the order in which they were given. */
  applying(facts: Facts): Entry[];
}

interface Numbered<Entry> {
  order: number;
  entry: Entry;
}

type Buckets<Entry> = Map<string, Map<string, Numbered<Entry>[]>>;

/** Puts statements where a request finds them: by action, then by who, then by what. */
export function scopeIndex<Entry extends { scope: Scope }>(
  entries: readonly Entry[],
  actions: readonly string[],
): ScopeIndex<Entry> {
  const byAction = new Map<string, Buckets<Entry>>(actions.map((action) => [action, new Map()]));
  entries.forEach((entry, order) => {
    const { scope } = entry;
    for (const action of scope.actions ?? actions) {
      const buckets = byAction.get(action);
      if (buckets === undefined) continue;
      const [who, what] = [keyOf(scope.principal), keyOf(scope.resource)];
      const bucket = buckets.get(who) ?? new Map<string, Numbered<Entry>[]>();
      buckets.set(who, bucket);
      const list = bucket.get(what) ?? [];
      bucket.set(what, list);
      // an action that is named twice is one
      if (list.at(-1)?.order !== order) list.push({ order, entry });
    }
  });

  return {
    applying(facts) {
      const buckets = byAction.get(facts.request.action);
      if (buckets === undefined) return [];
      const what = keysOf(facts.resource, facts.api === undefined ? [] : ['Api', facts.api]);
      const found: Numbered<Entry>[] = [];
      const { principal } = facts.request;
      gather(found, buckets.get(anyone), what, facts);
      gather(found, buckets.get(typeKey(facts.principal.type)), what, facts);
      gather(found, buckets.get(entityKey(facts.principal)), what, facts);
      if (principal.type === 'Agent') {
        for (const role of new Set(principal.roles)) gather(found, buckets.get(`Role::${role}`), what, facts);
      }
      found.sort((a, b) => a.order - b.order);
      return found.map(({ entry }) => entry);
    },
  };
}

function gather<Entry extends { scope: Scope }>(
  found: Numbered<Entry>[],
  bucket: Map<string, Numbered<Entry>[]> | undefined,
  what: readonly string[],
  facts: Facts,
): void {
  if (bucket === undefined) return;
  for (const key of what) {
    const list = bucket.get(key);
    if (list === undefined) continue;
    for (const each of list) if (outside(each.entry.scope, facts) === undefined) found.push(each);
  }
}

const anyone = '';
// names of types have no colons, so none of these is another
const typeKey = (type: string) => `${type}:`;
const entityKey = ({ type, id }: TypeAndId) => `${type}::${id}`;

function keyOf({ type, equals, within }: Head): string {
  const entity = equals ?? within;
  if (entity !== undefined) return entityKey(entity);
  return type === undefined ? anyone : typeKey(type);
}

function keysOf(entity: TypeAndId, [type, id]: readonly string[]): string[] {
  const keys = [anyone, typeKey(entity.type), entityKey(entity)];
  if (type !== undefined && id !== undefined) keys.push(entityKey({ type, id }));
  return keys;
}
