/** What the canary of a drill is given, so that it can be taken away. */
import type { Deps } from '../deps.ts';
import { callWith, clientOf, enrol, type Given, requestToken } from './calls.ts';
import { type Canary, pingScope } from './canary.ts';
import { type Scene, streamsOf } from './probes.ts';
import type { SelfAnswer } from './self.ts';

/** Gives the canary everything that can be taken away from it, as far as it gets it. */
export async function setScene(deps: Deps, canary: Canary): Promise<Scene> {
  const client = clientOf(canary.key);
  const { issuer } = deps.config;
  const tokens = new Map<string, Given<string>>();
  const wanted: [string, string][] = [
    [canary.resource.identifier, pingScope],
    [`${issuer}/admin`, 'keys:read'],
    [issuer, 'tasks:open'],
  ];
  const highly = 'it has only operations of high sensitivity, and the canary is given none of them';
  for (const { resource, scope } of canary.guarded) {
    if (scope === undefined) tokens.set(resource.identifier, { why: highly });
    else wanted.push([resource.identifier, scope]);
  }
  for (const [resource, scope] of wanted) {
    tokens.set(resource, tokenIn(await requestToken(deps, client, { resource, scope })));
  }
  const scene = { deps, canary, client, guard: clientOf(canary.guard), tokens };
  const streams = await streamsOf(deps, canary.resource.org);
  return { ...scene, instance: await enrol(deps, client), task: await openedTask(scene), streams };
}

async function openedTask({
  deps,
  canary,
  client,
  tokens,
}: Omit<Scene, 'instance' | 'task' | 'streams'>): Promise<Given<string>> {
  const token = tokens.get(deps.config.issuer);
  if (!token || 'why' in token) return token ?? { why: 'the canary got no token' };
  const body = { agent: canary.agent, workflow: 'drill', lifetime_seconds: 300 };
  const opened = await callWith(deps, client, token.thing, { method: 'POST', path: '/tasks', body });
  if (opened.status !== 201) return { why: `the canary could open no task: ${opened.status}` };
  const { id } = JSON.parse(opened.body) as { id: string };
  return tokenIn(
    await requestToken(deps, client, { resource: canary.resource.identifier, scope: pingScope, task: id }),
  );
}

function tokenIn({ status, body }: SelfAnswer): Given<string> {
  const said = JSON.parse(body) as { access_token?: string; error?: string; error_description?: string };
  if (status === 200 && said.access_token !== undefined) return { thing: said.access_token };
  return { why: `the canary got no token: ${said.error_description ?? said.error ?? status}` };
}
