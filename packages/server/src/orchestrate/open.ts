/** An orchestrator opens a task for an agent of its organization: known, allowed, looked up, then one transaction. */
import { linkTag } from '@bailiwick/protocol';
import { findAgent } from '../agents/store.ts';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import { credentialIds } from '../credentials/store.ts';
import { taskResources } from '../decide/task-resources.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import type { Tx } from '../store/database.ts';
import { registerTask, taskOpen } from '../tasks/standing.ts';
import { findTask, insertTask } from '../tasks/store.ts';
import { openAtMost, type Task } from '../tasks/task.ts';
import { endOf, type TaskBody, taskBody, UnfitTask } from '../tasks/wanted.ts';
import { taskOpened } from '../tokens/new-task.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import { type Answer, earlierAnswer, idempotentRequest, rememberAnswer } from '../web/idempotency.ts';
import { fieldErrors } from '../web/invalid.ts';
import { ownerOf } from '../web/own-api.ts';
import { badRequest, conflict, invalid } from '../web/problem.ts';
import { mustHaveScope, serviceResource } from '../web/service.ts';
import { recorded } from './refusal.ts';
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
  return recorded(deps, caller, 'openTask', async () => {
    mustHaveScope(deps, caller, 'tasks:open');
    const wanted = parsed(body);
    const request = idempotentRequest(once, caller.agent, { method: 'POST', url: '/tasks', body });
    const owner = await ownerOf(deps, caller);
    const sealing = await sealingFor(deps, caller.asOf.version, owner);
    // a task moves no version of the registry, and opening one must not make every token wait
    return deps.db.settle(async (tx) => {
      await mayWrite(tx, serviceResource(deps.config), caller);
      const now = deps.clock.now();
      const earlier = request && (await earlierAnswer(tx, request, now));
      if (earlier) return { ...earlier, headers: { ...earlier.headers, 'idempotent-replayed': 'true' } };
      const task = await newTask(deps, tx, caller, wanted, now);
      if (await insertTask(tx, task, openAtMost)) {
        throw conflict('agent', `has ${openAtMost} open tasks already: end some`);
      }
      await registerTask(tx, task);
      const about = { address: caller.address, jti: caller.jti, resource: serviceResource(deps.config) };
      await appendEvent(tx, deps, sealing, taskOpened(task, owner, { scope: caller.scopes }, about));
      const answer: Answer = {
        status: 201,
        headers: { location: `${deps.config.issuer}/tasks/${task.id}` },
        body: JSON.stringify(await shownTask(tx, task, true)),
      };
      if (request) await rememberAnswer(tx, request, answer);
      return answer;
    }, `tasks of ${wanted.agent}`);
  });
}

/** @throws Problem 400 naming every field that is wrong */
function parsed(body: unknown): TaskBody {
  const result = taskBody.safeParse(body ?? {});
  if (result.success) return result.data;
  throw badRequest(fieldErrors(result.error, body, 'body', Object.keys(taskBody.shape)));
}

/** @throws Problem 422 naming the field that can't be accepted as things stand */
async function newTask(deps: Deps, tx: Tx, caller: Caller, wanted: TaskBody, now: number): Promise<Task> {
  const agent = await findAgent(tx, wanted.agent);
  const expired = agent?.expiresAt !== undefined && agent.expiresAt <= now;
  if (agent?.org !== caller.org || agent.status !== 'active' || agent.orgStatus !== 'active' || expired) {
    throw invalid('agent', 'must be the id of an active agent of the same organization');
  }
  const above = await taskOfCaller(tx, caller, now);
  try {
    const endsAt = Math.min(endOf(wanted, now), above?.endsAt ?? Number.POSITIVE_INFINITY);
    return {
      id: newId(deps, 'task'),
      org: caller.org,
      agent: agent.id,
      orchestrator: caller.agent,
      workflow: wanted.workflow,
      step: wanted.step,
      environment: wanted.environment,
      purpose: wanted.purpose,
      resources: await taskResources(deps, tx, agent, wanted.resources),
      restsOn: [...(await credentialsOf(tx, caller)), ...(above ? [above.id, ...above.restsOn] : [])],
      rev: caller.asOf.rev,
      createdAt: now,
      endsAt,
      endedAt: undefined,
    };
  } catch (error) {
    if (error instanceof UnfitTask) throw invalid(error.field, error.message);
    throw error;
  }
}

/** What the orchestrator proved itself with when it got its token: the token links it by a tag. */
async function credentialsOf(tx: Tx, { agent, claims }: Caller): Promise<string[]> {
  const linked = new Set(claims.links);
  return (await credentialIds(tx, agent)).filter((id) => linked.has(linkTag(id)));
}

/** The task that the orchestrator itself is at: what it opens there ends with it. */
async function taskOfCaller(tx: Tx, { claims }: Caller, now: number): Promise<Task | undefined> {
  if (claims.task === undefined) return undefined;
  const task = await findTask(tx, claims.task.id);
  if (task && (await taskOpen(tx, task, now))) return task;
  throw invalid('agent', 'can be given no task by a task that has ended');
}
