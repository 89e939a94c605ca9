/** A rehearsed revocation: everybody is asked before, then the canary is revoked, then everybody is asked until they refuse. */

import type { Agent } from '../agents/agent.ts';
import { findAgent } from '../agents/store.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { asOf, resumeSubject } from '../liveness/liveness.ts';
import { arrival } from '../revocations/arrival.ts';
import { type Revoked, revoke } from '../revocations/revoke.ts';
import { revocable } from '../revocations/subjects.ts';
import type { Tx } from '../store/database.ts';
import { canaryOf } from './canary.ts';
import { type Asked, type ProbeName, probeRows, type Scene, setScene } from './probes.ts';
import { claim, release } from './store.ts';

export type Outcome = 'refused' | 'acknowledged' | 'lapsed' | 'still_accepts' | 'waiting' | 'not_asked';

/** One thing that was asked, or somebody who was waited for. */
export interface Row {
  probe: ProbeName | 'guard';
  what?: string;
  outcome: Outcome;
  /** Milliseconds from the order to the refusal, or to the acknowledgement. */
  after_ms?: number;
  note?: string;
}

export interface Report {
  id: string;
  /** Milliseconds. */
  at: number;
  org: string;
  agent: string;
  for_real: boolean;
  rev: number | undefined;
  /** Everybody who could be asked refuses, and everybody who holds a lease has acknowledged it or lost it. */
  passed: boolean;
  /** Until the last of them (milliseconds). */
  took_ms: number;
  rows: Row[];
  gaps: string[];
}

export interface DrillOrder {
  id: string;
  org: { id: string; name: string; timeZone: string };
  /** A real agent, which is suspended and stays so; the canary without. */
  agent?: Agent | undefined;
  /** Whose doing it is; the canary's own where nobody ordered it. */
  by?: string | undefined;
  /** How long to wait for everybody, at most (milliseconds). */
  waitMs: number;
}

/** How long a drill may take beside the waiting, before another may begin (milliseconds). */
const marginMs = 60_000;
const firstPauseMs = 5;
const longestPauseMs = 250;

const claimName = (org: string) => `revoke ${org}`;

/** Takes the right to rehearse in an organization: one drill at a time, on all nodes. Answers false if somebody else has it. */
export async function claimDrill(
  tx: Tx,
  { clock }: Pick<Deps, 'clock'>,
  order: Pick<DrillOrder, 'id' | 'org' | 'waitMs'>,
): Promise<boolean> {
  const now = clock.now();
  const wanted = { name: claimName(order.org.id), drill: order.id, until: now + order.waitMs + marginMs, now };
  return claim(tx, wanted);
}

/** A new id for a drill. */
export const newDrill = (deps: Deps): string => newId(deps, 'drill');

/** Runs a drill that was claimed, writes down what came of it, and lets the next one begin. */
export async function runDrill(deps: Deps, order: DrillOrder): Promise<Report> {
  try {
    const report = order.agent ? await forReal(deps, order, order.agent) : await onCanary(deps, order);
    await record(deps, order, report);
    return report;
  } finally {
    await deps.db.settle((tx) => release(tx, claimName(order.org.id), order.id));
  }
}

async function onCanary(deps: Deps, order: DrillOrder): Promise<Report> {
  const canary = await canaryOf(deps, order.org);
  const scene = await setScene(deps, canary);
  const { asked, left } = await baseline(scene);
  const ordered = deps.clock.monotonic();
  const orderedAt = deps.clock.now();
  const revoked = await revokeAgent(deps, order, canary.agent);
  try {
    const [answers, guards] = await Promise.all([
      Promise.all(asked.map((one) => untilRefused(deps, one, ordered, order.waitMs))),
      acknowledgedRows(deps, revoked, orderedAt, order.waitMs),
    ]);
    return reportOf(deps, order, {
      agent: canary.agent,
      revoked,
      rows: [...guards, ...answers, ...left],
      gaps: gapsOf(scene),
    });
  } finally {
    await resume(deps, order, canary.agent);
  }
}

/** Of an agent whose key is somebody else's nobody but those who follow the feed can be asked. */
async function forReal(deps: Deps, order: DrillOrder, agent: Agent): Promise<Report> {
  const orderedAt = deps.clock.now();
  const revoked = await revokeAgent(deps, order, agent.id);
  const rows = await acknowledgedRows(deps, revoked, orderedAt, order.waitMs);
  return reportOf(deps, order, { agent: agent.id, revoked, rows, gaps: gapsOf(undefined) });
}

function reportOf(
  deps: Deps,
  { id, org, agent }: DrillOrder,
  found: { agent: string; revoked: Revoked; rows: Row[]; gaps: string[] },
): Report {
  const { rows, gaps, revoked } = found;
  return {
    id,
    at: deps.clock.now(),
    org: org.id,
    agent: found.agent,
    for_real: agent !== undefined,
    rev: revoked.rev,
    passed: rows.every(({ outcome }) => outcome !== 'still_accepts' && outcome !== 'waiting'),
    took_ms: Math.max(0, ...rows.map(({ after_ms = 0 }) => after_ms)),
    rows,
    gaps,
  };
}

/** Asks everybody once: who doesn't accept now can't be seen to refuse. */
async function baseline(scene: Scene): Promise<{ asked: (Asked & { probe: ProbeName })[]; left: Row[] }> {
  const asked: (Asked & { probe: ProbeName })[] = [];
  const left: Row[] = [];
  for (const [probe, { asks }] of probeRows) {
    for (const one of asks(scene)) {
      const note = await one.accepts().then(
        (accepts) => (accepts ? undefined : 'it refused before anything was revoked'),
        (error: Error) => error.message,
      );
      if (note === undefined) asked.push({ ...one, probe });
      else left.push({ probe, ...(one.what !== undefined && { what: one.what }), outcome: 'not_asked', note });
    }
  }
  return { asked, left };
}

