/** What nodes tell each other: how far the lease-holders of each are. It is for speed alone; where it doesn't arrive, time does it. */
import { answersHere } from './answers.ts';
import { sharesDatabase } from './nodes.ts';
import type { Confirmed, Feed, Pending } from './state.ts';

export const confirmedTopic = 'feed-confirmed';
/** A notice holds 4 KB. */
const longestNotice = 3_500;
const guardsPerNotice = 60;

type Notice =
  | { n: string; to: number; behind: Record<string, number> }
  | { n: string; x: string; to: number; g: [string, number][] };

/** Tells the others how far this node's lease-holders are, if that has changed. @param safe up to which number nothing is accepted here */
export function confirm(feed: Feed, safe: (resource: string) => number): void {
  const { said, newest } = feed;
  if (!sharesDatabase(feed) || feed.leaseMs === 0 || said.sending) return;
  const behind: Record<string, number> = {};
  const answers: Notice[] = [];
  const told = new Map<string, number>();
  for (const [resource, pending] of feed.pending) {
    const upTo = safe(resource);
    const last = pending.at(-1)?.rev ?? 0;
    if (upTo < last) behind[resource] = upTo;
    const answered = pending.filter(({ rev }) => rev <= upTo && rev > (said.upTo.get(resource) ?? 0)).at(-1);
    if (answered) {
      told.set(resource, answered.rev);
      answers.push(...answerNotices(feed, resource, answered));
    }
  }
  const text = JSON.stringify(confirmation(feed.node, newest, behind));
  if (text === said.text || feed.others.size === 0) return;
  said.sending = true;
  feed.deps.db
    .settle(async (tx) => {
      for (const notice of answers) await tx.notify(confirmedTopic, JSON.stringify(notice));
      await tx.notify(confirmedTopic, text);
    })
    .then(
      () => {
        said.sending = false;
        said.text = text;
        for (const [resource, rev] of told) said.upTo.set(resource, rev);
        if (!feed.stopped) confirm(feed, safe); // what has changed meanwhile
      },
      (err: unknown) => {
        said.sending = false;
        feed.deps.log.warn({ err }, 'other nodes could not be told how far the guards here are');
      },
    );
}

/** As short as a notice must be: where too many are behind, all are said to be as far as the last of them. */
function confirmation(n: string, to: number, behind: Record<string, number>): Notice {
  const notice = { n, to, behind };
  if (JSON.stringify(notice).length <= longestNotice) return notice;
  return { n, to: Math.min(...Object.values(behind)), behind: {} };
}

function answerNotices(feed: Feed, resource: string, pending: Pending): Notice[] {
  const guards = answersHere(feed, resource, pending);
  const notices: Notice[] = [];
  for (let i = 0; i < guards.length; i += guardsPerNotice) {
    const g = guards.slice(i, i + guardsPerNotice).map(([guard, at]): [string, number] => [guard, at]);
    notices.push({ n: feed.node, x: resource, to: pending.rev, g });
  }
  return notices;
}

/** Notes what another node has said. */
export function hearConfirmation(feed: Feed, payload: string): boolean {
  const notice = JSON.parse(payload) as Notice;
  if (notice.n === feed.node) return false;
  const known: Confirmed = feed.confirmed.get(notice.n) ?? { upTo: 0, behind: {}, answers: new Map() };
  feed.confirmed.set(notice.n, known);
  if ('behind' in notice) {
    known.upTo = notice.to;
    known.behind = notice.behind;
    return true;
  }
  const answers = known.answers.get(notice.x);
  if (answers?.to === notice.to) for (const [guard, at] of notice.g) answers.guards.set(guard, at);
  else known.answers.set(notice.x, { to: notice.to, guards: new Map(notice.g) });
  return false;
}
