/** What of an event one may ask for. The index is made by this, and what the index finds is looked at again by this. */
import type { ReadEvent } from '../audit/audit.ts';
import { deedOf, isAct, turnOf } from './acts.ts';
import type { PersonalKind, TermValue } from './terms.ts';
import { wordsOf } from './words.ts';

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

const idShape = /^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$/;

/** Not by their ids: what a token rests on beside what it names comes to a dozen entries for each, and is found through what it names. */
const unasked: ReadonlySet<string> = new Set(['ancestors', 'links', 'rests_on']);
const idsAtMost = 32;

/** What stands in the open, each once. The issue of a token is found by its id, which is the token's `jti`: no entry of its own. */
export function openValues(leaf: Readonly<Record<string, unknown>>): TermValue[] {
  const decidedOn = recordOf(leaf.decided_on);
  const input = recordOf(decidedOn.policy_input);
  const values: TermValue[] = [['all', '']];
  const add = (kind: TermValue[0], value: unknown) => {
    if (isText(value)) values.push([kind, value]);
  };
  add('type', leaf.type);
  add('outcome', leaf.outcome);
  add('agent', leaf.agent);
  add('target', leaf.target);
  add('resource', leaf.resource);
  if (leaf.type !== 'token.issued') add('jti', leaf.jti);
  for (const origin of originsOf(leaf, decidedOn)) add('origin', origin);
  add('trace', traceIdOf(leaf.trace));
  const named = namedIds(leaf.instance, decidedOn);
  for (const id of named) add('id', id);
  for (const id of turnOf(leaf, named)) add('turn', id);
  if (isAct(leaf.type) && isText(leaf.agent)) {
    add('deed', deedOf(leaf.agent, leaf.type as string, leaf.outcome as string));
  }
  for (const operation of operationsOf(decidedOn, input)) add('operation', operation);
  add('workflow', workflowOf(decidedOn, input));
  for (const policy of policiesOf(decidedOn)) add('policy', policy);
  for (const word of wordsOf(freeText(leaf, decidedOn))) add('word', word);
  return values;
}

/** What is personal, as far as it can still be read. */
export function personalValues(personal: Readonly<Record<string, unknown>>): TermValue<PersonalKind>[] {
  const values: TermValue<PersonalKind>[] = [];
  for (const kind of ['owner', 'person', 'address'] as const) {
    const value = personal[kind];
    if (isText(value)) values.push([kind, value]);
  }
  return values;
}

/** All that an event has of one kind. */
export function valuesOfKind({ leaf, personal }: Pick<ReadEvent, 'leaf' | 'personal'>, kind: string): string[] {
  const values: readonly TermValue<string>[] = [...openValues(leaf), ...personalValues(personal)];
  return values.filter(([each]) => each === kind).map(([, value]) => value);
}

/** The trace id of a `traceparent`. @see W3C Trace Context §3.2 */
export function traceIdOf(traceparent: unknown): string | undefined {
  if (!isText(traceparent)) return undefined;
  return /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(traceparent)?.[1];
}

/** Whether it is about a transaction token: one was issued, or used inside of the trust domain. */
export function isInside({ decided_on }: Readonly<Record<string, unknown>>): boolean {
  const { txn, transaction } = recordOf(decided_on);
  return txn !== undefined || transaction !== undefined;
}

/** Of a token, or its use: the token that it was exchanged from, and the transaction that it is a part of (the `jti` of that one's first token). */
function originsOf({ jti }: Readonly<Record<string, unknown>>, decidedOn: Record<string, unknown>): Set<unknown> {
  const { subject_token, txn, transaction } = decidedOn;
  const found = new Set([subject_token, txn, recordOf(transaction).txn]);
  found.delete(jti);
  return found;
}

/** Ids anywhere in what was decided on, and the instance: at most 32 of them. */
function namedIds(instance: unknown, decidedOn: Record<string, unknown>): Set<string> {
  const ids = new Set<string>();
  const visit = (value: unknown, depth: number) => {
    if (ids.size >= idsAtMost) return;
    if (typeof value === 'string') {
      if (idShape.test(value)) ids.add(value);
    } else if (typeof value === 'object' && value !== null && depth < 4) {
      if (Array.isArray(value)) for (const each of value) visit(each, depth + 1);
      else for (const name in value) if (!unasked.has(name)) visit((value as Record<string, unknown>)[name], depth + 1);
    }
  };
  visit(instance, 0);
  visit(decidedOn, 0);
  return ids;
}

function operationsOf(decidedOn: Record<string, unknown>, input: Record<string, unknown>): Set<string> {
  const operations = new Set<string>();
  if (isText(decidedOn.operation)) operations.add(decidedOn.operation);
  const { type, identifier } = recordOf(input.resource);
  // policy knows an operation as <resource>#<name>
  if ((type === 'Operation' || type === 'Tool') && isText(identifier)) {
    operations.add(identifier.slice(identifier.indexOf('#') + 1));
  }
  return operations;
}

function workflowOf(decidedOn: Record<string, unknown>, input: Record<string, unknown>): unknown {
  return decidedOn.workflow ?? recordOf(decidedOn.task).workflow ?? recordOf(input.task).workflow;
}

/** Statements by their full name, and the policies that they are of. */
function policiesOf({ by }: Record<string, unknown>): Set<string> {
  const found = new Set<string>();
  for (const statement of Array.isArray(by) ? by.filter(isText) : []) {
    found.add(statement);
    const slash = statement.indexOf('/');
    if (slash > 0) found.add(statement.slice(0, slash));
  }
  return found;
}

/** Beside the type, whose words are known: reason, operation, error, and what things are called. */
function freeText(leaf: Readonly<Record<string, unknown>>, decidedOn: Record<string, unknown>): string[] {
  const changed = recordOf(decidedOn.changed);
  const asked = recordOf(decidedOn.asked);
  return [
    leaf.reason,
    decidedOn.error,
    decidedOn.problem,
    decidedOn.operation,
    decidedOn.workflow,
    decidedOn.step,
    decidedOn.name,
    decidedOn.outcome,
    changed.name,
    changed.role_name,
    asked.action,
  ].filter(isText);
}
