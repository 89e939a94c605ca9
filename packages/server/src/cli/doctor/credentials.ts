/** Credentials that will cause trouble: missing, ending, forgotten, or secrets at all. */
import type { Config } from '../../config.ts';
import { secretsEndAt } from '../../credentials/secret.ts';
import { described, idleFor } from '../credential-words.ts';
import { shortTime, span } from '../output.ts';
import type { Agent, Credential } from '../registry.ts';
import { type Finding, ok, someOf, warn } from './finding.ts';

const dayMs = 86_400_000;
const soonDays = 14;
const staleDays = 30;

/** Agents that end by themselves before long. */
export function checkAgentEnds(agents: readonly Agent[], now: number): Finding[] {
  const dying = agents.filter(({ expires_at }) => isNear(expires_at, now)).map(({ name }) => name);
  if (dying.length === 0) return [];
  const todo = 'bailiwick agents update AGENT --expires TIME';
  return [warn('agents', `Within ${soonDays} days they end: ${someOf(dying)}.`, todo)];
}

/**
 * @param agents those that are to act
 * @param credentials those that work, enrolment tokens left out
 * @param enrolling agents without credentials whose instances enrol with tokens: nothing is wrong with that
 */
export function checkCredentials(
  agents: readonly Agent[],
  credentials: readonly Credential[],
  enrolling: ReadonlySet<string>,
  now: number,
): Finding[] {
  const names = new Map(agents.map(({ id, name }) => [id, name]));
  const theirs = credentials.filter(({ agent }) => names.has(agent));
  const nameOf = ({ agent }: Credential) => names.get(agent) ?? agent;
  const found = [
    ...keyless(withoutCredentials(agents, theirs).filter(({ id }) => !enrolling.has(id))),
    ...ending(theirs, nameOf, now),
    ...forgotten(theirs, nameOf, now),
    ...secrets(theirs, nameOf),
  ];
  if (found.length > 0) return found;
  return [ok('credentials', `none ends within ${soonDays} days, and each was used in the last ${staleDays} days`)];
}

/** The exception by which secrets work at all, while it stands in the configuration. */
export function checkSecretsException(config: Config, now: number): Finding[] {
  const end = secretsEndAt(config);
  if (end === undefined) return [];
  const day = config.dangerously_client_secrets_until;
  if (end <= now) {
    return [
      warn('exception', `Client secrets were allowed until ${day}.`, 'Take out dangerously_client_secrets_until.'),
    ];
  }
  return [
    warn(
      'exception',
      `Clients may authenticate by shared secrets until the end of ${day} (${span(end - now)}).`,
      'Give each a key or a certificate: bailiwick credentials list --kind secret; then take out dangerously_client_secrets_until',
    ),
  ];
}

/** Agents that have no credential of their own. */
export function withoutCredentials(agents: readonly Agent[], credentials: readonly Credential[]): Agent[] {
  const withOne = new Set(credentials.map(({ agent }) => agent));
  return agents.filter(({ id }) => !withOne.has(id));
}

function keyless(without: readonly Agent[]): Finding[] {
  if (without.length === 0) return [];
  const names = someOf(without.map(({ name }) => name));
  return [
    warn(
      'keyless',
      `They have no credential, and no instance of theirs has enrolled lately: ${names}.`,
      'bailiwick enrolment-token AGENT, for an instance that enrols; or a key: bailiwick credentials add AGENT --key-out FILE',
    ),
  ];
}

function ending(credentials: readonly Credential[], nameOf: (one: Credential) => string, now: number): Finding[] {
  const way = ({ agent, kind }: Credential) => `${agent} ${kind}`;
  // an old one that ends beside a lasting one of its kind is a rotation under way, not a problem
  const lasting = new Set(credentials.filter(({ expires_at }) => !isNear(expires_at, now)).map(way));
  const last = credentials.filter((one) => isNear(one.expires_at, now) && !lasting.has(way(one)));
  if (last.length === 0) return [];
  const shown = last.map((one) => `${nameOf(one)} (${described(one)}, ${shortTime(one.expires_at)})`);
  return [
    warn(
      'credentials',
      `Within ${soonDays} days the last of its kind ends of ${someOf(shown)}.`,
      'bailiwick credentials rotate CREDENTIAL --overlap 1d …; which: bailiwick credentials --expiring 14d',
    ),
  ];
}

function forgotten(credentials: readonly Credential[], nameOf: (one: Credential) => string, now: number): Finding[] {
  const idle = (one: Credential) => idleFor(one, now);
  const stale = credentials.filter((one) => idle(one) > staleDays * dayMs);
  if (stale.length === 0) return [];
  const shown = stale.map((one) => `${nameOf(one)} (${described(one)}, ${span(idle(one))})`);
  return [
    warn(
      'unused',
      `For more than ${staleDays} days nobody has used: ${someOf(shown)}.`,
      'Each is a way in: bailiwick credentials --stale 30d, then bailiwick credentials end CREDENTIAL',
    ),
  ];
}

/** Every one of them, however many: whoever reads this is to be rid of them. */
function secrets(credentials: readonly Credential[], nameOf: (one: Credential) => string): Finding[] {
  const live = credentials.filter(({ kind }) => kind === 'secret');
  if (live.length === 0) return [];
  const shown = live.map((one) => `${nameOf(one)} ${one.id}, until ${shortTime(one.expires_at)}`);
  return [
    warn(
      'secrets',
      `Whoever reads one is its agent: ${shown.join('; ')}.`,
      'bailiwick credentials rotate CREDENTIAL --overlap 1d --key-out FILE puts a key in its place',
    ),
  ];
}

const isNear = (end: string | undefined, now: number) => end !== undefined && Date.parse(end) - now < soonDays * dayMs;