async function untilRefused(
  { clock }: Deps,
  { probe, what, accepts, outcome = 'refused' }: Asked & { probe: ProbeName },
  ordered: number,
  waitMs: number,
): Promise<Row> {
  const about = { probe, ...(what !== undefined && { what }) };
  let note: string | undefined;
  for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, longestPauseMs)) {
    const accepted = await accepts().catch((error: Error) => {
      note = error.message;
      return true; // who can't be asked was not seen to refuse
    });
    const after_ms = Math.round(clock.monotonic() - ordered);
    if (!accepted) return { ...about, outcome, after_ms };
    if (after_ms >= waitMs)
      return { ...about, outcome: 'still_accepts', after_ms, ...(note !== undefined && { note }) };
    await new Promise<void>((resolve) => clock.after(pause, resolve));
  }
}

/** Who follows the feed: one row for each guard that held a lease, and one for each resource that nobody follows. */
async function acknowledgedRows(deps: Deps, revoked: Revoked, orderedAt: number, waitMs: number): Promise<Row[]> {
  const { rev, last } = revoked;
  if (rev === undefined) return [];
  const { resources } = await arrival(deps, { first: rev, last: last ?? rev }, waitMs);
  return resources.flatMap(({ guards, acknowledgedAt }) =>
    guards.map(({ guard, appliedAt, lapsed }): Row => {
      if (appliedAt !== undefined)
        return { probe: 'guard', what: guard, outcome: 'acknowledged', after_ms: Math.max(0, appliedAt - orderedAt) };
      if (!lapsed)
        return {
          probe: 'guard',
          what: guard,
          outcome: 'waiting',
          note: 'it holds a lease and has not said that it knows',
        };
      const after = acknowledgedAt === undefined ? {} : { after_ms: Math.max(0, acknowledgedAt - orderedAt) };
      return {
        probe: 'guard',
        what: guard,
        outcome: 'lapsed',
        ...after,
        note: 'it said nothing: its lease has run out, and it accepts nothing by what it knew',
      };
    }),
  );
}

/** What nobody can call back. */
function gapsOf(scene: Scene | undefined): string[] {
  const { config } = (scene?.deps ?? {}) as Partial<Deps>;
  const svid = scene?.instance?.certifiedUntil;
  return [
    svid === undefined
      ? 'an X.509-SVID or JWT-SVID is believed by outside verifiers until it ends'
      : `an X.509-SVID is believed by outside verifiers until it ends: the canary’s, ${rfc3339(svid)}`,
    'guards that are set to offline hear nothing: a token works there until it expires, 15 minutes at most',
    config === undefined
      ? 'outside caches of a status list know nothing newer until its ttl is over'
      : `outside caches of a status list know nothing newer for its ttl of ${config.status_lists.ttl_seconds} s`,
  ];
}

const reasonOf = ({ id }: DrillOrder) => `a rehearsal: ${id}`;

async function revokeAgent(deps: Deps, order: DrillOrder, id: string): Promise<Revoked> {
  const agent = await findAgent(deps.db, id);
  if (!agent) throw new Error(`${id} was never registered`);
  const sealing = await sealingFor(deps, (await asOf(deps.db)).version, agent.owner);
  return deps.db.transaction(async (tx) => {
    const target = await revocable('agent').find(tx, id, agent.org);
    if (!target) throw new Error(`${id} is gone`);
    const by = order.by ?? id;
    const change = { effect: 'suspend' as const, reason: reasonOf(order), by, now: deps.clock.now() };
    const revoked = await revoke(tx, deps, { kind: 'agent', target }, change);
    for (const { type, org, target: about, changed, details } of revoked.events) {
      await appendEvent(tx, deps, sealing, {
        type,
        outcome: 'allowed',
        org: org ?? agent.org,
        agent: by,
        target: about,
        reason: reasonOf(order),
        decided_on: changed && { changed },
        personal: { owner: agent.owner, ...(details && { details }) },
      });
    }
    return revoked;
  });
}

/** The canary may act again; what it had stays dead. */
async function resume(deps: Deps, order: DrillOrder, id: string): Promise<void> {
  const agent = await findAgent(deps.db, id);
  if (!agent) return;
  const sealing = await sealingFor(deps, (await asOf(deps.db)).version, agent.owner);
  await deps.db.transaction(async (tx) => {
    if (!(await resumeSubject(tx, { id, now: deps.clock.now() }))) return;
    await appendEvent(tx, deps, sealing, {
      type: 'agent.resumed',
      outcome: 'allowed',
      org: agent.org,
      agent: order.by ?? id,
      target: id,
      reason: reasonOf(order),
      personal: { owner: agent.owner },
    });
  });
}

/** The evidence: every figure. */
async function record(deps: Deps, order: DrillOrder, report: Report): Promise<void> {
  const agent = await findAgent(deps.db, report.agent);
  if (!agent) return;
  const sealing = await sealingFor(deps, (await asOf(deps.db)).version, agent.owner);
  const { id, for_real, rev, passed, took_ms, rows, gaps } = report;
  await deps.db.settle((tx) =>
    appendEvent(tx, deps, sealing, {
      type: 'drill.completed',
      outcome: passed ? 'allowed' : 'refused',
      org: order.org.id,
      agent: order.by ?? report.agent,
      target: report.agent,
      reason: passed ? 'everybody refused' : 'somebody still accepts, or has not acknowledged it',
      decided_on: { drill: id, for_real, ...(rev !== undefined && { rev }), passed, took_ms, rows, gaps },
      personal: { owner: agent.owner },
    }),
  );
}
