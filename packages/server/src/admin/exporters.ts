/** Where the log goes beside staying here. */
import { z } from 'zod';
import { deliver } from '../exports/deliver.ts';
import {
  consumerName,
  DeliveryError,
  type Exporter,
  exportersTopic,
  type Target,
  type TargetSecret,
} from '../exports/exporter.ts';
import {
  deleteExporter,
  findExporter,
  findExporterSecret,
  insertExporter,
  selectExporters,
  updateExporter,
} from '../exports/store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { createConsumer, Refused, removeConsumer } from '../log/consumer.ts';
import { listDeadLetters, retryDeadLetters } from '../log/dead-letters.ts';
import { newestEvent } from '../log/store.ts';
import { exporterSecretName } from '../store/secrets.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, invalid, notFound } from '../web/problem.ts';
import {
  checkedTarget,
  destinationOf,
  exporterName,
  show,
  showBefore,
  shown,
  targetSchema,
  writable,
} from './exporter-shape.ts';
import { flag, idOf, oneOf, record, shownTime } from './fields.ts';
import { mustHold, reachesAny, within } from './reach.ts';
import { ask, type Call, read, type WriteCall, write } from './route.ts';
import { byId, checkMatch, listQuery, pageFilter, pageOfSchema } from './shapes.ts';

/** One of all organizations is there for who reaches all of them. */
async function found(call: Call, id: string): Promise<Exporter> {
  const exporter = await findExporter(call.q, id);
  if (exporter && exporter.org === undefined) {
    if (reachesAny(call.caller)) return exporter;
    throw notFound('exporter', id);
  }
  within(call, 'exporter', id, exporter && { org: exporter.org as string });
  return exporter as Exporter;
}

/** Who says where the log goes must be allowed to read it. */
function readsAll(call: Call, org: string | undefined): void {
  mustHold(call, org === undefined ? ['events:read', 'organizations:any'] : ['events:read'], 'an exporter');
}

const addressOf = (target: Target): string | undefined => {
  if (target.kind === 'file') return undefined;
  return target.kind === 'syslog' ? `${target.host}:${target.port}` : new URL(target.url).host;
};

const told = ({ name, target, wants, personal, org }: Exporter, action: string) => ({
  action,
  name,
  kind: target.kind,
  ...('format' in target && { format: target.format }),
  ...(addressOf(target) !== undefined && { address: addressOf(target) }),
  ...(wants.types && { types: [...wants.types] }),
  ...(wants.outcome && { outcome: wants.outcome }),
  ...(org === undefined && { all_organizations: true }),
  personal,
});

const changeOf = (call: Call, exporter: Exporter, action: string) => ({
  type: 'export.changed' as const,
  org: exporter.org ?? call.org.id,
  target: exporter.id,
  changed: told(exporter, action),
  unremembered: true,
});

const sealed = ({ deps }: Call, id: string, secret: TargetSecret): string =>
  deps.encryption.seal(exporterSecretName(id), JSON.stringify(secret));

const isSecret = (secret: TargetSecret): boolean => Object.values(secret).some((value) => value !== undefined);

const hasSecret = async ({ q }: Call, { id }: Exporter) => (await findExporterSecret(q, id)) !== undefined;

const announce = ({ tx }: WriteCall, id: string) => tx.notify(exportersTopic, id);

