/** Policies of an organization: written, observed, rolled back and removed, each change a numbered version with author and reason. */
import { z } from 'zod';
import type { EventType } from '../audit/event.ts';
import { newId } from '../lib/ids.ts';
import { loadPolicyEngine, type PolicyEngine } from '../policy/engine.ts';
import { withDrafts } from '../policy/policies.ts';
import {
  mostPolicies,
  type Policy,
  type PolicyMode,
  type PolicyVersion,
  policyModes,
  textHash,
} from '../policy/policy.ts';
import {
  countPolicies,
  findPolicy,
  findVersion,
  insertPolicy,
  insertVersion,
  lastRevision,
  selectPolicies,
  selectSet,
  selectVersions,
} from '../policy/store.ts';
import { type Page, pageLimits, pageOf } from '../web/paging.ts';
import { badRequest, conflict, invalid, notFound } from '../web/problem.ts';
import { countInQuery, line, oneOf, record, slug } from './fields.ts';
import {
  changeReason,
  compiledOr422,
  decidingMode,
  listedPolicy,
  listedVersion,
  listPolicy,
  listVersion,
  policyText,
  shownPolicy,
  shownVersion,
  showPolicy,
  showVersion,
} from './policy.ts';
import { within } from './reach.ts';
import { type Call, type Outcome, read, type WriteCall, write } from './route.ts';
import { byId, checkMatch, listQuery, pageFilter, pageOfSchema } from './shapes.ts';

const found = async (call: Call, id: string): Promise<Policy> =>
  within(call, 'policy', id, await findPolicy(call.q, id));

const revisionNumber = z
  .int({ error: 'must be a revision of this policy' })
  .min(1, 'must be a revision of this policy')
  .max(Number.MAX_SAFE_INTEGER);

const exampleText = '@id("read-only")\nforbid (principal, action, resource)\nwhen { resource.sensitivity != "low" };\n';

/** What a policy is to say. `field` of the request said it. */
interface Wanted {
  field: string;
  name: string;
  text: string;
  mode: PolicyMode;
}

/**
 * Reads the policies that are to decide, before anything is locked: it takes long, and has pauses.
 * @throws Problem 422, as `written`
 */
async function readAhead({ q }: Call, org: string, wanted: Wanted | undefined): Promise<PolicyEngine> {
  const engine = await loadPolicyEngine();
  if (wanted === undefined || wanted.mode === 'removed') return engine;
  const { field, name, text, mode } = wanted;
  const sources = withDrafts(await selectSet(q, org, await lastRevision(q, org)), [{ name, text, mode }]);
  await compiledOr422(() => engine.read(sources), fieldNames(name, field));
  return engine;
}

const fieldNames = (name: string, field: string) => (of: string) => (of === name ? field : `the policy ${of}`);

/**
 * Writes what a policy says from now on, unless the organization's policies could then not decide.
 * @throws Problem 422 naming `field` with line, column and what was expected; 409 where another process has written a policy since
 *   they were read: they would have to be read again, with everybody waiting. The running set stays
 */
async function written(
  call: WriteCall,
  engine: PolicyEngine,
  policy: Omit<Policy, 'newest'>,
  change: { type: EventType; field: string; text: string; mode: PolicyMode; reason: string; from?: number },
): Promise<Outcome<z.output<typeof shownPolicy>>> {
  const { tx, caller, now } = call;
  const { type, field, text, mode, reason, from } = change;
  const { org, name } = policy;
  if (mode !== 'removed') {
    const sources = await selectSet(tx, org, await lastRevision(tx, org));
    const drafted = withDrafts(sources, [{ name, text, mode }]);
    if (!engine.hasRead(drafted)) throw conflict(field, 'met another change of the policies: try again');
    await compiledOr422(() => engine.compile(drafted, 'draft'), fieldNames(name, field));
  }
  const newest = await insertVersion(tx, { org, policy: policy.id, text, mode, author: caller.agent, reason, at: now });
  const { revision } = newest;
  const changed = {
    name,
    revision,
    mode,
    text_hash: textHash(text),
    ...(from !== undefined && { rolled_back_to: from }),
  };
  return {
    body: showPolicy({ ...policy, newest }),
    event: { type, org, target: policy.id, changed, details: { reason } },
  };
}

