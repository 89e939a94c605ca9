/** An orchestrator opens a task for an agent of its organization: known, allowed, looked up, then one transaction. */
import { linkTag } from '@bailiwick/protocol';
import { findInstance } from '../agents/instance-store.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { credentialIds } from '../credentials/store.ts';
import { activeAgent } from '../decide/named-in-mandates.ts';
import { namedResources } from '../decide/named-resources.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import type { Queries } from '../store/database.ts';
import { registerTask, taskOpen } from '../tasks/standing.ts';
import { findTask, insertTask } from '../tasks/store.ts';
import { openAtMost, type Task } from '../tasks/task.ts';
import { endOf, type TaskBody, taskBody } from '../tasks/wanted.ts';
import { taskOpened } from '../tokens/new-task.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import { type Answer, earlierAnswer, idempotentRequest, rememberAnswer } from '../web/idempotency.ts';
import { fitting, parsedBody } from '../web/invalid.ts';
import { ownerOf } from '../web/own-api.ts';
import { conflict, invalid, Problem } from '../web/problem.ts';
import { recorded } from '../web/recorded.ts';
import { mustHaveScope, serviceResource } from '../web/service.ts';
import { shownTask } from './show.ts';

/**
 * Opens a task. With an `Idempotency-Key` once, however often it is asked for.
 * @throws Problem; what is refused to a known caller is on record by then
 */
export async function openTask(
  deps: Deps,
  caller: Caller,
  { body, once }: { body: unknown; once: string | string[] | undefined },
): Promise<Answer> {
  return recorded(deps, caller, { type: 'task.refused', operation: 'openTask' }, async () => {
    mustHaveScope(deps, caller, 'tasks:open');
    const wanted = parsedBody(taskBody, body);
    const request = idempotentRequest(once, caller.agent, { method: 'POST', url: '/tasks', body });
    const owner = await ownerOf(deps, caller);
    const sealing = await sealingFor(deps, caller.asOf.version, owner);
    const planned = await newTask(deps, caller, wanted).catch(problemOf);
    // a task moves no version of the registry, and opening one must not make every token wait
    return deps.db.settle(async (tx) => {
      await mayWrite(tx, serviceResource(deps.config), caller);
      const earlier = request && (await earlierAnswer(tx, request, deps.clock.now()));
      if (earlier) return { ...earlier, headers: { ...earlier.headers, 'idempotent-replayed': 'true' } };
      if (planned instanceof Problem) throw planned;
      const { task, shown } = planned;
      if (await insertTask(tx, task, openAtMost)) {
        throw conflict('agent', `has ${openAtMost} open tasks already: end some`);
      }
      await registerTask(tx, task);
      const about = {
        address: caller.address,
        jti: caller.jti,
        resource: serviceResource(deps.config),
        trace: caller.trace,
      };
      await appendEvent(tx, deps, sealing, taskOpened(task, owner, { scope: caller.scopes }, about));
      const headers = { location: `${deps.config.issuer}/tasks/${task.id}` };
      const answer: Answer = { status: 201, headers, body: JSON.stringify(shown) };
      if (request) await rememberAnswer(tx, request, answer);
      return answer;
    }, `tasks of ${wanted.agent}`);
  });
}

/** A refusal that waits: whoever asks again hears what was answered before, whatever has changed since. */
function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  throw error;
}

/** @throws Problem 422 naming the field that can't be accepted as things stand */
async function newTask(
  deps: Deps,
  caller: Caller,
  wanted: TaskBody,
): Promise<{ task: Task; shown: Record<string, unknown> }> {
  const { db } = deps;
  const now = deps.clock.now();
  return fitting(async () => {
    const agent = await activeAgent({ q: db, now }, caller.org, wanted.agent);
    const above = await taskOfCaller(db, caller, now);
    const endsAt = Math.min(endOf(wanted, now), above?.endsAt ?? Number.POSITIVE_INFINITY);
    const task: Task = {
      id: newId(deps, 'task'),
      org: caller.org,
      agent: agent.id,
      orchestrator: caller.agent,
      workflow: wanted.workflow,
      step: wanted.step,
      environment: wanted.environment,
      purpose: wanted.purpose,
      resources: wanted.resources && (await namedResources(db, agent, wanted.resources, 'whole')),
      restsOn: [
        ...(await credentialsOf(db, caller)),
        ...(await instancesOf(db, caller)),
        ...(above ? [above.id, ...above.restsOn] : []),
      ],
      rev: caller.asOf.rev,
      createdAt: now,
      endsAt,
      endedAt: undefined,
    };
    return { task, shown: await shownTask(db, task, true) };
  });
}

/** What the orchestrator proved itself with when it got its token: the token links it by a tag. */
async function credentialsOf(q: Queries, { agent, claims }: Caller): Promise<string[]> {
  const linked = new Set(claims.links);
  return (await credentialIds(q, agent)).filter((id) => linked.has(linkTag(id)));
}

/** The instance of the orchestrator that asks, and those above it: what one opens before it is ended for a reason ends with it. */
async function instancesOf(q: Queries, { claims }: Caller): Promise<string[]> {
  if (claims.instance === undefined) return [];
  return [claims.instance, ...((await findInstance(q, claims.instance))?.ancestors ?? [])];
}

/** The task that the orchestrator itself is at: what it opens there ends with it. */
async function taskOfCaller(q: Queries, { claims }: Caller, now: number): Promise<Task | undefined> {
  if (claims.task === undefined) return undefined;
  const task = await findTask(q, claims.task.id);
  if (task && (await taskOpen(q, task, now))) return task;
  throw invalid('agent', 'can be given no task by a task that has ended');
}
