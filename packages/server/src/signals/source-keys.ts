/** The keys by which a source signs: fetched when they are first needed, when one is unknown, and when they are old. */
import type { JwsAlgorithm, VerificationKey } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { fetchKeySet, keysFor } from '../lib/key-set.ts';
import { FetchError } from '../lib/safe-fetch.ts';
import { type Source, setAlgorithms } from '../ssf/source.ts';
import { claimKeys, findSource, keepKeys, noteSourceFault } from '../ssf/source-store.ts';
import { SetError } from './set-error.ts';

/** How long a source has peace after it was asked, whoever shows us SETs that we can't judge (ms). */
const askedAtMostEvery = 30_000;
/** After so long the keys are asked for again, so that one that was taken away is gone; what nobody could confirm for a day is believed no more (ms). */
const freshFor = 60 * 60_000;
const believedFor = 24 * freshFor;

/**
 * Finds the keys that a SET can be signed by: those with its `kid`, or all if it names none.
 * @throws SetError `invalid_key` if there is none
 */
export async function keysOf(
  deps: Deps,
  source: Source,
  { alg, kid }: { alg: unknown; kid: unknown },
): Promise<VerificationKey[]> {
  if (!(setAlgorithms as readonly unknown[]).includes(alg)) {
    throw new SetError('invalid_key', `the SET must be signed by one of ${setAlgorithms.join(', ')}`);
  }
  const wanted = { alg: alg as JwsAlgorithm, kid };
  const known = fresh(deps, source) ? keysFor(source.jwks ?? '', wanted) : [];
  if (known.length > 0) return known;
  const now = await refreshed(deps, source);
  const found = believed(deps, now) ? keysFor(now.jwks ?? '', wanted) : [];
  if (found.length > 0) return found;
  throw new SetError('invalid_key', 'the key that signed the SET is not among those of its issuer');
}

const ageOf = ({ clock }: Deps, { jwksAt }: Source) => clock.now() - (jwksAt ?? Number.NEGATIVE_INFINITY);
const fresh = (deps: Deps, source: Source): boolean => ageOf(deps, source) <= freshFor;
const believed = (deps: Deps, source: Source): boolean => ageOf(deps, source) <= believedFor;

/** The source with the keys that are known after asking for them, unless somebody asked just now. */
async function refreshed(deps: Deps, source: Source): Promise<Source> {
  const { db, clock } = deps;
  const now = clock.now();
  const mine = await db.settle((tx) => claimKeys(tx, source.id, { now, since: now - askedAtMostEvery }));
  if (!mine) return (await findSource(db, source.id)) ?? source;
  try {
    const { text: jwks } = await fetchKeySet(deps, source.jwksUri);
    await db.settle((tx) => keepKeys(tx, source, { jwks, now }));
    return { ...source, jwks, jwksAt: now };
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    deps.log.warn({ source: source.id, why: error.message }, 'the keys of a source of signals could not be fetched');
    await db.settle((tx) => noteSourceFault(tx, source.id, `its keys could not be fetched: ${error.message}`));
    return source;
  }
}
