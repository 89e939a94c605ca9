import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Begun,
  intermediateLifetimeMs,
  longestLeafMs,
  publishMs,
  rootLifetimeMs,
  standings,
  whatIsDue,
} from './ca-schedule.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** The longest hint that can be configured, and what a cache on the way adds. */
const heldMs = day + 5 * minute;

/** The authority and its verifiers in numbers alone: who signed what, and which roots somebody may know. */
interface Model {
  now: number;
  authorities: Begun[];
  made: number;
  leaves: { root: string; notAfter: number }[];
  bundles: { roots: string[]; until: number }[];
}

function insertRoot(model: Model, publishedFor: number): void {
  const { now } = model;
  const id = `root ${++model.made}`;
  const base = { createdAt: now, signsFrom: now + publishedFor };
  model.authorities.push({ ...base, id, kind: 'root', root: undefined, expiresAt: now + rootLifetimeMs });
  insertIntermediate(model, id, now + publishedFor);
}

function insertIntermediate(model: Model, root: string, signsFrom: number): void {
  const { now } = model;
  const ends = model.authorities.find(({ id }) => id === root)?.expiresAt as number;
  const expiresAt = Math.min(signsFrom + intermediateLifetimeMs, ends);
  model.authorities.push({
    id: `between ${++model.made}`,
    kind: 'intermediate',
    root,
    createdAt: now,
    signsFrom,
    expiresAt,
  });
}

/** The job, as `ca.ts` does it. */
function keep(model: Model): void {
  const due = whatIsDue(model.authorities, [{ kid: 'k', signsFrom: model.now }], model.now);
  model.authorities = model.authorities.filter(({ id }) => !due.gone.includes(id));
  if (due.root) insertRoot(model, due.root.publishMs);
  if (due.intermediate) insertIntermediate(model, due.intermediate.root, model.now);
}

function rotate(model: Model, what: 'root' | 'intermediate'): void {
  const all = standings(model.authorities, model.now);
  if (what === 'root' && !all.some(({ kind, state }) => kind === 'root' && state === 'published')) {
    insertRoot(model, publishMs);
  }
  const signing = all.find(({ kind, state }) => kind === 'intermediate' && state === 'signing');
  if (what === 'intermediate' && signing?.root !== undefined && signing.signsFrom < model.now) {
    insertIntermediate(model, signing.root, model.now);
  }
}

/** A leaf as long as it may be, and what whoever asks now gets to know. */
function issue(model: Model): void {
  const { now } = model;
  const signing = standings(model.authorities, now).find(
    ({ kind, state }) => kind === 'intermediate' && state === 'signing',
  );
  assert.ok(signing?.root !== undefined, 'somebody signs, always');
  const root = model.authorities.find(({ id }) => id === signing.root);
  const notAfter = now + longestLeafMs;
  assert.ok(
    signing.expiresAt >= notAfter && root !== undefined && root.expiresAt >= notAfter,
    'and outlives what it signs',
  );
  model.leaves.push({ root: signing.root, notAfter });
}

function look(model: Model): void {
  const { now } = model;
  const roots = model.authorities.filter(({ kind }) => kind === 'root').map(({ id }) => id);
  model.bundles.push({ roots, until: now });
  model.leaves = model.leaves.filter(({ notAfter }) => notAfter >= now);
  model.bundles = model.bundles.filter(({ until }) => until >= now - heldMs);
  for (const { root } of model.leaves) {
    for (const bundle of model.bundles) assert.ok(bundle.roots.includes(root), `${root} is missing`);
  }
}

test('property: whoever holds a bundle as long as any hint allows knows the root of everything that has not ended', () => {
  const edge = fc.constantFrom(hour, 20 * hour, 22 * hour, day, 25 * hour, publishMs, 28 * hour);
  const step = fc.oneof(
    { weight: 2, arbitrary: fc.record({ rotate: fc.constantFrom('root' as const, 'intermediate' as const) }) },
    // it runs: the job comes by again and again, and somebody may always have asked just before
    {
      weight: 4,
      arbitrary: fc.tuple(edge, fc.integer({ min: 1 - hour, max: hour })).map(([at, off]) => ({ runs: at + off })),
    },
    // it is away for as long as it takes, and keeps itself up before it answers again
    {
      weight: 1,
      arbitrary: fc.record({
        sleeps: fc.oneof(fc.integer({ min: 1, max: 100 * day }), fc.integer({ min: 1, max: 10 * 365 * day })),
      }),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
      const model: Model = { now: 0, authorities: [], made: 0, leaves: [], bundles: [] };
      keep(model);
      for (const each of steps) {
        issue(model);
        look(model);
        if ('rotate' in each) rotate(model, each.rotate);
        else if ('sleeps' in each) model.now += each.sleeps;
        else {
          for (let left = each.runs; left > 0; left -= hour) {
            model.now += Math.min(left, hour);
            look(model);
            keep(model);
            issue(model);
            look(model);
          }
        }
        keep(model);
      }
    }),
    // the last hours of a root are seldom found by chance
    { numRuns: 400, examples: [[[{ sleeps: 218_027_347_187 }, { sleeps: 97_152_652_814 }, { runs: hour }]]] },
  );
});

test('a root signs as long as one of its intermediates does, and goes when the last of them has gone', () => {
  const authorities: Begun[] = [
    { id: 'r1', kind: 'root', root: undefined, createdAt: 0, signsFrom: 0, expiresAt: rootLifetimeMs },
    { id: 'i1', kind: 'intermediate', root: 'r1', createdAt: 0, signsFrom: 0, expiresAt: intermediateLifetimeMs },
    { id: 'i2', kind: 'intermediate', root: 'r1', createdAt: day, signsFrom: day, expiresAt: intermediateLifetimeMs },
    { id: 'r2', kind: 'root', root: undefined, createdAt: day, signsFrom: 4 * day, expiresAt: rootLifetimeMs },
    {
      id: 'i3',
      kind: 'intermediate',
      root: 'r2',
      createdAt: day,
      signsFrom: 4 * day,
      expiresAt: intermediateLifetimeMs,
    },
  ];
  const at = (now: number) => standings(authorities, now).map(({ id, state }) => `${id} ${state}`);
  const long = 4 * day + longestLeafMs + hour;
  assert.deepEqual(at(day), ['r1 signing', 'i1 retiring', 'i2 signing', 'r2 published', 'i3 published']);
  assert.deepEqual(at(4 * day), ['r1 retiring', 'i1 gone', 'i2 retiring', 'r2 signing', 'i3 signing']);
  assert.deepEqual(at(long - 1), ['r1 retiring', 'i1 gone', 'i2 retiring', 'r2 signing', 'i3 signing']);
  assert.deepEqual(at(long), ['r1 gone', 'i1 gone', 'i2 gone', 'r2 signing', 'i3 signing']);
  const ends = standings(authorities, day).map(({ signsUntil }) => signsUntil);
  assert.deepEqual(ends, [4 * day, day, 4 * day, undefined, undefined]);
});
