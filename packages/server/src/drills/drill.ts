/** A rehearsed revocation: everybody is asked before, then the canary is revoked, then everybody is asked until they refuse. */

import type { Agent } from '../agents/agent.ts';
import { findAgent } from '../agents/store.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { asOf } from '../liveness/liveness.ts';
import { type Reach, reachOfRevocation } from '../revocations/reach.ts';
import { type Revoked, revoke } from '../revocations/revoke.ts';
import { revocable } from '../revocations/subjects.ts';
import type { Tx } from '../store/database.ts';
import { canaryOf, rehearsalReason } from './canary.ts';
import { guardRows, withoutLease } from './following.ts';
import { neededProbes, type ProbeName, probeRows } from './probes.ts';
import { askedOf, type Named } from './real.ts';
import { setScene } from './scene.ts';
import { begin, claim, release } from './store.ts';
import { type Row, type Verdict, verdictOf, verdictWords } from './verdict.ts';

export interface Report {
  id: string;
  /** Milliseconds. */
  at: number;
  org: string;
  agent: string;
  for_real: boolean;
  rev: number | undefined;
  verdict: Verdict;
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

/**
 * Runs a drill that was claimed, writes down what came of it, and lets the next one begin. Answers nothing, and does nothing, if it was begun before: it
 * is under way, was broken off, or is over.
 * @throws LastOperatorError, CanaryStoppedError
 */
export async function runDrill(deps: Deps, order: DrillOrder): Promise<Report | undefined> {
  const name = claimName(order.org.id);
  if (!(await deps.db.settle((tx) => begin(tx, name, order.id)))) return undefined;
  try {
    const report = order.agent ? await forReal(deps, order, order.agent) : await onCanary(deps, order);
    await record(deps, order, report);
    return report;
  } finally {
    await deps.db.settle((tx) => release(tx, name, order.id));
  }
}

async function onCanary(deps: Deps, order: DrillOrder): Promise<Report> {
  const canary = await canaryOf(deps, order.org, order.by);
  const scene = await setScene(deps, canary);
  const asked = probeRows.flatMap(([probe, { asks }]) => asks(scene).map((one): Named => ({ ...one, probe })));
  return rehearsed(deps, order, { agent: canary.agent, asked, needed: neededProbes, own: canary.resource.id });
}

async function forReal(deps: Deps, order: DrillOrder, agent: Agent): Promise<Report> {
  return rehearsed(deps, order, { agent: agent.id, asked: await askedOf(deps, agent), needed: [], own: undefined });
}

/** Asks everybody, revokes, and asks again until they refuse or the time is over. */
async function rehearsed(
  deps: Deps,
  order: DrillOrder,
  scene: { agent: string; asked: readonly Named[]; needed: readonly ProbeName[]; own: string | undefined },
): Promise<Report> {
  const target = await revocable('agent').find(deps.db, scene.agent, order.org.id);
  if (!target) throw new Error(`${scene.agent} is gone`);
  const { gaps, resources } = await reachOfRevocation(deps, { kind: 'agent', target }, { effect: 'suspend' });
  const reached = resources.filter(({ id }) => id !== scene.own); // nothing stands behind that
  const { asked, left } = await baseline(scene.asked);
  const ordered = deps.clock.monotonic();
  const orderedAt = deps.clock.now();
  const revoked = await revokeAgent(deps, order, scene.agent);
  const [answers, guards] = await Promise.all([
    Promise.all(asked.map((one) => untilRefused(deps, one, ordered, order.waitMs))),
    guardRows(deps, revoked, reached, { orderedAt, waitMs: order.waitMs }),
  ]);
  const rows = [...guards, ...answers, ...left];
  const verdict = verdictOf(rows, scene.needed);
  const listed = rows.some(({ probe, outcome }) => probe === 'status_list' && outcome !== 'not_asked');
  return {
    id: order.id,
    at: deps.clock.now(),
    org: order.org.id,
    agent: scene.agent,
    for_real: order.agent !== undefined,
    rev: revoked.rev,
    verdict,
    passed: verdict === 'passed',
    took_ms: Math.max(0, ...rows.map(({ after_ms = 0 }) => after_ms)),
    rows,
    gaps: gapsOf(deps, { gaps, listed, silent: rows.some(({ note }) => note === withoutLease) }),
  };
}

/** Asks everybody once: who doesn't accept now can't be seen to refuse. */
async function baseline(all: readonly Named[]): Promise<{ asked: Named[]; left: Row[] }> {
  const asked: Named[] = [];
  const left: Row[] = [];
  for (const one of all) {
    const note = await one.accepts().then(
      (accepts) => (accepts ? undefined : 'it refused before anything was revoked'),
      (error: Error) => error.message,
    );
    if (note === undefined) asked.push(one);
    else left.push({ probe: one.probe, ...(one.what !== undefined && { what: one.what }), outcome: 'not_asked', note });
  }
  return { asked, left };
}

async function untilRefused(
  { clock }: Deps,
  { probe, what, accepts, outcome = 'refused' }: Named,
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

/** What nobody can call back: what the reach says, and what lies in the nature of who was asked. */
function gapsOf(
  { config }: Pick<Deps, 'config'>,
  { gaps, listed, silent }: { gaps: Reach['gaps']; listed: boolean; silent: boolean },
): string[] {
  const ttl = config.status_lists.ttl_seconds;
  return [
    ...gaps.map(({ what, until }) => (until === undefined ? what : `${what}: ${rfc3339(until)} at the latest`)),
    ...(silent
      ? [
          'a guard without a lease that is set to offline hears nothing: a token works there until it expires, 15 minutes at most',
        ]
      : []),
    ...(listed ? [`outside caches of a status list know nothing newer for its ttl of ${ttl} s`] : []),
  ];
}

const reasonOf = ({ id }: DrillOrder) => rehearsalReason + id;

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

/** The evidence: every figure. */
async function record(deps: Deps, order: DrillOrder, report: Report): Promise<void> {
  const agent = await findAgent(deps.db, report.agent);
  if (!agent) return;
  const sealing = await sealingFor(deps, (await asOf(deps.db)).version, agent.owner);
  const { id, for_real, rev, verdict, passed, took_ms, rows, gaps } = report;
  await deps.db.settle((tx) =>
    appendEvent(tx, deps, sealing, {
      type: 'drill.completed',
      outcome: passed ? 'allowed' : 'refused',
      org: order.org.id,
      agent: order.by ?? report.agent,
      target: report.agent,
      reason: verdictWords[verdict],
      decided_on: { drill: id, for_real, ...(rev !== undefined && { rev }), verdict, passed, took_ms, rows, gaps },
      personal: { owner: agent.owner },
    }),
  );
}
