/** What an event of the log means to those outside: security events about who is concerned. @see CAEP 1.0 §3 */
import { findInstance } from '../agents/instance-store.ts';
import { findAgent } from '../agents/store.ts';
import { type AuditEvent, eventTypes } from '../audit/event.ts';
import type { Credential, CredentialKind } from '../credentials/credential.ts';
import { findCredential } from '../credentials/store.ts';
import { numericDate } from '../lib/clock.ts';
import { isId } from '../lib/ids.ts';
import type { StoredEvent } from '../log/read-on.ts';
import { findMandate } from '../mandates/store.ts';
import { findRole, findRoleGrant, rolesOf } from '../resources/role-store.ts';
import { findResource } from '../resources/store.ts';
import type { Queries } from '../store/database.ts';
import { findTask } from '../tasks/store.ts';
import { spiffeId } from '../tokens/claims.ts';
import { caep, type ToldEvent } from './events.ts';
import type { SimpleSubject, Subject } from './subject.ts';

/** What is told of an event: one of these for each who is concerned. */
export interface Signal {
  type: ToldEvent;
  subject: Subject;
  /** Whoever added or removed one of these meant this, too. */
  about: readonly Subject[];
  /** The payload of the event. */
  says: Readonly<Record<string, unknown>>;
  /** What gave rise to it: the event itself, or what another provider told, so that it is known wherever it comes back. @see SSF 1.0 §4.1.9 */
  txn: string;
  /** Tells those of one event and type apart. */
  part: string;
}

interface World {
  q: Queries;
  config: { issuer: string; trust_domain: string };
}

type Leaf = Pick<AuditEvent, 'decided_on' | 'resource'>;

/** The event's own words about itself: what was changed, by whomever. */
interface Told {
  event: StoredEvent;
  said: Readonly<Record<string, unknown>>;
  common: Readonly<Record<string, unknown>>;
}

type Teller = (world: World, told: Told) => Promise<Omit<Signal, 'txn'>[]>;

const sessionRevoked = `${caep}session-revoked` as const;
const credentialChange = `${caep}credential-change` as const;
const claimsChange = `${caep}token-claims-change` as const;

const ofTarget: Teller = (world, told) => revoked(world, told, told.event.target ?? told.event.jti ?? '');

/** What was changed so that less is allowed: the tokens that rest on it ended with that. What only widens is no news to anybody outside. */
const whenNarrowed: Teller = async (world, told) => (told.said.rev === undefined ? [] : ofTarget(world, told));

/**
 * What is told of each kind of thing that can be revoked: by the event that says that it ended, for good or for a while, or that it is narrower.
 * Beside `token.revoked`, which leaves the thing as it is.
 */
