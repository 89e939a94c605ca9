/** What can be known before a policy is saved: whether it can be read, and what it would have decided. */
import { z } from 'zod';
import { rfc3339 } from '../lib/clock.ts';
import { searchEvents } from '../log/search.ts';
import { loadPolicyEngine } from '../policy/engine.ts';
import { type Draft, withDrafts } from '../policy/policies.ts';
import { PolicyError } from '../policy/policy-error.ts';
import { decidedEvents } from '../policy/recorded.ts';
import { policyActions } from '../policy/request.ts';
import { policySchema } from '../policy/schema.ts';
import { type Difference, simulate } from '../policy/simulate.ts';
import { lastRevision, selectSet } from '../policy/store.ts';
import { openPosition, sealPosition } from '../web/position-cursor.ts';
import { invalid } from '../web/problem.ts';
import { idOf, line, oneOf, record, setOf, shownTime, slug, time, wholeNumber } from './fields.ts';
import { compiledOr422, decidingMode, policyText } from './policy.ts';
import { ask, read } from './route.ts';
import { surroundingsOf } from './surroundings.ts';

const mistake = z.strictObject({
  line: z.int(),
  column: z.int(),
  message: z.string(),
  expected: z.string().optional(),
});

const draft = z.union(
  [
    record({ name: slug, text: policyText, mode: decidingMode.default('enforce') }),
    record({ name: slug, remove: z.literal(true, { error: 'must be true' }) }),
  ],
  { error: 'must be {name, text, mode} or {name, remove: true}' },
);

/** How many events a page replays: a second or two of work, in which others are answered, too. */
const eventsInPage = { default: 500, most: 2000 } as const;

const decision = oneOf(['allow', 'deny', 'step_up']);

const difference = z.strictObject({
  change: oneOf(['gains', 'loses', 'limits', 'differs']).meta({
    description: 'limits: allowed as before, with other limits. differs: refused as before, in another way.',
  }),
  agent: idOf('agent').optional(),
  name: z.string().meta({ description: 'Of the agent; `type:id` of somebody whom only the asking side knows.' }),
  action: oneOf(policyActions),
  resource: z.string(),
  before: decision,
  after: decision,
  by: z
    .array(z.string())
    .meta({ description: 'The statements that would decide; none where nothing would permit it.' }),
  count: z.int(),
  first: shownTime,
  last: shownTime,
});

const simulated = z.strictObject({
  replayed: z.int(),
  erased: z.int().meta({ description: 'Whose person was erased: they can’t be asked again.' }),
  not_asked: z.int().meta({
    description:
      'About which policies were not asked: refused before, about the server’s own APIs, or older than policies.',
  }),
  reached: shownTime.optional().meta({ description: 'When the oldest event of this page was.' }),
  differences: z.array(difference),
  next_cursor: z.string().optional(),
});

const showDifference = ({ agent, first, last, ...rest }: Difference): z.output<typeof difference> => ({
  ...rest,
  ...(agent !== undefined && { agent }),
  first: rfc3339(first),
  last: rfc3339(last),
});

export const policyRehearsalRoutes = [
  read({
    id: 'getPolicySchema',
    path: '/policies/schema',
    summary: 'Read the words that policies may use, as a Cedar schema',
    scopes: ['policies:read'],
    response: z.strictObject({ schema: z.string() }),
    handler: async () => ({ schema: policySchema }),
  }),
  ask({
    id: 'checkPolicy',
    path: '/policies/check',
    summary: 'Check a policy, without saving it',
    scopes: ['policies:read'],
    body: record({ text: policyText }),
    example: { text: '@id("night")\nforbid (principal, action, resource)\nwhen { context.time.hour < 6 };\n' },
    response: z.strictObject({
      valid: z.boolean(),
      errors: z.array(mistake),
      warnings: z.array(z.string()).meta({ description: 'What looks like a mistake, and is none.' }),
    }),
    async handler(_, { body }) {
      const engine = await loadPolicyEngine();
      try {
        await engine.read([{ name: '', text: body.text }]);
        return { valid: true, errors: [], warnings: [...engine.check(body.text).warnings] };
      } catch (error) {
        if (!(error instanceof PolicyError)) throw error;
        const { line: at, column, message, expected } = error;
        const wrong = { line: at, column, message, ...(expected !== undefined && { expected }) };
        return { valid: false, errors: [wrong], warnings: [] };
      }
    },
  }),
  ask({
    id: 'simulatePolicies',
    path: '/policies/simulate',
    summary: 'Ask drafts what they would have decided of what was decided',
    description:
      'Each recorded decision is asked again, of the policies that are enforced now and of the same with the drafts in it. Newest first, page by page: the ' +
      'differences of all pages together are the answer. Country and zone are looked up by the address anew. Drafts can ask for all that the log ' +
      'keeps sealed of a decision, so this takes the right to read the log.',
    scopes: ['policies:read', 'events:read'],
    body: record({
      drafts: setOf(draft, 50, 'drafts').min(1, 'must be at least one draft'),
      since: time.meta({ description: 'Decisions at this time or later.' }),
      until: time.optional().meta({ description: 'Decisions before this time.' }),
      limit: wholeNumber(1, eventsInPage.most).default(eventsInPage.default).meta({
        description: 'How many events are replayed in one page.',
      }),
      cursor: line(200).optional().meta({ description: 'The next_cursor of the page before.' }),
    }),
    example: {
      drafts: [{ name: 'read-only', text: '@id("read-only")\nforbid (principal, action, resource);\n' }],
      since: '2026-11-16T00:00:00Z',
    },
    response: simulated,
    async handler(call, { body }) {
      const drafts = body.drafts as Draft[];
      const { id: org } = call.org;
      if (new Set(drafts.map(({ name }) => name)).size < drafts.length) {
        throw invalid('drafts', 'must name each policy once');
      }
      const sources = await selectSet(call.q, org, await lastRevision(call.q, org));
      for (const [index, { name, ...rest }] of drafts.entries()) {
        if ('remove' in rest && !sources.some((one) => one.name === name)) {
          throw invalid(`drafts[${index}].name`, 'must be the name of a policy that is not removed');
        }
      }
      const engine = await loadPolicyEngine();
      const fieldOf = (name: string) => {
        const index = drafts.findIndex((one) => one.name === name);
        return index < 0 ? `the policy ${name}` : `drafts[${index}].text`;
      };
      const [before, after] = await compiledOr422(async () => {
        const drafted = withDrafts(sources, drafts);
        await engine.read([...sources, ...drafted]);
        return [engine.compile(sources, 'now'), engine.compile(drafted, 'draft')] as const;
      }, fieldOf);
      const filter = {
        org,
        types: decidedEvents,
        since: Date.parse(body.since),
        until: body.until === undefined ? undefined : Date.parse(body.until),
      };
      const about = ['rehearsal', filter];
      const position = openPosition(call.deps, about, body.cursor);
      const { events: page, next } = await searchEvents(call.deps, filter, {
        order: 'newest',
        limit: body.limit,
        after: position,
      });
      const result = await simulate(engine, { before, after }, page, await surroundingsOf(call, page));
      const last = page.at(-1);
      return {
        replayed: result.replayed,
        erased: result.erased,
        not_asked: result.notAsked,
        ...(last && { reached: last.leaf.at as string }),
        differences: result.differences.map(showDifference),
        ...(next !== undefined && { next_cursor: sealPosition(call.deps, about, next) }),
      };
    },
  }),
] as const;
