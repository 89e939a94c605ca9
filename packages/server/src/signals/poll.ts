/** A receiver fetches what waits in its stream, and says what it has. @see RFC 8936 */
import type { Deps } from '../deps.ts';
import { noteDelivered, takeSet, waitingSets } from '../ssf/set-store.ts';
import { signSets } from '../ssf/sign.ts';
import type { WaitingSet } from '../ssf/stream.ts';
import { signalsTopic } from '../ssf/transmit.ts';
import { type Caller, mayWrite, mustLive } from '../web/caller.ts';
import { badRequest, type FieldError } from '../web/problem.ts';
import { serviceResource } from '../web/service.ts';
import { mustHaveOneOf, objectIn, ownStream, recorded } from './own-stream.ts';

/** So many at once, if it doesn't say less. */
const mostAtOnce = 100;
const mostAcks = 1000;
/** How long a question waits for news (ms): less than proxies let it. */
const waitMs = 25_000;

interface Question {
  most: number;
  atOnce: boolean;
  ack: readonly string[];
  errors: ReadonlyMap<string, string>;
}

export interface PollAnswer {
  sets: Record<string, string>;
  moreAvailable?: true;
}

/** The question that waits, by stream: a newer one of the same stream takes its place. */
const waiting = new WeakMap<Deps, Map<string, () => void>>();
const stopped = new WeakSet<Deps>();

/** The server ends: who waits for news gets what there is, and nobody waits any more. */
export function stopWaiting(deps: Deps): void {
  stopped.add(deps);
  for (const end of [...(waiting.get(deps)?.values() ?? [])]) end();
}

/** @param gone is aborted when nobody waits for the answer any more */
export async function poll(
  deps: Deps,
  caller: Caller,
  id: string,
  body: unknown,
  gone: AbortSignal,
): Promise<PollAnswer> {
  return recorded(deps, caller, { operation: 'poll', reads: true }, async () => {
    mustHaveOneOf(deps, caller, ['ssf.read', 'ssf.manage']);
    const question = questionIn(objectIn(body ?? {}));
    await ownStream(deps.db, caller, id);
    if (question.ack.length + question.errors.size > 0) await take(deps, caller, id, question);
    if (question.most === 0) return { sets: {} };
    const waiter = question.atOnce ? undefined : news(deps, id, gone); // before the first look: nothing comes unheard in between
    let found: Awaited<ReturnType<typeof look>>;
    try {
      found = await look(deps, caller, id, question.most);
      if (found.sets.length === 0 && waiter) {
        await waiter.come;
        await mustLive(deps.db, serviceResource(deps.config), caller); // much may have ended meanwhile
        found = await look(deps, caller, id, question.most);
      }
    } finally {
      waiter?.end();
    }
    const signed = await signSets(
      deps,
      found.sets.map(({ claims }) => claims),
    );
    const sets = Object.fromEntries(found.sets.map(({ jti }, i) => [jti, signed[i] as string]));
    return { sets, ...(found.more && { moreAvailable: true as const }) };
  });
}

async function look(
  deps: Deps,
  caller: Caller,
  id: string,
  most: number,
): Promise<{ sets: WaitingSet[]; more: boolean }> {
  const found = await waitingSets(deps.db, await ownStream(deps.db, caller, id), most + 1);
  return { sets: found.slice(0, most), more: found.length > most };
}

/** What the receiver has, and what it can't take, isn't told again. @see RFC 8936 §2.4 and §2.6 */
async function take(deps: Deps, caller: Caller, id: string, { ack, errors }: Question): Promise<void> {
  let fault: string | undefined;
  for (const [jti, err] of errors) {
    fault = `the receiver could not take a signal: ${err}`;
    deps.log.warn({ stream: id, jti, why: err }, 'a receiver refused a signal for good');
  }
  await deps.db.settle(async (tx) => {
    await mayWrite(tx, serviceResource(deps.config), caller);
    for (const jti of [...ack, ...errors.keys()]) await takeSet(tx, id, jti);
    await noteDelivered(tx, id, deps.clock.now(), fault);
  });
}

/** Resolves when something was put into the stream, when it has waited long enough, or when a newer question has come. */
function news(deps: Deps, id: string, gone: AbortSignal): { come: Promise<void>; end: () => void } {
  const mine = waiting.get(deps) ?? new Map<string, () => void>();
  waiting.set(deps, mine);
  mine.get(id)?.();
  let end = () => {};
  const come = new Promise<void>((resolve) => {
    end = () => {
      if (mine.get(id) === end) mine.delete(id);
      unlisten();
      cancel();
      gone.removeEventListener('abort', end);
      resolve();
    };
    const unlisten = deps.db.listen(signalsTopic, (payload) => (payload === undefined || payload === id) && end());
    const cancel = deps.clock.after(waitMs, end);
    gone.addEventListener('abort', end, { once: true });
    mine.set(id, end);
    if (gone.aborted || stopped.has(deps)) end();
  });
  return { come, end };
}

/** @throws Problem 400 naming every field that is wrong. @see RFC 8936 §2.2 */
function questionIn(body: Record<string, unknown>): Question {
  const errors: FieldError[] = [];
  const { maxEvents = mostAtOnce, returnImmediately = false, ack = [], setErrs = {} } = body;
  if (!Number.isSafeInteger(maxEvents) || (maxEvents as number) < 0) {
    errors.push({ field: 'maxEvents', message: 'must be a whole number that is not negative' });
  }
  if (typeof returnImmediately !== 'boolean') {
    errors.push({ field: 'returnImmediately', message: 'must be true or false' });
  }
  if (!Array.isArray(ack) || ack.length > mostAcks || !ack.every(isJti)) {
    errors.push({ field: 'ack', message: `must be at most ${mostAcks} ids of SETs` });
  }
  const refused = Object.entries(
    typeof setErrs === 'object' && setErrs !== null && !Array.isArray(setErrs) ? setErrs : { '': 0 },
  );
  if (refused.length > mostAcks || !refused.every(([jti, error]) => isJti(jti) && isError(error))) {
    errors.push({
      field: 'setErrs',
      message: `must be an object of at most ${mostAcks} ids of SETs, each with {"err", "description"}`,
    });
  }
  if (errors.length > 0) throw badRequest(errors);
  return {
    most: Math.min(maxEvents as number, mostAtOnce),
    atOnce: returnImmediately as boolean,
    ack: ack as string[],
    errors: new Map(refused.map(([jti, { err }]) => [jti, /^[a-z_]{1,40}$/.test(err) ? err : 'an error'])),
  };
}

const isJti = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.length <= 256;
const isError = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && typeof (value as { err?: unknown }).err === 'string';
