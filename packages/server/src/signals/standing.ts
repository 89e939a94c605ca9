/** A stream's status, its subjects, and the proof that it works. @see SSF 1.0 §8.1.2 to §8.1.4 */
import type { Deps } from '../deps.ts';
import { makeDue } from '../ssf/set-store.ts';
import { type Stream, type StreamStatus, streamStatuses } from '../ssf/stream.ts';
import { claimVerification, countSubjects, deleteSubject, hasSubject, insertSubject } from '../ssf/stream-store.ts';
import { type Subject, subjectFault, subjectKey } from '../ssf/subject.ts';
import { changeStatus } from '../ssf/transmit.ts';
import { tellVerification } from '../ssf/verify.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import { badRequest, Problem } from '../web/problem.ts';
import { serviceResource } from '../web/service.ts';
import { changed, mustHaveOneOf, objectIn, ownStream, recorded, streamIdIn } from './own-stream.ts';

const mostSubjects = 10_000;
const longestText = 1000;

const shownStatus = ({ id, status, reason }: Pick<Stream, 'id' | 'status' | 'reason'>) => ({
  stream_id: id,
  status,
  ...(reason !== undefined && { reason }),
});

/** @see SSF 1.0 §8.1.2.1 */
export async function readStatus(deps: Deps, caller: Caller, query: Record<string, unknown>): Promise<unknown> {
  return recorded(deps, caller, { operation: 'readStatus', reads: true }, async () => {
    mustHaveOneOf(deps, caller, ['ssf.read', 'ssf.manage']);
    return shownStatus(await ownStream(deps.db, caller, streamIdIn(query)));
  });
}

/** @see SSF 1.0 §8.1.2.2 */
export async function updateStatus(deps: Deps, caller: Caller, body: unknown): Promise<unknown> {
  return recorded(deps, caller, { operation: 'updateStatus' }, async () => {
    mustHaveOneOf(deps, caller, ['ssf.manage']);
    const given = objectIn(body);
    const id = streamIdIn(given);
    const status = given.status as StreamStatus;
    if (!streamStatuses.includes(status)) {
      throw badRequest([{ field: 'status', message: `must be one of ${streamStatuses.join(', ')}` }]);
    }
    const reason = textIn(given, 'reason');
    return changed(deps, caller, async (tx) => {
      const stream = await ownStream(tx, caller, id);
      await changeStatus(tx, deps, stream, { status, reason }, 'receiver');
      if (status === 'enabled') await makeDue(tx, id, deps.clock.now());
      return {
        result: shownStatus({ id, status, reason }),
        change: { target: id, changed: { change: 'status', status } },
      };
    });
  });
}

/** @see SSF 1.0 §8.1.3.2 and §8.1.3.3 */
export async function changeSubject(deps: Deps, caller: Caller, how: 'add' | 'remove', body: unknown): Promise<void> {
  return recorded(deps, caller, { operation: `${how}Subject` }, async () => {
    mustHaveOneOf(deps, caller, ['ssf.manage']);
    const given = objectIn(body);
    const id = streamIdIn(given);
    const { subject, verified } = given;
    const fault = subjectFault(subject);
    if (fault !== undefined) throw badRequest([{ field: 'subject', message: fault }]);
    if (verified !== undefined && typeof verified !== 'boolean') {
      throw badRequest([{ field: 'verified', message: 'must be true or false' }]);
    }
    const key = subjectKey(subject as Subject);
    return changed(deps, caller, async (tx) => {
      const stream = await ownStream(tx, caller, id);
      // listed are those whose standing differs from the default; whether we know them is told to nobody (SSF 1.0 §9.1)
      const listing = (how === 'add') === (stream.defaultSubjects === 'NONE');
      if (!listing) await deleteSubject(tx, id, key);
      else if (!(await hasSubject(tx, id, key))) {
        if ((await countSubjects(tx, id)) >= mostSubjects) {
          throw new Problem('too-many', `a stream lists at most ${mostSubjects} subjects`);
        }
        await insertSubject(tx, id, key, subject as Subject);
      }
      return {
        result: undefined,
        change: { target: id, changed: { change: `subject_${how === 'add' ? 'added' : 'removed'}` } },
      };
    });
  });
}

/** @see SSF 1.0 §8.1.4.2 @throws Problem 429 for one that asks too often */
export async function verifyStream(deps: Deps, caller: Caller, body: unknown): Promise<void> {
  return recorded(deps, caller, { operation: 'verifyStream' }, async () => {
    mustHaveOneOf(deps, caller, ['ssf.manage', 'ssf.read']);
    const given = objectIn(body);
    const id = streamIdIn(given);
    const state = textIn(given, 'state');
    const { clock, config } = deps;
    await deps.db.settle(async (tx) => {
      await mayWrite(tx, serviceResource(config), caller);
      const stream = await ownStream(tx, caller, id);
      const now = clock.now();
      const since = now - config.signals.min_verification_seconds * 1000;
      if (!(await claimVerification(tx, id, { now, since }))) {
        const seconds = config.signals.min_verification_seconds;
        throw new Problem('too-many', `a verification can be asked for every ${seconds} seconds`, {
          headers: { 'retry-after': String(seconds) },
        });
      }
      await tellVerification(tx, deps, stream, state);
    });
  });
}

/** @throws Problem 400 */
function textIn(given: Record<string, unknown>, name: string): string | undefined {
  const { [name]: text } = given;
  if (text === undefined || (typeof text === 'string' && text.length <= longestText)) return text;
  throw badRequest([{ field: name, message: `must be a string of at most ${longestText} characters` }]);
}
