/** Events in one sentence each, as one person tells another. */
import { transactionTokenType } from '@bailiwick/protocol';
import { type EventType, eventTypes } from '../audit/event.ts';

type Leaf = Readonly<Record<string, unknown>>;
export type NameOf = (id: string) => string;

interface Seen {
  leaf: Leaf;
  on: Record<string, unknown>;
  changed: Record<string, unknown>;
  /** Whose doing it was. */
  by: string;
  /** What it was done to. */
  to: string;
  resource: string;
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
const words = (value: unknown): string => (Array.isArray(value) ? value.join(' ') : String(value ?? ''));
const because = ({ leaf }: Seen) => (typeof leaf.reason === 'string' && leaf.reason !== '' ? `: ${leaf.reason}` : '');
const noted = (what: string, value: unknown) => (value === undefined || value === '' ? '' : `${what}${words(value)}`);

/** `by` is left away where nobody is named. */
const passive = (what: string) => (seen: Seen) =>
  `${seen.to} ${what}${seen.leaf.agent === undefined ? '' : ` by ${seen.by}`}`;

const sentences: Partial<Record<EventType, (seen: Seen) => string>> = {
  'token.issued': (seen) =>
    insideFor(seen) ??
    `${seen.by} got a token for ${seen.resource}${noted(', scope ', seen.on.scope)}${minutes(seen)}${because(seen)}`,
  'token.refused': (seen) =>
    `${seen.by} was refused a ${isTransaction(seen) ? 'transaction token' : 'token'}${seen.resource && ` for ${seen.resource}`}${because(seen)}`,
  'token.revoked': (seen) =>
    seen.leaf.outcome === 'refused'
      ? `${seen.by} tried to revoke a token${because(seen)}`
      : `${seen.by} ended ${ofWhat(seen)}${because(seen)}`,
  'token.dead_presented': (seen) => `a token of ${seen.by} was presented at ${seen.resource} after its end`,
  'token.presented_outside': (seen) =>
    `a token of ${seen.by} was presented at ${seen.resource} from outside of where it may be used`,
  'access.used': (seen) =>
    `${usedBy(seen)}: ${call(seen)} at ${seen.resource}${noted(' → ', seen.on.status)}${
      seen.leaf.outcome === 'refused' ? because(seen) : ''
    }`,
  'access.evaluated': (seen) =>
    `${seen.by} asked whether ${seen.leaf.target === undefined ? 'somebody' : seen.to} may: ${seen.leaf.outcome === 'allowed' ? 'yes' : 'no'}${because(seen)}`,
  'instance.enrolled': (seen) => `an instance of ${seen.by} enrolled`,
  'instance.renewed': (seen) => `an instance of ${seen.by} was given more time`,
  'instance.refused': (seen) => `${seen.by} was refused an instance${because(seen)}`,
  'instance.ended': (seen) => `the instance ended${because(seen)}`,
  'task.opened': (seen) =>
    `${seen.by} opened a task for ${seen.on.for}: ${words(seen.on.workflow)}${noted(', step ', seen.on.step)}`,
  'task.started': (seen) => `${seen.by} began with the task`,
  'task.finished': (seen) => `${seen.by} finished the task${noted(': ', seen.on.result)}`,
  'task.ended': (seen) => `${seen.by} ended the task`,
  'mandate.given': (seen) =>
    seen.changed.way === 'passed_on'
      ? `${seen.by} passed on a mandate to ${words(seen.changed.agent)}`
      : `${words(seen.changed.agent)} was let act for a person, written down by ${seen.by}`,
  'mandate.narrowed': (seen) => `${seen.by} narrowed the mandate`,
  'mandate.paused': (seen) => `${seen.by} paused the mandate`,
  'mandate.resumed': (seen) => `${seen.by} resumed the mandate`,
  'mandate.ended': (seen) => `${seen.by} ended the mandate`,
  'role.granted': (seen) =>
    `${seen.to} was given the role ${words(seen.changed.role_name ?? seen.changed.role)} by ${seen.by}`,
  'role.withdrawn': (seen) =>
    `the role ${words(seen.changed.role_name ?? seen.changed.role)} was taken from ${seen.to} by ${seen.by}`,
  'agent.created': passive('was registered'),
  'agent.suspended': passive('was suspended'),
  'agent.resumed': passive('may act again: resumed'),
  'agent.retired': passive('was retired'),
  'credential.created': (seen) =>
    `a ${words(seen.changed.kind ?? 'credential').replaceAll('_', ' ')} of ${words(seen.changed.agent)} was added by ${seen.by}`,
  'credential.rotated': (seen) => `a credential of ${words(seen.changed.agent)} was replaced by ${seen.by}`,
  'credential.ended': (seen) => `a credential of ${words(seen.changed.agent)} was ended by ${seen.by}`,
  'operator.created': (seen) => `${seen.to} was made, the first operator`,
  'revocation.acknowledged': acknowledged,
};

/** Who was called asks for a transaction token; who was called with one asks for another. */
function insideFor(seen: Seen): string | undefined {
  if (seen.on.transaction === undefined) return undefined;
  const { agent, requested_by, resources } = record(seen.on.transaction);
  const isFirst = Array.isArray(requested_by) && requested_by.length === 1;
  const asked = isFirst
    ? `was called by ${words(agent)} at ${seen.resource}, and asked for a transaction token`
    : `went on inside for ${words(agent)}, and asked for another transaction token`;
  const services = Array.isArray(resources) ? resources.join(' and ') : '';
  return `${seen.by} ${asked} for ${services}${noted(', scope ', seen.on.scope)}${minutes(seen)}${because(seen)}`;
}

const isTransaction = ({ on }: Seen) => record(on.asked).requested_token_type === transactionTokenType;

function usedBy({ by, on, leaf }: Seen): string {
  const isAllowed = leaf.outcome === 'allowed';
  if (on.txn !== undefined) return `a transaction token of ${by} was ${isAllowed ? 'used' : 'refused'}`;
  return `${by} ${isAllowed ? 'used it' : 'was refused'}`;
}

/** What names itself needs no kind. */
function ofWhat({ changed: { kind }, to }: Seen): string {
  if (kind === undefined || kind === 'token') return 'the token';
  return `all tokens of ${kind === 'agent' ? to : `the ${words(kind).replaceAll('_', ' ')} ${to}`}`;
}

/** Of those that follow or ask: who does neither is told nothing, and is said where something is revoked. */
function acknowledged({ on }: Seen): string {
  const guards = (Array.isArray(on.guards) ? on.guards : []) as { applied_at?: number; asked?: true; lapsed?: true }[];
  const [applied, asked, lapsed] = (['applied_at', 'asked', 'lapsed'] as const).map(
    (how) => guards.filter((guard) => guard[how] !== undefined).length,
  );
  const said = [
    applied ? `applied by ${applied}` : [],
    asked ? `${asked} no longer believe an answer about it` : [],
    lapsed ? `${lapsed} had lost touch and trust nothing` : [],
  ]
    .flat()
    .join(', ');
  return said === ''
    ? 'acknowledged: no guard that follows had to be waited for'
    : `no guard that follows accepts it any more: ${said}`;
}

function minutes({ leaf, on }: Seen): string {
  if (typeof on.expires_at !== 'number') return '';
  const seconds = Math.round((on.expires_at - Date.parse(leaf.at as string)) / 1000);
  return seconds >= 120 ? `, for ${Math.round(seconds / 60)} min` : `, for ${seconds} s`;
}

function call({ on }: Seen): string {
  const wire = [on.method, on.path].filter((one) => typeof one === 'string').join(' ');
  return (
    [on.operation, wire && wire !== on.operation ? (on.operation ? `(${wire})` : wire) : undefined]
      .filter(Boolean)
      .join(' ') || 'a request'
  );
}

/** @param nameOf what an id is called; what has no name stays an id */
export function told(leaf: Leaf, nameOf: NameOf): string {
  const named = (value: unknown): unknown => {
    if (typeof value === 'string') return nameOf(value);
    if (Array.isArray(value)) return value.map(named);
    if (typeof value === 'object' && value !== null) return deep(value);
    return value;
  };
  const deep = (value: unknown): Record<string, unknown> =>
    Object.fromEntries(Object.entries(record(value)).map(([name, each]) => [name, named(each)]));
  const type = leaf.type as EventType;
  const seen: Seen = {
    leaf,
    on: deep(leaf.decided_on),
    changed: deep(record(leaf.decided_on).changed),
    by: typeof leaf.agent === 'string' ? nameOf(leaf.agent) : 'the server',
    to: typeof leaf.target === 'string' ? nameOf(leaf.target) : 'it',
    resource: typeof leaf.resource === 'string' ? leaf.resource : '',
  };
  const sentence = sentences[type];
  if (sentence) return sentence(seen);
  const plain = eventTypes[type]?.replace(/\.$/, '') ?? type;
  const what = typeof leaf.target === 'string' ? ` (${seen.to})` : '';
  return `${seen.by}: ${plain.charAt(0).toLowerCase()}${plain.slice(1)}${what}${because(seen)}`;
}
