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

/** Takes what was pushed: what it says is done, and on disk, when this has resolved. @throws SetError */
export async function receiveSet(deps: Deps, source: Source, text: string): Promise<void> {
  await takeSignal(deps, source, await readSet(deps, source, text));
}
