/** Whom of ours the subject of a signal means. @see RFC 9493 */

import type { Agent } from '../agents/agent.ts';
import { findInstance, findInstanceBySpiffeId } from '../agents/instance-store.ts';
import { findAgent, selectAgents } from '../agents/store.ts';
import { findByThumbprint, findCredential } from '../credentials/store.ts';
import { spiffeThumbprint } from '../credentials/subject.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { findOrganization, selectPeople } from '../people/store.ts';
import type { SignalContext } from '../policy/request.ts';
import { revocable } from '../revocations/subjects.ts';
import type { Source, SubjectKind } from '../ssf/source.ts';
import { namedIn, type SimpleSubject, type Subject } from '../ssf/subject.ts';
import type { Queries } from '../store/database.ts';

/** An agent that a signal is about, and what exactly of it. */
export interface Concerned {
  agent: Agent;
  concerns: SignalContext['concerns'];
  /** What alone loses its tokens, where it isn't the whole agent. */
  part: { kind: 'token' | 'instance' | 'credential'; id: string } | undefined;
}

/** One person answers for at most so many agents that a signal reaches. */
const mostAgents = 1000;

/** What a name that we can read means here, and what a source must be allowed to name by to use it alone. */
interface Named {
  by: SubjectKind;
  found: readonly Concerned[];
}

/** What only says more of a principal: an id of theirs that is nothing here doesn't make it somebody else. @see SSF 1.0 §3.3 */
const beside: readonly string[] = ['session', 'tenant', 'application', 'group', 'org_unit'];

/**
 * Those of the source's organization whom the subject means; nobody, if it is nobody of ours. Of a complex subject all members that we can
 * read must agree, since it means one principal: who is nobody here makes the whole mean nobody. What the source may not name by makes it
 * narrower, and means nobody by itself. @see SSF 1.0 §3.3
 */
export async function concernedBy(deps: Deps, source: Source, subject: Subject): Promise<Concerned[]> {
  const members = new Map<string, SimpleSubject[]>();
  for (const { member, subject: one } of namedIn(subject)) members.set(member, [...(members.get(member) ?? []), one]);
  let found: readonly Concerned[] | undefined;
  let allowed = false;
  for (const [member, names] of members) {
    const [first] = names;
    if (member === 'tenant' && first?.format === 'opaque' && isId('organization', String(first.id))) {
      continue; // another server's
    }
    const read = (await Promise.all(names.map((one) => named(deps, source, one)))).filter((one) => one !== undefined);
    // aliases are one name each for the same: those that may be used are
    const usable = names.length > 1 ? read.filter(({ by }) => source.subjects.includes(by)) : read;
    const here = usable.flatMap((one) => one.found);
    if (usable.length === 0 || (here.length === 0 && beside.includes(member))) continue;
    allowed ||= usable.some(({ by, found: some }) => some.length > 0 && source.subjects.includes(by));
    found = found === undefined ? here : agreed(found, here);
  }
  if (!allowed) return [];
  const byAgent = new Map<string, Concerned>();
  for (const one of found ?? [])
    if (one.agent.org === source.org && !byAgent.has(one.agent.id)) byAgent.set(one.agent.id, one);
  return [...byAgent.values()].slice(0, mostAgents);
}

/** Formats that name people by what is theirs, of use to us or not. */
const peopleFormats: readonly unknown[] = ['email', 'phone_number', 'account'];

export const namesPeople = (subject: Subject): boolean =>
  namedIn(subject).some(({ subject: { format } }) => peopleFormats.includes(format));

/** The person of the source's organization whom a subject names by address, under whose key it is kept; undefined for nobody, and for several. */
export async function personNamed(q: Queries, { org }: Source, subject: Subject): Promise<string | undefined> {
  const people = namedIn(subject).filter(({ subject: { format } }) => peopleFormats.includes(format));
  const found = new Set<string | undefined>();
  for (const { subject: one } of people) {
    const here = one.format === 'email' ? await selectPeople(q, { org, email: String(one.email), limit: 2 }) : [];
    for (const { id } of here.length === 0 ? [{ id: undefined }] : here) found.add(id);
  }
  return found.size === 1 ? [...found][0] : undefined;
}

