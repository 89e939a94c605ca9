/**
 * Pushes what waits in streams to their receivers, one SET after the other, each stream for itself: one that hangs, fails or answers
 * nonsense is tried again with growing pauses and holds up nobody else. Of all nodes one pushes a stream at a time.
 * @see RFC 8935
 */
import type { Deps } from '../deps.ts';
import { pauseAfter, startDueWork } from '../lib/due-work.ts';
import { FetchError } from '../lib/safe-fetch.ts';
import { signalSecretName } from '../store/secrets.ts';
import { setMediaType } from './events.ts';
import { receiverStanding } from './receiver.ts';
import {
  claimStream,
  dueStreams,
  nextDue,
  noteFailure,
  parkStream,
  pushed,
  releaseStream,
  waitingSets,
} from './set-store.ts';
import { signSets } from './sign.ts';
import type { Stream, WaitingSet } from './stream.ts';
import { findSecret, findStream } from './stream-store.ts';
import { signalsTopic } from './transmit.ts';

/** No request to a receiver takes longer (seconds). */
const answerSeconds = 20;
/** After a failure (ms). */
const pauses = { first: 1_000, longest: 300_000 };
/** After so long it is looked again whether a receiver that was stopped may be told (ms). */
const parkedMs = 30_000;
/** How often one SET may be refused as such (400) before it is given up. */
const refusalsAllowed = 5;
/** Streams that one node pushes at once. */
const atOnce = 32;
const maxAnswerBytes = 8_192;

const timeoutSeconds = ({ config }: Deps): number => Math.min(answerSeconds, config.outbound.timeout_seconds);

/** How long a stream is held by the node that pushes it, counted anew with every SET (ms): after that, whoever held it is taken for dead. */
const heldMs = (deps: Deps): number => timeoutSeconds(deps) * 1000 + 5_000;

/** Begins to push. `stop` waits for what is under way. */
export const startPushing = (deps: Deps): { stop(): Promise<void> } =>
  startDueWork({
    clock: deps.clock,
    atOnce,
    due: (now, limit) => dueStreams(deps.db, now, limit),
    next: () => nextDue(deps.db),
    work: (id, ending) => pushStream(deps, id, ending),
    listen: (look) => deps.db.listen(signalsTopic, look),
    failed: (err, stream) =>
      deps.log.error({ err, stream }, 'a stream of signals could not be pushed; it is tried again'),
  });

/** What is held by this node: of the same stream, another holds another until. */
interface Held {
  id: string;
  heldUntil: number;
}

/**
 * Pushes a stream until nothing waits in it, or something fails. Whatever goes wrong, the stream is let go: what went wrong here (no key to sign
 * with, say) is a failure like the receiver's, and tried again.
 */
async function pushStream(deps: Deps, id: string, ending: AbortSignal): Promise<void> {
  const { db, clock } = deps;
  const held: Held = { id, heldUntil: clock.now() + heldMs(deps) };
  const claimed = await db.settle((tx) => claimStream(tx, id, { now: clock.now(), until: held.heldUntil }));
  if (!claimed) return;
  try {
    const authorization = await authorizationOf(deps, id);
    while (!ending.aborted) if (!(await pushNext(deps, held, authorization, ending))) return;
    // stopped in the middle: another node may go on at once
    await db.settle(async (tx) => {
      await releaseStream(tx, { ...held, last: -1 }, clock.now());
      await tx.notify(signalsTopic, id);
    });
  } catch (error) {
    const again = clock.now() + pauseAfter(claimed.failures, pauses);
    const fault = 'something went wrong here: the log of the server has more';
    await db.settle((tx) => noteFailure(tx, held, { jti: '', fault, again }));
    throw error;
  }
}

