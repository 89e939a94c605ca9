/** What is acknowledged is written down, with its event, and told to other nodes. */
import { appendEvent, type Sealing, sealingFor } from '../audit/audit.ts';
import { setAcknowledged, stillUnacknowledged } from '../liveness/feed-store.ts';
import { asOf } from '../liveness/liveness.ts';
import type { Tx } from '../store/database.ts';
import { silentGuards } from './silent-guards.ts';
import type { Completed, Feed, GuardAnswer } from './state.ts';

export const acknowledgedTopic = 'feed-acknowledged';
const retriedAfterMs = 1_000;
const perNotice = 50;
/** As many revocations of one moment have an event each; of more it tells how many there were. */
const eventsAtOnce = 8;
const guardsInEvent = 200;

/** Writes down what is due, one batch after the other. */
export function writeDown(feed: Feed): void {
  if (feed.writing || feed.completed.length === 0) return;
  const now = feed.deps.clock.monotonic();
  const batch = feed.completed.filter(({ due }) => due <= now);
  if (batch.length === 0) return;
  feed.completed = feed.completed.filter(({ due }) => due > now);
  feed.writing = true;
  write(feed, batch).then(
    () => {
      feed.writing = false;
      for (const { resource, revocations } of batch) {
        for (const { rev } of revocations) settle(feed, resource, rev);
      }
      writeDown(feed);
    },
    (err: unknown) => {
      feed.writing = false;
      if (feed.stopped) return;
      feed.deps.log.error({ err }, 'acknowledgements could not be written down; it is tried again');
      feed.completed.push(...batch.map((one) => ({ ...one, due: now + retriedAfterMs })));
      feed.deps.clock.after(retriedAfterMs, () => writeDown(feed));
    },
  );
}

/** Somebody waits for this revocation: it isn't left to another node to write it down. */
export function urge(feed: Feed, rev: number): void {
  for (const one of feed.completed) if (one.revocations.some((each) => each.rev === rev)) one.due = 0;
  writeDown(feed);
}

async function write(feed: Feed, batch: readonly Completed[]): Promise<void> {
  const { deps } = feed;
  const { version } = await asOf(deps.db);
  const orgs = [...new Set(batch.map(({ org }) => org))];
  const [sealings, answers] = await Promise.all([
    Promise.all(orgs.map(async (org): Promise<[string, Sealing]> => [org, await sealingFor(deps, version, org)])),
    Promise.all(batch.map((one) => answersTo(feed, one))),
  ]);
  await deps.db.settle(async (tx) => {
    const written = new Set<number>();
    for (const [i, { resource, revocations, at }] of batch.entries()) {
      const from = revocations[0]?.rev ?? 0;
      const to = revocations.at(-1)?.rev ?? 0;
      const given = { resource, from, to, at, answers: answers[i] as string };
      for (const rev of await setAcknowledged(tx, given)) written.add(rev);
    }
    const numbers = [...written].sort((a, b) => a - b);
    if (numbers.length === 0) return; // another node was faster
    const open = new Set(await stillUnacknowledged(tx, numbers[0] as number, numbers.at(-1) as number));
    const complete = new Set(numbers.filter((rev) => !open.has(rev)));
    for (const [org, sealing] of sealings) await appendEvents(tx, feed, { org, sealing, batch, complete });
    for (let i = 0; i < batch.length; i += perNotice) {
      const told = batch
        .slice(i, i + perNotice)
        .map(({ resource, revocations }) => [resource, revocations[0]?.rev, revocations.at(-1)?.rev]);
      await tx.notify(acknowledgedTopic, JSON.stringify([feed.node, ...told]));
    }
  }, 'feed acknowledgement');
}

/** How a resource's guards have answered, as it is kept. */
async function answersTo(feed: Feed, { resource, guards }: Completed): Promise<string> {
  const ids = guards.map(([guard]) => guard);
  return JSON.stringify({ guards, ...(await silentGuards(feed, resource, ids)) });
}

async function appendEvents(
  tx: Tx,
  feed: Feed,
  given: { org: string; sealing: Sealing; batch: readonly Completed[]; complete: ReadonlySet<number> },
): Promise<void> {
  const { org, sealing, batch, complete } = given;
  const mine = batch.filter((one) => one.org === org);
  const revocations = new Map(
    mine.flatMap((one) => one.revocations.filter(({ rev }) => complete.has(rev)).map((each) => [each.rev, each])),
  );
  const append = (target: string | undefined, decided_on: Record<string, unknown>) =>
    appendEvent(tx, feed.deps, sealing, {
      type: 'revocation.acknowledged',
      outcome: 'allowed',
      org,
      target,
      reason: 'no guard accepts any more what was ended',
      decided_on,
      personal: {},
    });
  const numbers = [...revocations.keys()].sort((a, b) => a - b);
  if (numbers.length === 0) return;
  if (numbers.length > eventsAtOnce) {
    const resources = [...new Set(mine.map(({ resource }) => resource))].slice(0, guardsInEvent);
    const revs = [numbers[0], numbers.at(-1)];
    await append(undefined, { revs, revocations: numbers.length, resources, guards: toldOf(mine) });
    return;
  }
  for (const rev of numbers) {
    const of = mine.filter((one) => one.revocations.some((each) => each.rev === rev));
    const guards = of.flatMap((one) => one.guards);
    await append(revocations.get(rev)?.subject ?? undefined, {
      rev,
      resources: of.map(({ resource }) => resource).slice(0, guardsInEvent),
      applied: guards.filter(([, at]) => at > 0).length,
      lapsed: guards
        .filter(([, at]) => at === 0)
        .map(([guard]) => guard)
        .slice(0, guardsInEvent),
      guards: toldOf(of),
    });
  }
}

/** Who answered when (ms), of each resource. */
const toldOf = (completed: readonly Completed[]) =>
  completed
    .flatMap(({ resource, at, guards }) => guards.map((guard) => ({ resource, ...said(guard), over: at })))
    .slice(0, guardsInEvent);

const said = ([guard, at]: GuardAnswer) =>
  at > 0 ? { guard, applied_at: at } : at < 0 ? { guard, asked: true } : { guard, lapsed: true };

/** A resource's guards have answered a revocation, and it is written down. */
function settle(feed: Feed, resource: string, rev: number): void {
  const remaining = feed.remaining.get(rev);
  if (!remaining) return;
  remaining.delete(resource);
  if (remaining.size > 0) return;
  feed.remaining.delete(rev);
  for (const done of feed.waiting.get(rev) ?? []) done();
  feed.waiting.delete(rev);
}

/** Another node has written it down. */
export function hearAcknowledged(feed: Feed, payload: string): void {
  const [node, ...told] = JSON.parse(payload) as [string, ...[resource: string, from: number, to: number][]];
  if (node === feed.node) return;
  for (const [resource, from, to] of told) {
    const is = ({ rev }: { rev: number }) => rev >= from && rev <= to;
    const pending = feed.pending.get(resource);
    const waiting = feed.completed.filter((one) => one.resource === resource).flatMap((one) => one.revocations);
    for (const one of [...(pending ?? []), ...waiting]) if (is(one)) settle(feed, resource, one.rev);
    if (pending)
      feed.pending.set(
        resource,
        pending.filter((one) => !is(one)),
      );
  }
  feed.completed = feed.completed.filter(
    ({ resource, revocations }) =>
      !revocations.every(({ rev }) => told.some(([x, from, to]) => x === resource && rev >= from && rev <= to)),
  );
}
