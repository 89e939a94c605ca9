/** The heads of statements: to whom, what and where each applies; and an index that finds those that apply to a request. */
import { isWithin } from './atoms.ts';
import type { PolicyJson, TypeAndId } from './cedar.ts';
import type { Facts } from './facts.ts';
import { signalAction } from './schema.ts';
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
  if (!actsOn(scope, facts.request.action)) return 'action';
  if (!meets(scope.principal, facts, 'principal')) return 'principal';
  return meets(scope.resource, facts, 'resource') ? undefined : 'resource';
}

/** A statement that names no action is about all of them but the one that must be named. */
const actsOn = ({ actions }: Scope, action: string): boolean =>
  actions === undefined ? action !== signalAction : actions.includes(action);

function meets({ type, equals, within }: Head, facts: Facts, variable: 'principal' | 'resource'): boolean {
  const { type: itsType, id } = facts[variable];
  if (type !== undefined && type !== itsType) return false;
  if (equals !== undefined && (equals.type !== itsType || equals.id !== id)) return false;
  return within === undefined || isWithin(facts, variable, within);
}

/** Finds statements by the most telling part of each half of their heads, then looks closely. */
export interface ScopeIndex<Entry> {
  /** In no order, each once. */
  applying(facts: Facts): Entry[];
}

/** What is kept by half of a head: for anybody, for all of a type, or for an entity and what is in it. */
interface Shelf<Content> {
  any: Content;
  types: Map<string, Content>;
  entities: Map<string, Map<string, Content>>;
}

/** Puts statements where a request finds them: by action, then by who, then by what. */
export function scopeIndex<Entry extends { scope: Scope }>(
  entries: readonly Entry[],
  actions: readonly string[],
): ScopeIndex<Entry> {
  const newLists = (): Shelf<Entry[]> => newShelf([]);
  const byAction = new Map(actions.map((action) => [action, newShelf(newLists())]));
  for (const entry of entries) {
    const { principal, resource, actions: named = actions } = entry.scope;
    // an action that is named twice is one
    for (const action of new Set(named)) {
      if (!actsOn(entry.scope, action)) continue;
      const shelf = byAction.get(action);
      if (shelf !== undefined) placeFor(placeFor(shelf, principal, newLists), resource, () => []).push(entry);
    }
  }

  return {
    applying(facts) {
      const found: Entry[] = [];
      const shelf = byAction.get(facts.request.action);
      if (shelf === undefined) return found;
      const { principal } = facts;
      take(found, shelf.any, facts);
      take(found, shelf.types.get(principal.type), facts);
      take(found, shelf.entities.get(principal.type)?.get(principal.id), facts);
      const inRoles = shelf.entities.get('Role');
      const { roles } = facts;
      for (let i = 0; inRoles !== undefined && i < roles.length; i += 1) {
        const role = roles[i] as string;
        if (roles.indexOf(role) === i) take(found, inRoles.get(role), facts);
      }
      return found;
    },
  };
}

function take<Entry extends { scope: Scope }>(found: Entry[], shelf: Shelf<Entry[]> | undefined, facts: Facts): void {
  if (shelf === undefined) return;
  const { resource, resourceRoles, api } = facts;
  takeAll(found, shelf.any, facts);
  if (shelf.types.size > 0) takeAll(found, shelf.types.get(resource.type), facts);
  if (shelf.entities.size === 0) return;
  takeAll(found, shelf.entities.get(resource.type)?.get(resource.id), facts);
  if (api !== undefined) takeAll(found, shelf.entities.get('Api')?.get(api), facts);
  for (const role of new Set(resourceRoles)) takeAll(found, shelf.entities.get('Role')?.get(role), facts);
}

/** Where several parts of a head say something, its place in the index tells one of them. */
function takeAll<Entry extends { scope: Scope }>(
  found: Entry[],
  list: readonly Entry[] | undefined,
  facts: Facts,
): void {
  if (list === undefined) return;
  for (const entry of list) {
    const { principal, resource } = entry.scope;
    if (meets(principal, facts, 'principal') && meets(resource, facts, 'resource')) found.push(entry);
  }
}

function newShelf<Content>(any: Content): Shelf<Content> {
  return { any, types: new Map(), entities: new Map() };
}

function placeFor<Content>(shelf: Shelf<Content>, { type, equals, within }: Head, make: () => Content): Content {
  const entity = equals ?? within;
  if (entity !== undefined) {
    const byId = getOrMake(shelf.entities, entity.type, () => new Map<string, Content>());
    return getOrMake(byId, entity.id, make);
  }
  return type === undefined ? shelf.any : getOrMake(shelf.types, type, make);
}

function getOrMake<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const value = make();
  map.set(key, value);
  return value;
}