const same = (a: PolicyVersion, b: { text: string; mode: PolicyMode }) => a.text === b.text && a.mode === b.mode;

const versionsQuery = z.strictObject({
  limit: countInQuery(1, pageLimits.most).optional(),
  cursor: line(200).optional().meta({ description: 'The next_cursor of the page before.' }),
});

/** Versions have no ids: a page goes on below a revision. */
const cursorBelow = (revision: number) => Buffer.from(`r.${revision}`).toString('base64url');

function readVersionCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  const [, digits] = /^r\.(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (digits !== undefined && cursorBelow(Number(digits)) === cursor) return Number(digits);
  throw badRequest([{ field: 'cursor', message: 'must be the next_cursor of an earlier page of this list' }]);
}

export const policyRoutes = [
  read({
    id: 'listPolicies',
    path: '/policies',
    summary: 'List policies, without their texts',
    scopes: ['policies:read'],
    query: listQuery({
      name: slug.optional().meta({ description: 'Found even if it was removed.' }),
      mode: oneOf(policyModes).optional().meta({ description: 'All but the removed, unless said otherwise.' }),
    }),
    response: pageOfSchema(listedPolicy),
    async handler(call, { query: { name, mode, ...query } }) {
      const page = pageFilter('policy', query);
      const modes = mode ? [mode] : name === undefined ? (['enforce', 'observe'] as const) : policyModes;
      const policies = await selectPolicies(call.q, { org: call.org.id, name, modes, ...page });
      return pageOf(policies, page.shown, listPolicy);
    },
  }),
  write('POST', {
    id: 'createPolicy',
    path: '/policies',
    summary: 'Write a policy',
    description:
      'It decides from the next request on. Tokens that are out already run their course: end them by suspending who holds them.',
    scopes: ['policies:write'],
    status: 201,
    body: record({ name: slug, text: policyText, mode: decidingMode.default('enforce'), reason: changeReason }),
    example: { name: 'read-only', text: exampleText, mode: 'observe', reason: 'to see what it would refuse' },
    response: shownPolicy,
    prepare: (call, { body }) => readAhead(call, call.org.id, { field: 'text', ...body }),
    async handler(call, { body }, engine) {
      const { tx, deps, org, now } = call;
      if ((await countPolicies(tx, org.id)) >= mostPolicies) {
        throw conflict('name', `can't be one more: an organization has at most ${mostPolicies} policies`);
      }
      const policy = { id: newId(deps, 'policy'), org: org.id, name: body.name, createdAt: now };
      if (!(await insertPolicy(tx, policy))) throw conflict('name', 'is or was the name of another policy here');
      return written(call, engine, policy, { type: 'policy.created', field: 'text', ...body });
    },
  }),
  read({
    id: 'getPolicy',
    path: '/policies/{id}',
    summary: 'Show a policy',
    scopes: ['policies:read'],
    params: byId('policy'),
    response: shownPolicy,
    handler: async (call, { params }) => showPolicy(await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updatePolicy',
    path: '/policies/{id}',
    summary: 'Change the text of a policy, or whether it decides',
    description: 'One that was removed decides again if its mode is said.',
    scopes: ['policies:write'],
    params: byId('policy'),
    body: record({ text: policyText.optional(), mode: decidingMode.optional(), reason: changeReason }),
    example: { mode: 'enforce', reason: 'it refused what it should, and nothing else' },
    response: shownPolicy,
    async prepare(call, { params, body }) {
      const { org, name, newest } = await found(call, params.id);
      return readAhead(call, org, {
        field: body.text === undefined ? 'mode' : 'text',
        name,
        text: body.text ?? newest.text,
        mode: body.mode ?? newest.mode,
      });
    },
    async handler(call, { params, body }, engine) {
      const policy = await found(call, params.id);
      checkMatch(call, showPolicy(policy));
      const { newest } = policy;
      const mode = body.mode ?? newest.mode;
      if (mode === 'removed') throw conflict('mode', 'is removed: say enforce or observe, or roll the policy back');
      const after = { text: body.text ?? newest.text, mode };
      if (same(newest, after)) return { body: showPolicy(policy) };
      const field = body.text === undefined ? 'mode' : 'text';
      return written(call, engine, policy, { type: 'policy.updated', field, ...after, reason: body.reason });
    },
  }),
  write('POST', {
    id: 'rollBackPolicy',
    path: '/policies/{id}/rollback',
    summary: 'Let a policy say again what it said',
    description: 'Text and mode of that version become a new one.',
    scopes: ['policies:write'],
    params: byId('policy'),
    body: record({ revision: revisionNumber, reason: changeReason }),
    example: { revision: 3, reason: 'the night shift could not work' },
    response: shownPolicy,
    async prepare(call, { params, body }) {
      const { id, org, name } = await found(call, params.id);
      const before = await findVersion(call.q, id, body.revision);
      return readAhead(call, org, before && { field: 'revision', name, text: before.text, mode: before.mode });
    },
    async handler(call, { params, body }, engine) {
      const policy = await found(call, params.id);
      const before = await findVersion(call.q, policy.id, body.revision);
      if (!before) throw invalid('revision', 'must be a revision of this policy');
      if (before.mode === 'removed') throw invalid('revision', 'must be one in which it was not removed');
      if (same(policy.newest, before)) return { body: showPolicy(policy) };
      const { text, mode } = before;
      const change = { type: 'policy.updated' as const, field: 'revision', text, mode, from: body.revision };
      return written(call, engine, policy, { ...change, reason: body.reason });
    },
  }),
  write('POST', {
    id: 'removePolicy',
    path: '/policies/{id}/remove',
    summary: 'Let a policy decide no more',
    description: 'Its versions stay, and it can be rolled back. Without any policy that permits, nothing is allowed.',
    scopes: ['policies:write'],
    params: byId('policy'),
    body: record({ reason: changeReason }),
    example: { reason: 'the incident is over' },
    response: shownPolicy,
    prepare: loadPolicyEngine,
    async handler(call, { params, body }, engine) {
      const policy = await found(call, params.id);
      const { newest } = policy;
      if (newest.mode === 'removed') return { body: showPolicy(policy) };
      const change = { type: 'policy.removed' as const, field: 'mode', text: newest.text, mode: 'removed' as const };
      return written(call, engine, policy, { ...change, reason: body.reason });
    },
  }),
  read({
    id: 'listPolicyVersions',
    path: '/policies/{id}/versions',
    summary: 'List what a policy said, the newest first, without its texts',
    scopes: ['policies:read'],
    params: byId('policy'),
    query: versionsQuery,
    response: pageOfSchema(listedVersion),
    async handler(call, { params, query }) {
      const policy = await found(call, params.id);
      const shown = query.limit ?? pageLimits.default;
      const before = readVersionCursor(query.cursor);
      const versions = await selectVersions(call.q, { policy: policy.id, before, limit: shown + 1 });
      const items = versions.slice(0, shown).map(listVersion);
      const last = items.at(-1);
      const page: Page<(typeof items)[number]> = { items };
      if (versions.length > shown && last) page.next_cursor = cursorBelow(last.revision);
      return page;
    },
  }),
  read({
    id: 'getPolicyVersion',
    path: '/policies/{id}/versions/{revision}',
    summary: 'Show what a policy said',
    scopes: ['policies:read'],
    params: z.strictObject({ ...byId('policy').shape, revision: countInQuery(1, 999_999) }),
    response: shownVersion,
    async handler(call, { params }) {
      const policy = await found(call, params.id);
      const one = await findVersion(call.q, policy.id, params.revision);
      if (!one) throw notFound('revision', String(params.revision));
      return showVersion(one);
    },
  }),
] as const;
