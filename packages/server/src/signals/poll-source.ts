/**
 * Asks sources that don't push, one question after the other for each, and says what was taken with the next one. Of all nodes one asks a
 * source at a time. What could not be taken is told (`setErrs`), so that it doesn't come for ever.
 * @see RFC 8936
 */
import type { Agent } from '@bailiwick/agent';
import type { PrivateJwk } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { pauseAfter, startDueWork } from '../lib/due-work.ts';
import { FetchError } from '../lib/safe-fetch.ts';
import { type PollSettings, type Source, sourcesTopic } from '../ssf/source.ts';
import { asked, claimSource, dueSources, findSource, nextSourceDue } from '../ssf/source-store.ts';
import { findSecret } from '../ssf/stream-store.ts';
import { signalSecretName } from '../store/secrets.ts';
import { takeSignal } from './apply.ts';
import { readSet } from './read-set.ts';
import { fetchBy } from './safe-response.ts';
import { SetError } from './set-error.ts';

/** How long a source is held by the node that asks it (ms): longer than a question may take. */
const heldMs = 120_000;
/** How long the other side may let us wait (seconds). */
const answerSeconds = 60;
/** Between two questions, where the other side answers at once though it has nothing (ms). */
const restMs = 5_000;
/** After a failure (ms). */
const pauses = { first: 2_000, longest: 300_000 };
const atOnce = 16;
const mostSets = 50;

/** Begins to ask. `stop` gives up questions that wait. */
export const startPolling = (deps: Deps): { stop(): Promise<void> } =>
  startDueWork({
    clock: deps.clock,
    atOnce,
    due: (now, limit) => dueSources(deps.db, now, limit),
    next: () => nextSourceDue(deps.db),
    work: (id, ending) => askSource(deps, id, ending),
    listen: (look) => deps.db.listen(sourcesTopic, look),
    failed: (err, source) =>
      deps.log.error({ err, source }, 'a source of signals could not be asked; it is tried again'),
  });

interface Taken {
  ack: string[];
  setErrs: Record<string, { err: string; description: string }>;
}

const nothing = (): Taken => ({ ack: [], setErrs: {} });

async function askSource(deps: Deps, id: string, ending: AbortSignal): Promise<void> {
  const { db, clock } = deps;
  let heldUntil = clock.now() + heldMs;
  const claimed = await db.settle((tx) => claimSource(tx, id, { now: clock.now(), until: heldUntil }));
  if (!claimed?.poll) return;
  const ask = await questioner(deps, claimed, claimed.poll, ending);
  let taken = nothing();
  while (!ending.aborted) {
    let dueAt = Math.max(clock.now() + heldMs, heldUntil + 1);
    let fault: string | undefined;
    let rest = false;
    try {
      const began = clock.monotonic();
      const { sets, more } = await ask({ ...taken, maxEvents: mostSets, returnImmediately: false });
      taken = await takeAll(deps, id, sets);
      rest = !more && Object.keys(sets).length === 0 && clock.monotonic() - began < restMs;
      if (rest) dueAt = clock.now() + restMs;
    } catch (error) {
      if (ending.aborted) break;
      fault = faultOf(error);
      dueAt = clock.now() + pauseAfter(claimed.failures, pauses);
    }
    const mine = await db.settle((tx) => asked(tx, { id, heldUntil }, { dueAt, fault }));
    if (!mine || fault !== undefined || rest) return; // what was taken and not said comes again, and is known by its id
    heldUntil = dueAt;
  }
  // stopped in the middle: another node may go on at once
  await db.settle(async (tx) => {
    await asked(tx, { id, heldUntil }, { dueAt: clock.now(), fault: undefined });
    await tx.notify(sourcesTopic, id);
  });
}

async function takeAll(deps: Deps, id: string, sets: Readonly<Record<string, string>>): Promise<Taken> {
  const taken = nothing();
  for (const [jti, text] of Object.entries(sets)) {
    const source = await findSource(deps.db, id); // its keys may have come with the last
    if (!source?.poll) throw new FetchError('refused', 'the source is not asked any more');
    try {
      const set = await readSet(deps, source, text);
      if (set.jti !== jti) throw new SetError('invalid_request', 'jti is not the one that the SET was sent under');
      await takeSignal(deps, source, set);
      taken.ack.push(jti);
    } catch (error) {
      if (!(error instanceof SetError)) throw error;
      deps.log.warn(
        { source: id, err: error.code, why: error.message },
        'a source sent a signal that can not be taken',
      );
      taken.setErrs[jti] = { err: error.code, description: error.message };
    }
  }
  return taken;
}

type Ask = (question: object) => Promise<{ sets: Record<string, string>; more: boolean }>;

/** Who asks, as whatever the source knows us. */
async function questioner(deps: Deps, source: Source, poll: PollSettings, ending: AbortSignal): Promise<Ask> {
  const secret = await findSecret(deps.db, source.id);
  const opened = secret === undefined ? undefined : deps.encryption.open(signalSecretName(source.id), secret);
  const fetched = fetchBy(deps.fetch, answerSeconds, ending);
  const agent = poll.oauth && opened !== undefined ? await agentOf(deps, poll.oauth, opened, fetched) : undefined;
  return async (question) => {
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(agent === undefined && opened !== undefined && { authorization: opened }),
    };
    const init = { method: 'POST', headers, body: JSON.stringify(question) };
    const response = await (agent?.fetch ?? fetched)(poll.url, init);
    if (response.status !== 200) throw new FetchError('unusable', `the source answered with ${response.status}`);
    return answerIn(await response.text());
  };
}

async function agentOf(
  { clock }: Deps,
  { issuer, clientId }: NonNullable<PollSettings['oauth']>,
  key: string,
  fetch: typeof globalThis.fetch,
): Promise<Agent> {
  const { createAgent } = await import('@bailiwick/agent'); // only whoever has such a source pays for it
  const jwk = JSON.parse(key) as PrivateJwk;
  return createAgent({
    issuer,
    clientId,
    key: jwk,
    fetch,
    now: clock.now,
    resource: issuer,
    scope: ['ssf.read', 'ssf.manage'],
  });
}

/** @throws FetchError */
function answerIn(text: string): { sets: Record<string, string>; more: boolean } {
  const wrong = new FetchError('unusable', 'the source did not answer as RFC 8936 has it');
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw wrong;
  }
  const { sets = {}, moreAvailable = false } = (answer ?? {}) as { sets?: unknown; moreAvailable?: unknown };
  if (typeof sets !== 'object' || sets === null || Array.isArray(sets)) throw wrong;
  const entries = Object.entries(sets);
  if (!entries.every(([jti, set]) => jti.length <= 256 && typeof set === 'string')) throw wrong;
  return {
    sets: Object.fromEntries(entries.slice(0, mostSets)) as Record<string, string>,
    more: moreAvailable === true,
  };
}

/** For administrators: what went wrong, without what the other side wrote. */
function faultOf(error: unknown): string {
  if (error instanceof FetchError) return error.message;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^[a-z_]{1,40}$/.test(code)
    ? `no token could be got there (${code})`
    : 'it could not be asked';
}
