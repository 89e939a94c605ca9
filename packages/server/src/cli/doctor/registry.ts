/** What the registry holds that will cause trouble: orphans, agents without keys, keys near their end, bare tokens. */
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import { hasEnrolled } from '../nouns/enrolment-token.ts';
import { span } from '../output.ts';
import type { Agent, Credential, Guard, Person, Resource, SigningKey, Team } from '../registry.ts';
import { checkAgentEnds, checkCredentials, withoutCredentials } from './credentials.ts';
import { checkExports } from './exports.ts';
import { type Finding, fail, note, ok, someOf, warn } from './finding.ts';
import { checkTrustedIssuers } from './issuers.ts';
import { checkMandates } from './mandates.ts';
import { checkPolicies } from './policies.ts';
import { checkTrustDomains } from './trust-domains.ts';

const dayMs = 86_400_000;
const oldKeyDays = 90;

/** Looks through everything; the first request tells whether the identity is accepted at all. */
export async function checkRegistry(api: Api, now: number): Promise<Finding[]> {
  let agents: Agent[];
  try {
    agents = await api.list<Agent>('/agents');
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    // answered to a token: the identity is accepted, and may see less than this
    if (error.status === 403)
      return [ok('identity', `accepted: ${api.identity.client_id}`), note('agents', notTheirs(error))];
    return [fail('identity', error.message, error.hint ?? 'Look at the key file.')];
  }
  const self = agents.find(({ id }) => id === api.identity.client_id);
  const living = agents.filter(({ status }) => status === 'active');
  return [
    ok(
      'identity',
      `accepted: ${self?.name ?? api.identity.client_id} (${self?.roles.map(({ name }) => name).join(', ') ?? 'of another organization'})`,
    ),
    ...(await checkSigningKeys(api, now)),
    ...(await allowed('owners', () => checkOwners(api, living))),
    ...checkAgentEnds(living, now),
    ...(await allowed('credentials', () => checkThoseOf(api, living, now))),
    ...(await allowed('resources', () => checkResources(api, agents))),
    ...(await checkMandates(api, agents, now)),
    ...(await checkTrustedIssuers(api, agents, now)),
    ...(await checkPolicies(api, now)),
    ...(await checkTrustDomains(api)),
    ...(await checkExports(api, now)),
  ];
}

/** A narrow administrator sees less: what was not looked at is said, and nothing is wrong with that. */
async function allowed(check: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof CliError && error.reason === 'refused')) throw error;
    return [note(check, notTheirs(error))];
  }
}

const notTheirs = ({ message }: CliError) => `Not looked at, since it is not this identity's to see: ${message}`;

async function checkThoseOf(api: Api, living: readonly Agent[], now: number): Promise<Finding[]> {
  const active = await api.list<Credential>('/credentials', { status: 'active' });
  const credentials = active.filter(({ kind }) => kind !== 'enrolment_token');
  const enrolled = await enrolling(api, withoutCredentials(living, credentials));
  return checkCredentials(living, credentials, enrolled, now);
}

async function enrolling(api: Api, agents: readonly Agent[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const { id } of agents) if (await hasEnrolled(api, id)) found.add(id);
  return found;
}

async function checkSigningKeys(api: Api, now: number): Promise<Finding[]> {
  let items: SigningKey[];
  try {
    ({ items } = await api.get<{ items: SigningKey[] }>('/keys'));
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return []; // a narrow administrator: not theirs to know
    throw error;
  }
  const signing = items.filter(({ state }) => state === 'signing');
  const old = signing.filter(({ created_at }) => now - Date.parse(created_at) > oldKeyDays * dayMs);
  if (old.length > 0) {
    const algs = old.map(({ alg }) => alg).join(', ');
    return [
      warn(
        'signing keys',
        `Older than ${oldKeyDays} days: ${algs}.`,
        old.map(({ alg }) => `bailiwick keys rotate --alg ${alg}`).join('; '),
      ),
    ];
  }
  const oldest = Math.max(0, ...signing.map(({ created_at }) => now - Date.parse(created_at)));
  return [ok('signing keys', `${signing.map(({ alg }) => alg).join(', ')}, ${span(oldest)} old at most`)];
}

async function checkOwners(api: Api, agents: readonly Agent[]): Promise<Finding[]> {
  const owners = [...(await api.list<Team>('/teams')), ...(await api.list<Person>('/people'))];
  const alive = new Set(owners.filter(({ status }) => status === 'active').map(({ id }) => id));
  const orphans = agents.filter(({ owner }) => !alive.has(owner));
  if (orphans.length === 0) return [ok('owners', `someone answers for every active agent (${agents.length})`)];
  const names = someOf(orphans.map(({ name }) => name));
  return [warn('owners', `Nobody answers any more for ${names}.`, 'bailiwick agents update AGENT --owner OWNER')];
}

async function checkResources(api: Api, agents: readonly Agent[]): Promise<Finding[]> {
  const all = await api.list<Resource>('/resources');
  const resources = all.filter(({ system, status }) => !system && status === 'active');
  const guarded = new Set(
    (await api.list<Guard>('/guards')).filter(({ status }) => status === 'active').map(({ resource }) => resource),
  );
  const retired = new Set([...agents, ...all].filter(({ status }) => status === 'retired').map(({ id }) => id));
  const anyRetired = (ids: readonly string[] = []) => ids.some((id) => retired.has(id));
  const inside = ({ token }: Resource) => token.transactions ?? [];
  const troubles: [check: string, says: string, isIts: (one: Resource) => boolean, todo: string][] = [
    [
      'bearer',
      'Their tokens work for whoever finds one:',
      ({ token }) => token.dangerously_bearer,
      'Bind them: --file or the admin API, token.dangerously_bearer: false',
    ],
    [
      'operations',
      'None is listed, so everything is refused:',
      ({ operations }) => operations.length === 0,
      "bailiwick resources update RESOURCE --operation 'GET /path scope low'",
    ],
    [
      'guards',
      'No guard is registered for',
      ({ id }) => !guarded.has(id),
      'bailiwick guards create RESOURCE --owner OWNER --key-out FILE',
    ],
    [
      'served by',
      'Agents that are retired are to answer there:',
      ({ served_by }) => anyRetired(served_by),
      'bailiwick resources update RESOURCE --not-served-by AGENT --served-by ANOTHER',
    ],
    [
      'transactions',
      'Those that begin there may come to resources that are retired:',
      (one) => anyRetired(inside(one)),
      'bailiwick resources update RESOURCE --no-transactions-to RETIRED',
    ],
    [
      'transactions',
      'Nobody answers there who could ask for their tokens:',
      (one) => inside(one).length > 0 && one.served_by.length === 0,
      'bailiwick resources update RESOURCE --served-by AGENT',
    ],
  ];
  const found = troubles.flatMap(([check, says, isIts, todo]) => {
    const its = resources.filter(isIts).map(({ name }) => name);
    return its.length === 0 ? [] : [warn(check, `${says} ${someOf(its)}.`, todo)];
  });
  if (found.length > 0) return found;
  const count = resources.length;
  return [
    ok('resources', count === 0 ? 'none registered yet' : `each has operations, a guard and bound tokens (${count})`),
  ];
}
