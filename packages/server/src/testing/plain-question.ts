/** Test support: what Cedar itself is asked, with nothing of ours in between. */
import type { CedarQuestion, CedarValueJson, EntityJson } from '../policy/cedar.ts';
import type { PolicyRequest } from '../policy/request.ts';

const plainAddresses = new Map<string | undefined, string | undefined>([
  ['::ffff:10.1.2.3', '10.1.2.3'],
  ['fe80::1%eth0', undefined],
  ['nowhere', undefined],
]);

/** A request as the schema says it, written without `facts.ts`, in another way. */
export function plainQuestion({ principal, action, resource, context }: PolicyRequest): CedarQuestion {
  const what = entityOfResource(resource);
  const who: EntityJson =
    principal.type === 'Agent'
      ? {
          uid: { type: 'Agent', id: principal.name },
          attrs: plain({ ...principal, type: undefined, roles: undefined, attested: undefined }),
          parents: principal.roles.map((id) => ({ type: 'Role', id })),
          tags: named(principal.attested),
        }
      : {
          uid: { type: 'Subject', id: `${principal.kind}:${principal.id}` },
          attrs: { kind: principal.kind, id: principal.id },
          parents: [],
          tags: named(principal.properties),
        };
  const claimed = { type: 'Claimed', id: 'claimed' };
  const address = plainAddresses.has(context.address) ? plainAddresses.get(context.address) : context.address;
  const minute = new Date(Math.floor(context.at / 60_000) * 60_000);
  const members = {
    task: context.task,
    address: address && { __extn: { fn: 'ip', arg: address } },
    address_provenance: context.addressProvenance ?? 'told',
    country: context.country,
    zone: context.zone,
    time: clock(minute, context.timeZone),
    now: { __extn: { fn: 'datetime', arg: minute.toISOString() } },
    binding: context.binding,
    method: context.method,
    proof_age: Math.ceil(context.proofAge),
    scope: context.scope,
    details: context.details,
    chain_depth: context.chainDepth,
    subject: context.subject,
    operation: context.operation,
    claimed: { __entity: claimed },
  };
  return plain({
    principal: who.uid,
    action: { type: 'Action', id: action },
    resource: what.uid,
    context: members,
    entities: [who, what, { uid: claimed, attrs: {}, parents: [], tags: named(context.claimed ?? {}) }],
  }) as unknown as CedarQuestion;
}

function entityOfResource(resource: PolicyRequest['resource']): EntityJson {
  if (resource.type === 'Object') {
    const { kind, id, properties } = resource;
    const said = new Map(Object.entries(properties)).get('sensitivity');
    const sensitivity = ['low', 'medium'].includes(said ?? '') ? said : 'high';
    return {
      uid: { type: 'Object', id: `${kind}:${id}` },
      attrs: plain({ kind, id, sensitivity }),
      parents: [],
      tags: named(properties),
    };
  }
  const { type, identifier, name, sensitivity } = resource;
  if (type === 'Api')
    return { uid: { type, id: identifier }, attrs: { identifier, name, sensitivity }, parents: [], tags: {} };
  const uid = { type, id: `${identifier}#${name}` };
  return { uid, attrs: { api: identifier, name, sensitivity }, parents: [{ type: 'Api', id: identifier }], tags: {} };
}

function clock(at: Date, timeZone: string) {
  const [date = '', time = ''] = at.toLocaleString('sv-SE', { timeZone }).split(' ');
  const [hour = 0, minute = 0] = time.split(':').map(Number);
  const weekday = at.toLocaleString('en-US', { timeZone, weekday: 'short' }).toLowerCase();
  return { hour, minute, minutes: 60 * hour + minute, weekday, date };
}

/**
 * As it would travel: what is undefined is not there, and what is no Unicode is what everybody makes of it. Not by `JSON.parse`: that of
 * Node 26.10 reads a key of one escaped character as a backslash where an object before it had that key.
 */
function plain(value: Readonly<Record<string, unknown>>): Record<string, CedarValueJson> {
  const members = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(members.map(([name, each]) => [name, travelled(each)]));
}

function travelled(value: unknown): CedarValueJson {
  if (typeof value === 'string') return value.toWellFormed();
  if (Array.isArray(value)) return value.map(travelled);
  return typeof value === 'object' && value !== null ? plain({ ...value }) : (value as CedarValueJson);
}

const named = (tags: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(tags).filter(([name]) => name.isWellFormed()));