const revocationTellers = {
  token: {},
  task: { 'task.ended': ofTarget },
  instance: {
    'instance.ended': async (world, told) => {
      const { target } = told.event;
      const children = [told.said.instances, told.said.children].flatMap((list) => (Array.isArray(list) ? list : []));
      const ended = [target, ...children].filter((id): id is string => typeof id === 'string' && isId('instance', id));
      const signals = await Promise.all(ended.map((id) => revoked(world, told, id)));
      return signals.flat();
    },
  },
  credential: { 'credential.ended': (world, told) => credentialChanged(world, told, 'revoke') },
  agent: { 'agent.suspended': ofTarget, 'agent.retired': ofTarget, 'agent.updated': whenNarrowed },
  trusted_issuer: {
    'trusted_issuer.suspended': ofTarget,
    'trusted_issuer.removed': ofTarget,
    'trusted_issuer.updated': whenNarrowed,
  },
  mandate: { 'mandate.paused': ofTarget, 'mandate.ended': ofTarget, 'mandate.narrowed': ofTarget },
  role: { 'role.retired': ofTarget, 'role.updated': whenNarrowed },
  role_grant: { 'role.withdrawn': claimsChanged },
  person: { 'person.erased': ofTarget },
  team: { 'team.retired': ofTarget }, // its agents are told of one by one
  organization: { 'organization.suspended': ofTarget },
  resource: { 'resource.retired': ofTarget, 'resource.updated': whenNarrowed },
  key: { 'key.revoked': wholeTenant },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Teller>>>>;

const tellers: Readonly<Record<string, Teller>> = {
  'token.revoked': ofTarget,
  ...Object.assign({}, ...Object.values(revocationTellers)),
  'credential.created': (world, told) => credentialChanged(world, told, 'create'),
  'credential.updated': (world, told) => credentialChanged(world, told, 'update'),
  'credential.rotated': (world, told) => credentialChanged(world, told, 'update'),
  'role.granted': claimsChanged,
};

/** Events of the deployment itself, which are told in every organization. */
export const everybodysTypes: readonly string[] = Object.keys(revocationTellers.key);

/** The types of events that are told of. */
export const toldTypes: readonly string[] = Object.keys(tellers);

/** What is told of an event of the log; nothing, if it is about nobody who can be named outside. */
export async function signalsOf(world: World, event: StoredEvent): Promise<Signal[]> {
  const teller = Object.hasOwn(tellers, event.type) ? tellers[event.type] : undefined;
  if (!teller || event.outcome !== 'allowed') return [];
  const leaf = JSON.parse(event.leaf) as Leaf;
  const decidedOn = leaf.decided_on ?? {};
  const said = { ...decidedOn, ...(decidedOn.changed as Record<string, unknown> | undefined) };
  if (said.told === false) return []; // a signal did it, and those outside have just been told of the same
  const { issuer } = world.config;
  const common = {
    event_timestamp: numericDate(event.at),
    initiating_entity: said.source !== undefined ? 'policy' : leaf.resource === `${issuer}/admin` ? 'admin' : 'system',
    reason_admin: { en: eventTypes[event.type as keyof typeof eventTypes] },
  };
  const txn = said.source !== undefined && isId('event', String(said.txn)) ? String(said.txn) : event.id;
  return (await teller(world, { event, said, common })).map((signal) => ({ ...signal, txn }));
}

async function revoked(world: World, { event, common }: Told, id: string): Promise<Omit<Signal, 'txn'>[]> {
  const named = await subjectOf(world, id, event);
  return named ? [{ type: sessionRevoked, ...named, says: common, part: id }] : [];
}

/** Everything that it signed has ended, whosever it is: told in each organization, of all of it. */
async function wholeTenant(_world: World, { event, common }: Told): Promise<Omit<Signal, 'txn'>[]> {
  const subject: Subject = { format: 'complex', tenant: tenant(event.org) };
  return [{ type: sessionRevoked, subject, about: [], says: common, part: event.org }];
}

const tenant = (org: string): SimpleSubject => ({ format: 'opaque', id: org });
const opaque = (id: string): SimpleSubject => ({ format: 'opaque', id });

/** Whoever or whatever has this id, as those outside know it. */
async function subjectOf(
  world: World,
  id: string,
  { org, agent }: StoredEvent,
): Promise<Pick<Signal, 'subject' | 'about'> | undefined> {
  const { q, config } = world;
  const whole = { format: 'complex', tenant: tenant(org) } as Subject;
  const partOf = async (of: string): Promise<Pick<Signal, 'subject' | 'about'> | undefined> => {
    const user = await agentSubject(world, of);
    return user && { subject: { format: 'complex', user, session: opaque(id), tenant: tenant(org) }, about: [user] };
  };
  if (isId('agent', id)) {
    const subject = await agentSubject(world, id);
    return subject && { subject, about: [whole] };
  }
  if (isId('instance', id)) {
    const instance = await findInstance(q, id);
    const user = instance && (await agentSubject(world, instance.agent));
    if (!instance || !user) return undefined;
    return { subject: { format: 'iss_sub', iss: config.issuer, sub: instance.spiffeId }, about: [user, whole] };
  }
  if (isId('organization', id)) return { subject: { format: 'complex', tenant: tenant(id) }, about: [] };
  if (isId('role', id)) return { subject: { ...whole, group: opaque(id) } as Subject, about: [] };
  if (isId('person', id) || isId('team', id) || isId('trusted_issuer', id)) {
    return { subject: { ...whole, group: opaque(id) } as Subject, about: [] };
  }
  if (isId('resource', id)) {
    const resource = await findResource(q, id);
    if (!resource) return undefined;
    return { subject: { ...whole, application: { format: 'uri', uri: resource.identifier } } as Subject, about: [] };
  }
  if (isId('task', id)) {
    const task = await findTask(q, id);
    return task && partOf(task.agent);
  }
  if (isId('mandate', id)) {
    const mandate = await findMandate(q, id);
    return mandate && partOf(mandate.agent);
  }
  if (isId('credential', id)) {
    const credential = await findCredential(q, id);
    return credential && partOf(credential.agent);
  }
  if (isId('grant', id)) {
    const grant = await findRoleGrant(q, id);
    return grant && partOf(grant.agent);
  }
  if (!/^[0-9a-z]{26}$/.test(id)) return undefined;
  const user = agent === null ? undefined : await agentSubject(world, agent);
  return { subject: { format: 'jwt_id', iss: config.issuer, jti: id }, about: user ? [user, whole] : [whole] };
}

/** An agent, by the issuer and the name that its tokens carry as `sub`. */
async function agentSubject({ q, config }: World, id: string): Promise<SimpleSubject | undefined> {
  const agent = await findAgent(q, id);
  return agent && { format: 'iss_sub', iss: config.issuer, sub: spiffeId(config, agent) };
}

/** What CAEP calls what it knows; the rest by our own words, as it allows. @see CAEP 1.0 §3.3.1 */
const credentialTypes: Readonly<Partial<Record<CredentialKind, string>>> = {
  certificate: 'x509',
  certificate_subject: 'x509',
};

async function credentialChanged(world: World, { event, common }: Told, change: 'create' | 'update' | 'revoke') {
  const credential: Credential | undefined = await findCredential(world.q, event.target ?? '');
  // one enrolment token for each copy that starts: nobody outside ever sees it
  if (!credential || credential.kind === 'enrolment_token') return [];
  const subject = await agentSubject(world, credential.agent);
  if (!subject) return [];
  const { id, kind, org } = credential;
  const says = { ...common, credential_type: credentialTypes[kind] ?? kind, change_type: change };
  const about = [{ format: 'complex', tenant: tenant(org) } as Subject];
  return [{ type: credentialChange, subject, about, says, part: id }];
}

/** For each API that the role is about: which scopes the agent's tokens for it can have from now on. */
async function claimsChanged(world: World, { event, said, common }: Told): Promise<Omit<Signal, 'txn'>[]> {
  const { q } = world;
  const role = typeof said.role === 'string' ? await findRole(q, said.role) : undefined;
  const user = await agentSubject(world, event.target ?? '');
  if (!role || !user) return [];
  const inherited = await Promise.all(role.inherits.map((id) => findRole(q, id)));
  const concerned = new Set(
    [role, ...inherited].flatMap((one) => one?.permissions ?? []).map(({ resource }) => resource),
  );
  const held = (await rolesOf(q, event.target ?? '')).flatMap(({ permissions }) => permissions);
  const signals: Omit<Signal, 'txn'>[] = [];
  for (const id of concerned) {
    const resource = await findResource(q, id);
    if (!resource || resource.system) continue; // our own APIs look for themselves
    const scopes = held.filter((permission) => permission.resource === id).flatMap((permission) => permission.scopes);
    const subject: Subject = {
      format: 'complex',
      user,
      application: { format: 'uri', uri: resource.identifier },
      tenant: tenant(event.org),
    };
    const claims = { scope: [...new Set(scopes)].sort().join(' ') };
    signals.push({ type: claimsChange, subject, about: [user], says: { ...common, claims }, part: id });
  }
  return signals;
}