export const exporterRoutes = [
  read({
    id: 'listExporters',
    path: '/exporters',
    summary: 'List exporters of the log, and how far they are',
    scopes: ['exports:read'],
    query: listQuery({}),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const { shown: most, ...page } = pageFilter('exporter', query);
      const everywhere = reachesAny(call.caller);
      const exporters = await selectExporters(call.q, { org: call.org.id, everywhere, ...page });
      const { items, ...rest } = pageOf(exporters, most, (exporter) => exporter);
      return { items: await Promise.all(items.map((exporter) => show(call.deps, exporter))), ...rest };
    },
  }),
  write('POST', {
    id: 'createExporter',
    path: '/exporters',
    summary: 'Export the log',
    description:
      'Each event reaches the target in order and at least once, repeated at most with the same id. A webhook’s answer has its signing `secret`, once.',
    scopes: ['exports:write'],
    status: 201,
    body: record({
      name: exporterName,
      target: targetSchema,
      from: oneOf(['start', 'now'])
        .default('now')
        .meta({ description: 'Begin with all that the log has, or with what comes.' }),
      all_organizations: flag.default(false).meta({ description: 'Needs `organizations:any`.' }),
      ...writable,
    }),
    example: { name: 'siem', target: { kind: 'webhook', url: 'https://siem.example.com/bailiwick', format: 'ocsf' } },
    response: shown.extend({ secret: z.string().optional(), secret_withheld: z.string().optional() }),
    async handler(call, { body }) {
      const { tx, deps, now } = call;
      const { name, from, types, outcome, personal } = body;
      const org = body.all_organizations ? undefined : call.org.id;
      readsAll(call, org);
      const { target, secret } = checkedTarget(deps, body.target);
      if (target.kind === 'syslog' && target.certificate !== undefined && secret.key === undefined)
        throw invalid('target.key', 'must come with the certificate');
      const id = newId(deps, 'exporter');
      const made =
        target.kind === 'webhook' && secret.signing === undefined
          ? `whsec_${deps.random.bytes(32).toString('base64')}`
          : undefined;
      const kept = made === undefined ? secret : { signing: made };
      const exporter = { id, org, name, target, wants: { types, outcome }, personal, createdAt: now, changedAt: now };
      const stored = isSecret(kept) ? sealed(call, id, kept) : undefined;
      if (!(await insertExporter(tx, exporter, stored))) throw conflict('name', 'is another exporter’s');
      await createConsumer(tx, { name: consumerName(id), from, now });
      await announce(call, id);
      return {
        body: showBefore(exporter),
        event: changeOf(call, exporter, 'created'),
        ...(made !== undefined && { secret: made }),
      };
    },
    finish: async (call, body) => ({ ...body, ...(await show(call.deps, await found(call, body.id))) }),
  }),
  read({
    id: 'getExporter',
    path: '/exporters/{id}',
    summary: 'Show an exporter, and how far it is',
    scopes: ['exports:read'],
    params: byId('exporter'),
    response: shown,
    handler: async (call, { params }) => show(call.deps, await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateExporter',
    path: '/exporters/{id}',
    summary: 'Change where and what an exporter sends',
    description:
      'It goes on where it stands. A `target` that is given replaces the one that is there; what is secret stays unless it is given, and has to be given where the target is another host.',
    scopes: ['exports:write'],
    params: byId('exporter'),
    body: record({
      target: targetSchema.optional(),
      types: writable.types.unwrap().nullable().optional(),
      outcome: writable.outcome.unwrap().nullable().optional(),
      personal: flag.optional(),
    }),
    example: { personal: false },
    response: shown,
    async prepare(call, { params }) {
      if (call.ifMatch !== undefined) checkMatch(call, await show(call.deps, await found(call, params.id)));
    },
    async handler(call, { params, body }) {
      const { tx, deps, now } = call;
      const before = await found(call, params.id);
      readsAll(call, before.org);
      const { target, secret } = body.target ? checkedTarget(deps, body.target) : { target: before.target, secret: {} };
      if (target.kind !== before.target.kind)
        throw conflict('target.kind', 'can not be changed: make another exporter');
      if (
        destinationOf(target) !== destinationOf(before.target) &&
        !isSecret(secret) &&
        (await hasSecret(call, before))
      )
        throw invalid('target', 'goes elsewhere: give what is secret again, or nobody there should have it');
      const kept = <Value>(given: Value | null | undefined, known: Value | undefined) =>
        given === null ? undefined : (given ?? known);
      const { types, outcome } = before.wants;
      const after: Exporter = {
        ...before,
        target,
        wants: { types: kept(body.types, types), outcome: kept(body.outcome, outcome) },
        personal: body.personal ?? before.personal,
        changedAt: Math.max(now, before.changedAt + 1),
      };
      await updateExporter(tx, after, isSecret(secret) ? sealed(call, after.id, secret) : undefined);
      await announce(call, after.id);
      return { body: showBefore(after), event: changeOf(call, after, 'updated') };
    },
    finish: async (call, body) => show(call.deps, await found(call, body.id)),
  }),
  write('POST', {
    id: 'removeExporter',
    path: '/exporters/{id}/remove',
    summary: 'Export there no more',
    description: 'What was delivered stays there. Dead letters of it are forgotten; the log keeps the events.',
    scopes: ['exports:write'],
    params: byId('exporter'),
    async handler(call, { params }) {
      const exporter = await found(call, params.id);
      readsAll(call, exporter.org);
      await deleteExporter(call.tx, exporter.id);
      await removeConsumer(call.tx, consumerName(exporter.id));
      await announce(call, exporter.id);
      return { body: undefined, event: changeOf(call, exporter, 'removed') };
    },
  }),
  ask({
    id: 'testExporter',
    path: '/exporters/{id}/test',
    summary: 'Deliver the newest event now, once more',
    description: 'Whether it works, before anything depends on it. The event arrives with the id that it has.',
    scopes: ['exports:write'],
    params: byId('exporter'),
    body: record({}).optional(),
    example: {},
    response: z.strictObject({ delivered: idOf('event').optional(), fault: z.string().optional() }),
    async handler(call, { params }) {
      const { deps } = call;
      const exporter = await found(call, params.id);
      readsAll(call, exporter.org);
      const event = await newestEvent(call.q, { ...exporter.wants, org: exporter.org });
      if (!event) return { fault: 'there is no event yet that it would send' };
      const cut = new AbortController();
      const cancel = deps.clock.after(testTimeoutMs, () => cut.abort(new DeliveryError('it took too long')));
      try {
        await deliver(deps, exporter, [event], cut.signal);
        return { delivered: event.id };
      } catch (error) {
        if (error instanceof DeliveryError || error instanceof Refused) return { fault: error.message };
        throw error;
      } finally {
        cancel();
      }
    },
  }),
  read({
    id: 'listDeadLetters',
    path: '/exporters/{id}/dead-letters',
    summary: 'List the events that an exporter’s target refused for good',
    scopes: ['exports:read'],
    params: byId('exporter'),
    response: z.strictObject({
      items: z.array(z.strictObject({ event: idOf('event'), reason: z.string(), at: shownTime })),
    }),
    async handler(call, { params }) {
      const { id } = await found(call, params.id);
      const letters = await listDeadLetters(call.q, consumerName(id), lettersShown);
      return { items: letters.map(({ event, reason, at }) => ({ event, reason, at: rfc3339(at) })) };
    },
  }),
  write('POST', {
    id: 'retryDeadLetters',
    path: '/exporters/{id}/dead-letters/retry',
    summary: 'Deliver dead letters once more',
    description: 'Each is tried once, within some seconds; what is refused again stays one.',
    scopes: ['exports:write'],
    params: byId('exporter'),
    async handler(call, { params }) {
      const exporter = await found(call, params.id);
      readsAll(call, exporter.org);
      await retryDeadLetters(call.tx, consumerName(exporter.id));
      return { body: undefined, event: changeOf(call, exporter, 'dead letters retried') };
    },
  }),
] as const;

const testTimeoutMs = 20_000;
/** Of dead letters: the oldest. */
const lettersShown = 500;
