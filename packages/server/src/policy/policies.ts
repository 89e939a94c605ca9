/** The policies that decide for an organization, compiled: what every decision begins with. */
import type { Logger } from '../lib/log.ts';
import { rememberedPer } from '../lib/remember.ts';
import { asOf } from '../liveness/liveness.ts';
import type { Database, Queries } from '../store/database.ts';
import { loadPolicyEngine, type PolicySet, type PolicySource } from './engine.ts';
import { lastRevision, organizationsWithPolicies, selectSet } from './store.ts';

interface PolicyDeps {
  db: Database;
  log: Logger;
}

/** Organizations whose sets are compiled at a start. */
const setsWarmed = 20;

/** Organizations whose sets are kept. */
const setsKept = 2000;

/** For one version of the registry, as everything that is remembered. */
const current = rememberedPer<PolicySet>(setsKept);

interface Compiled {
  revision: number;
  set: Promise<PolicySet>;
}

/** By organization: a registry that changes all day long need not compile policies that nobody has changed. */
const compiled = new WeakMap<Database, Map<string, Compiled>>();

/**
 * The set that decides for an organization. One that can't be compiled, which only another version of the program can have
 * written, denies everything, and the log says so.
 * @param version of the registry, as `asOf` read it
 */
export async function policySetOf(deps: PolicyDeps, version: number, org: string): Promise<PolicySet> {
  const set = await current(deps.db).get(version, org, () => newestSet(deps, org));
  if (!set) throw new Error('a set of policies was not made');
  return set;
}

async function newestSet(deps: PolicyDeps, org: string): Promise<PolicySet> {
  const { db } = deps;
  const revision = await lastRevision(db, org);
  let sets = compiled.get(db);
  if (!sets) {
    sets = new Map();
    compiled.set(db, sets);
  }
  const known = sets.get(org);
  if (known?.revision === revision) return known.set;
  const set = compileStored(deps, org, revision);
  if (sets.size >= setsKept) sets.clear();
  sets.set(org, { revision, set });
  // a database that didn't answer is no reason to fail again
  set.catch(() => sets.get(org)?.set === set && sets.delete(org));
  return set;
}

async function compileStored(deps: PolicyDeps, org: string, revision: number): Promise<PolicySet> {
  const sources = await selectSet(deps.db, org, revision);
  const engine = await loadPolicyEngine();
  try {
    await engine.read(sources);
    return engine.compile(sources, String(revision));
  } catch (error) {
    deps.log.error(
      { org, revision, err: error },
      'policies that are stored can not be read: until they are mended, every decision of this organization is no',
    );
    return engine.compile([unreadable], String(revision));
  }
}

/** What decides where nothing can be read. */
const unreadable: PolicySource = {
  name: 'bailiwick',
  mode: 'enforce',
  text: `@id("unreadable")
@reason("The policies of this organization can't be read by this version of the program.")
forbid (principal, action, resource);
`,
};

/**
 * The set as it was, to decide again what was decided then. Nothing is remembered.
 * @throws PolicyError where this version of the program can't read it
 */
export async function policySetAsOf(q: Queries, org: string, revision: number): Promise<PolicySet> {
  const sources = await selectSet(q, org, revision);
  const engine = await loadPolicyEngine();
  await engine.read(sources);
  return engine.compile(sources, String(revision));
}

/**
 * Loads the engine and compiles the policies of those who have been here longest, before anybody waits for them: the first
 * decision after a start would take half a second more. Whatever fails will fail again, and be told, when it is needed.
 */
export async function warmPolicies(deps: PolicyDeps): Promise<void> {
  try {
    const { version } = await asOf(deps.db);
    for (const org of await organizationsWithPolicies(deps.db, setsWarmed)) await policySetOf(deps, version, org);
  } catch (error) {
    deps.log.debug({ err: error }, 'policies were not read ahead');
  }
}

/** What is to be, beside or in place of what is: a document, or that there is none of this name. */
export type Draft = { name: string } & ({ text: string; mode: PolicySource['mode'] } | { remove: true });

/** The documents of a set with drafts in it. */
export function withDrafts(sources: readonly PolicySource[], drafts: readonly Draft[]): PolicySource[] {
  const drafted = new Map(drafts.map((draft) => [draft.name, draft]));
  const kept = sources.filter(({ name }) => !drafted.has(name));
  const added = drafts.flatMap((draft) =>
    'text' in draft ? [{ name: draft.name, text: draft.text, mode: draft.mode }] : [],
  );
  return [...kept, ...added].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