/** Those in both; of each what is narrower. */
function agreed(some: readonly Concerned[], others: readonly Concerned[]): Concerned[] {
  return some.flatMap((one) => {
    const other = others.find(({ agent }) => agent.id === one.agent.id);
    if (!other) return [];
    return [one.part === undefined ? other : one];
  });
}

/** Undefined for what we can't read: another's name for whom only they know. */
async function named(deps: Deps, source: Source, subject: SimpleSubject): Promise<Named | undefined> {
  const { db, config } = deps;
  const { format, iss } = subject;
  if (format === 'email') return { by: 'email', found: await byEmail(db, source, String(subject.email)) };
  if (format === 'jwt_id') {
    if (iss !== config.issuer) return undefined;
    const token = await revocable('token').find(db, String(subject.jti), source.org);
    const agent = token?.agent && (await findAgent(db, token.agent.id));
    const part = { kind: 'token', id: String(subject.jti) } as const;
    return { by: 'agent', found: agent ? [{ agent, concerns: 'agent', part }] : [] };
  }
  const name = { iss_sub: subject.sub, uri: subject.uri, opaque: subject.id }[format as string];
  if (typeof name !== 'string') return undefined;
  const ours = name.startsWith(`spiffe://${config.trust_domain}/`);
  if (name.startsWith('spiffe://') && !ours) {
    // a name that a third party gave is no word of this source
    if (format === 'iss_sub' && iss !== source.issuer) return undefined;
    return { by: 'credential', found: await byCredential(db, source, name) };
  }
  // the same id of another issuer is another's
  if (format === 'iss_sub' && iss !== config.issuer) return undefined;
  const found = ours ? await bySpiffeId(deps, name) : await byId(db, name);
  return found && { by: 'agent', found };
}

/** Only an identity of our own trust domain names an agent or instance by itself. */
async function bySpiffeId({ db, config }: Deps, name: string): Promise<Concerned[]> {
  const [orgName = '', agentName = '', ...rest] = name.slice(`spiffe://${config.trust_domain}/`.length).split('/');
  if (rest.length > 0) {
    const instance = await findInstanceBySpiffeId(db, name);
    const agent = instance && (await findAgent(db, instance.agent));
    return agent ? [{ agent, concerns: 'instance', part: { kind: 'instance', id: instance.id } }] : [];
  }
  const agent = await agentNamed(db, orgName, agentName);
  return agent ? [whole(agent)] : [];
}

async function agentNamed(q: Queries, orgName: string, name: string): Promise<Agent | undefined> {
  const organization = isId('organization', orgName) ? undefined : await findOrganization(q, orgName);
  return organization && (await selectAgents(q, { org: organization.id, name, limit: 1 }))[0];
}

/** Undefined for what is none of our ids. */
async function byId(q: Queries, id: string): Promise<Concerned[] | undefined> {
  if (isId('agent', id)) {
    const agent = await findAgent(q, id);
    return agent ? [whole(agent)] : [];
  }
  if (isId('instance', id)) {
    const instance = await findInstance(q, id);
    const agent = instance && (await findAgent(q, instance.agent));
    return agent ? [{ agent, concerns: 'instance', part: { kind: 'instance', id } }] : [];
  }
  if (isId('credential', id)) {
    const credential = await findCredential(q, id);
    const agent = credential && (await findAgent(q, credential.agent));
    return agent ? [{ agent, concerns: 'credential', part: { kind: 'credential', id } }] : [];
  }
  return undefined;
}

/** A foreign identity that is registered here as a credential. */
async function byCredential(q: Queries, source: Source, spiffeId: string): Promise<Concerned[]> {
  const credential = await findByThumbprint(q, spiffeThumbprint(spiffeId));
  if (credential?.org !== source.org || credential.status === 'removed') return [];
  const agent = await findAgent(q, credential.agent);
  return agent ? [{ agent, concerns: 'credential', part: { kind: 'credential', id: credential.id } }] : [];
}

async function byEmail(q: Queries, { org }: Source, email: string): Promise<Concerned[]> {
  const people = await selectPeople(q, { org, email, limit: 10 });
  const agents = await Promise.all(people.map(({ id }) => selectAgents(q, { org, owner: id, limit: mostAgents })));
  return agents.flat().map((agent) => ({ agent, concerns: 'owner' as const, part: undefined }));
}

const whole = (agent: Agent): Concerned => ({ agent, concerns: 'agent', part: undefined });
