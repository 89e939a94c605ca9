/** A source pushes a SET to us. @see RFC 8935 */
import { timingSafeEqual } from 'node:crypto';
import { sha256Base64url } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { countFailure } from '../lib/failures.ts';
import { isId } from '../lib/ids.ts';
import type { Source } from '../ssf/source.ts';
import { findSource } from '../ssf/source-store.ts';
import { takeSignal } from './apply.ts';
import { readSet } from './read-set.ts';
import { SetError } from './set-error.ts';

/** So many SETs of one source wait here for their turn, or have it: more are sent away, to come again. */
const mostAtOnce = 32;

/**
 * Who pushes, known by what it shows; before its body is read.
 * @throws SetError `authentication_failed`, the same for a source that isn't there
 */
export async function pushingSource(
  deps: Deps,
  { id, authorization, address }: { id: string; authorization: string | undefined; address: string },
): Promise<Source> {
  const source = isId('signal_source', id) ? await findSource(deps.db, id) : undefined;
  // hashed whatever is there, so that nothing is told by time
  const shown = Buffer.from(sha256Base64url(authorization ?? ''));
  const expected = Buffer.from(source?.authorizationHash ?? sha256Base64url('nobody'));
  const same = timingSafeEqual(shown, expected);
  if (source?.authorizationHash !== undefined && same && authorization !== undefined) return source;
  countFailure(deps.failures, address, 'signals: who pushes is not known');
  throw new SetError('authentication_failed', 'send the Authorization header that was made for this source');
}

/** A source has as many on their way as it may. @see RFC 6585 §4 */
export class TooManySets extends Error {
  constructor() {
    super(`${mostAtOnce} of your SETs are on their way already: send this one again`);
    this.name = 'TooManySets';
  }
}

/** The SETs of each source that have their turn, or wait for it. */
const queues = new WeakMap<Deps, Map<string, { last: Promise<void>; length: number }>>();

/**
 * Takes what was pushed: what it says is done, and on disk, when this has resolved. One SET of a source after the other, so that no source
 * has more of the server than another.
 * @throws SetError @throws TooManySets
 */
export async function receiveSet(deps: Deps, source: Source, text: string): Promise<void> {
  const queued = queues.get(deps) ?? new Map<string, { last: Promise<void>; length: number }>();
  queues.set(deps, queued);
  const queue = queued.get(source.id) ?? { last: Promise.resolve(), length: 0 };
  if (queue.length >= mostAtOnce) throw new TooManySets();
  queued.set(source.id, queue);
  queue.length += 1;
  const taken = queue.last.then(async () => {
    const now = await findSource(deps.db, source.id); // its keys may have come with the last
    if (!now) throw new SetError('authentication_failed', 'the source was removed meanwhile');
    await takeSignal(deps, now, await readSet(deps, now, text));
  });
  queue.last = taken.catch(() => undefined);
  try {
    await taken;
  } finally {
    queue.length -= 1;
    if (queue.length === 0) queued.delete(source.id);
  }
}