/** Pushes the next SET. False: there is nothing more to do now, and the stream isn't held any longer. */
async function pushNext(
  deps: Deps,
  held: Held,
  authorization: string | undefined,
  ending: AbortSignal,
): Promise<boolean> {
  const { db, clock } = deps;
  const { id } = held;
  const stream = await findStream(db, id); // its status and address may change any time
  if (stream?.endpointUrl === undefined) return false;
  const [set] = await waitingSets(db, stream, 1);
  if (!set) {
    await db.settle((tx) => releaseStream(tx, { ...held, last: stream.last }, clock.now()));
    return false;
  }
  const { state, why } = await receiverStanding(db, stream.agent, clock.now());
  if (state !== 'may') {
    // who is gone for good is seen in the log, and the stream goes then
    const again = clock.now() + (state === 'gone' ? pauses.longest : parkedMs);
    await db.settle((tx) => parkStream(tx, held, { again, fault: why }));
    return false;
  }
  const outcome = await pushOne(deps, stream.endpointUrl, authorization, set, ending);
  if (ending.aborted && outcome !== undefined) return true;
  return settled(deps, held, { stream, set, outcome });
}

/** Writes down what came of a SET. Answers whether the next one's turn is now. */
async function settled(
  deps: Deps,
  held: Held,
  { stream, set, outcome }: { stream: Stream; set: WaitingSet; outcome: Awaited<ReturnType<typeof pushOne>> },
): Promise<boolean> {
  const { db, clock, log } = deps;
  const { id, heldUntil } = held;
  const { jti } = set;
  if (outcome && !(outcome.refused && set.attempts + 1 >= refusalsAllowed)) {
    const again = clock.now() + pauseAfter(stream.failures, pauses);
    await db.settle((tx) => noteFailure(tx, { id, heldUntil }, { jti, fault: outcome.fault, again }));
    return false;
  }
  if (outcome) log.warn({ stream: id, jti, why: outcome.fault }, 'a receiver refused a signal for good');
  const until = Math.max(clock.now() + heldMs(deps), heldUntil + 1);
  const fault = outcome?.fault;
  const mine = await db.settle((tx) => pushed(tx, { id, heldUntil }, { jti, now: clock.now(), until, fault }));
  held.heldUntil = until;
  return mine;
}

/** Answers nothing if the receiver has it. @see RFC 8935 §2.2 to 2.4 */
async function pushOne(
  deps: Deps,
  url: string,
  authorization: string | undefined,
  set: WaitingSet,
  signal: AbortSignal,
): Promise<{ fault: string; refused: boolean } | undefined> {
  try {
    const [body] = await signSets(deps, [set.claims]);
    const { status, body: said } = await deps.fetch(url, {
      types: ['application/json'],
      maxBytes: maxAnswerBytes,
      anyStatus: true,
      timeoutSeconds: timeoutSeconds(deps),
      signal,
      send: {
        method: 'POST',
        headers: { 'content-type': setMediaType, ...(authorization !== undefined && { authorization }) },
        body: body as string,
      },
    });
    if (status === 202 || status === 200 || status === 204) return undefined;
    const err = status === 400 ? errorIn(said) : undefined;
    // these say something of us or of the other side, and may be mended; the others say something of this SET
    const refused = err === 'invalid_request' || err === 'invalid_state' || err === 'access_denied';
    return { fault: `the receiver answered ${status}${err ? ` ${err}` : ''}`, refused };
  } catch (error) {
    if (error instanceof FetchError) return { fault: error.message, refused: false };
    throw error;
  }
}

/** The code that the receiver named, if it looks like one. */
function errorIn(body: Buffer): string | undefined {
  try {
    const { err } = JSON.parse(body.toString('utf8')) as { err?: unknown };
    return typeof err === 'string' && /^[a-z_]{1,40}$/.test(err) ? err : undefined;
  } catch {
    return undefined;
  }
}

/** What the receiver wants to see, if it said so. */
async function authorizationOf({ db, encryption }: Deps, id: string): Promise<string | undefined> {
  const sealed = await findSecret(db, id);
  return sealed === undefined ? undefined : encryption.open(signalSecretName(id), sealed);
}
