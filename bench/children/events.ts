// Reading a long log on SQLite: rows and index are made as the server makes them, but in bulk; then pages, stories and appends through the server's own functions.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Audit, appendEvent, openAudit, type Sealing } from '../../packages/server/src/audit/audit.ts';
import type { AuditEvent } from '../../packages/server/src/audit/event.ts';
import { seal } from '../../packages/server/src/audit/leaf.ts';
import { openEncryption } from '../../packages/server/src/keys/encryption.ts';
import { systemClock } from '../../packages/server/src/lib/clock.ts';
import { silentLogger } from '../../packages/server/src/lib/log.ts';
import { systemRandom } from '../../packages/server/src/lib/random.ts';
import { caughtUp, termsOf } from '../../packages/server/src/log/indexer.ts';
import { type EventFilter, searchEvents } from '../../packages/server/src/log/search.ts';
import { storyOf, tellStory } from '../../packages/server/src/log/story.ts';
import type { Database } from '../../packages/server/src/store/database.ts';
import { migrate } from '../../packages/server/src/store/migrate.ts';
import { openSqlite } from '../../packages/server/src/store/sqlite.ts';
import { type EventFigures, ownCpu, serveCalls } from '../child.ts';
import {
  address,
  addressCount,
  agentCount,
  agentId,
  eventRows,
  idOf,
  orgs,
  ownerCount,
  ownerId,
  resource,
  resourceCount,
} from '../event-rows.ts';
import { newEntries } from '../index-entries.ts';
import { numbers } from '../policies.ts';

const clock = systemClock;
const random = systemRandom();
const log = silentLogger;

interface Deps {
  db: Database;
  audit: Audit;
  clock: typeof clock;
  random: typeof random;
  log: typeof log;
}

async function events({ rows, pages }: { rows: number; pages: number }): Promise<EventFigures> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-bench-events-'));
  try {
    const file = path.join(folder, 'bailiwick.db');
    let deps = await opened(file);
    const keys = await sealingKeys(deps);
    await deps.db.close();
    const begun = performance.now();
    fill(file, deps.audit.indexKey, keys, rows);
    const fillSeconds = (performance.now() - begun) / 1000;
    deps = await opened(file);
    const megabytes = statSync(file).size / 1e6;
    say(`${rows} rows in ${fillSeconds.toFixed(0)} s, ${megabytes.toFixed(0)} MB; reading`);
    assert.equal(await caughtUp(deps), rows);
    const { page, found } = await readPages(deps, rows, pages);
    const trace = await readStories(deps, Math.max(20, Math.floor(pages / 5)));
    const appendUs = await append(deps, keys, Math.min(20_000, rows));
    await deps.db.close();
    return { rows, page, trace, appendUs, found, megabytes, fillSeconds };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const say = (line: string) => process.stderr.write(`${line}\n`);

async function opened(file: string): Promise<Deps> {
  const db = openSqlite(file);
  await migrate({ db, clock });
  const encryption = await openEncryption({ key_encryption: {} } as never, random);
  return { db, clock, random, log, audit: await openAudit({ db, clock, random, encryption }) };
}

async function sealingKeys({ db }: Deps): Promise<Sealing[]> {
  const keys = Array.from({ length: ownerCount }, (_, n) => ({ subject: ownerId(n), key: random.bytes(32) }));
  await db.settle(async (tx) => {
    for (const { subject, key } of keys) {
      await tx.run('insert into sealing_keys (subject, key, created_at) values (?, ?, ?)', [
        subject,
        key.toString('base64url'),
        0,
      ]);
    }
  });
  return keys;
}

/** Rows in bulk; their entries of the index are gathered and written in the order of the table, so that its pages are written once, and full. */
function fill(file: string, indexKey: Buffer, keys: readonly Sealing[], rows: number): void {
  const db = new DatabaseSync(file);
  for (const pragma of [
    'journal_mode = delete', // thirteen gigabytes of new pages need no journal, and would all go through a write-ahead log
    'synchronous = off',
    'cache_size = -1000000',
    'locking_mode = exclusive',
    'temp_store = file',
  ]) {
    db.exec(`pragma ${pragma}`);
  }
  const insertPersonal = db.prepare('insert into personal (id, subject, sealed) values (?, ?, ?)');
  const contents = new Map<number, { id: string; personal: Record<string, string> }>();
  const contentOf = (owner: number, from: number) => {
    const place = owner * addressCount + from;
    let known = contents.get(place);
    if (!known) {
      const { subject, key } = keys[owner] as Sealing;
      known = { id: `bench-${owner} ${from}`, personal: { owner: subject, address: address(from) } };
      insertPersonal.run(known.id, subject, seal({ random }, key, known.id, known.personal));
      contents.set(place, known);
    }
    return known;
  };
  const insert = db.prepare(
    'insert into events (id, at, org, type, outcome, agent, target, resource, jti, leaf, personal) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const open = newEntries();
  const closed = newEntries();
  const subjects = new Map<number, number>();
  const rowAt = eventRows(rows, clock.now());
  db.exec('begin');
  for (let n = 1; n <= rows; n += 1) {
    const row = rowAt(n);
    const { leaf, owner } = row;
    const content = contentOf(owner, row.address);
    const text = (name: string) => (leaf[name] as string | undefined) ?? null;
    insert.run(
      row.id,
      row.at,
      text('org'),
      text('type'),
      text('outcome'),
      text('agent'),
      text('target'),
      text('resource'),
      text('jti'),
      JSON.stringify(leaf),
      content.id,
    );
    const terms = termsOf(indexKey, { leaf, personal: content.personal, sealedUnder: ownerId(owner) });
    for (const term of terms.open) open.add(term, n);
    for (const [term, subject] of terms.personal) {
      closed.add(term, n);
      subjects.set(term, subject);
    }
    if (n % 500_000 === 0) say(`${n} of ${rows} rows`);
  }
  write(db, 'insert into event_terms (term, arrival) values', open, (term, arrival) => [term, arrival]);
  say('what stands in the open is in the index');
  write(db, 'insert into personal_terms (term, arrival, subject) values', closed, (term, arrival) => [
    term,
    arrival,
    subjects.get(term) as number,
  ]);
  db.prepare('update log_index set position = ?').run(rows);
  db.exec('commit');
  db.close();
}

function write(
  db: DatabaseSync,
  head: string,
  entries: ReturnType<typeof newEntries>,
  valuesOf: (term: number, arrival: number) => number[],
): void {
  const atOnce = 500;
  const width = valuesOf(0, 0).length;
  const textOf = (count: number) =>
    `${head} ${Array(count)
      .fill(`(${Array(width).fill('?').join(',')})`)
      .join(',')}`;
  const many = db.prepare(textOf(atOnce));
  let values: number[] = [];
  for (const [term, arrival] of entries.sorted()) {
    values.push(...valuesOf(term, arrival));
    if (values.length < atOnce * width) continue;
    many.run(...values);
    values = [];
  }
  if (values.length > 0) db.prepare(textOf(values.length / width)).run(...values);
}

/** What people ask of a log: each by itself and together, for somebody of the organization or for an owner, from either end, and the pages behind. */
function questions(rows: number): () => EventFilter {
  const next = numbers(7);
  const pick = (count: number) => Math.floor(next() * count);
  const end = clock.now();
  const day = 86_400_000;
  const kinds: (() => Partial<EventFilter>)[] = [
    () => ({}),
    () => ({ types: ['token.refused'] }),
    () => ({ types: ['token.issued', 'token.refused', 'task.opened'] }),
    () => ({ outcome: 'refused' }),
    () => ({ agent: agentId(pick(agentCount)) }),
    () => ({ about: agentId(pick(agentCount)) }),
    () => ({ agent: agentId(pick(20)), outcome: 'refused' }),
    () => ({ agent: agentId(pick(agentCount)), resource: resource(pick(resourceCount)) }),
    () => ({ agent: agentId(pick(20)), types: ['token.refused'], resource: resource(pick(resourceCount)) }),
    () => ({ resource: resource(pick(resourceCount)), operation: `operation-${pick(12)}`, outcome: 'refused' }),
    () => ({ task: idOf('tsk', pick(Math.max(1, Math.floor(rows / 40)))) }),
    () => ({ credential: idOf('crd', pick(agentCount)), types: ['token.issued'] }),
    () => ({ workflow: `workflow-${pick(50)}` }),
    () => ({ policy: 'starter/roles-do-what-they-say', agent: agentId(pick(agentCount)) }),
    () => ({ owner: ownerId(pick(ownerCount)) }),
    () => ({ owner: ownerId(pick(ownerCount)), outcome: 'refused' }),
    () => ({ ownedBy: ownerId(pick(ownerCount)) }),
    () => ({ ownedBy: ownerId(pick(ownerCount)), outcome: 'refused' }),
    () => ({ ownedBy: ownerId(pick(ownerCount)), agent: agentId(pick(agentCount)) }),
    () => ({ address: address(pick(addressCount)) }),
    () => ({ text: 'another scope' }),
    () => ({ text: 'operation needs refused' }),
    () => ({ text: `reader ${pick(20)}`, agent: agentId(pick(agentCount)) }),
    () => ({ text: 'nothing like it' }),
    () => ({ since: end - day, outcome: 'refused' }),
    () => ({ since: end - 60 * day, until: end - 59 * day, agent: agentId(pick(20)) }),
    () => ({ until: end - 80 * day, types: ['access.used'], outcome: 'refused' }),
  ];
  return () => ({
    org: orgs[pick(10) < 7 ? 0 : pick(3)] as string,
    ...(kinds[pick(kinds.length)] as () => Partial<EventFilter>)(),
  });
}

async function readPages(deps: Deps, rows: number, pages: number): Promise<{ page: number[]; found: number }> {
  const ask = questions(rows);
  const times: number[] = [];
  let found = 0;
  while (times.length < pages) {
    const filter = ask();
    const order = times.length % 4 === 3 ? 'oldest' : 'newest';
    let after: number | undefined;
    for (let page = 0; page < 3; page += 1) {
      const begun = performance.now();
      const answer = await searchEvents(deps, filter, { order, limit: 50, after });
      JSON.stringify(answer.events);
      times.push(performance.now() - begun);
      found += answer.events.length;
      after = answer.next;
      if (after === undefined) break;
    }
  }
  return { page: times, found };
}

async function readStories(deps: Deps, count: number): Promise<number[]> {
  const next = numbers(11);
  const times: number[] = [];
  const last = (await deps.db.get<{ n: number }>('select max(arrival) as n from events'))?.n ?? 0;
  while (times.length < count) {
    const row = await deps.db.get<{ leaf: string }>('select leaf from events where arrival >= ? limit 1', [
      1 + Math.floor(next() * last),
    ]);
    const leaf = JSON.parse(row?.leaf ?? '{}') as Record<string, string> & { decided_on: Record<string, string> };
    const of = [leaf.jti, leaf.decided_on.task, leaf.trace?.split('-')[1], next() < 0.2 ? leaf.agent : undefined][
      times.length % 4
    ];
    if (of === undefined) {
      if (times.length % 4 < 3 && leaf.type === 'access.used') throw new Error('a use without what it belongs to');
      const begun = performance.now();
      await tellStory(deps, { org: leaf.org as string }, storyOf(leaf.agent as string));
      times.push(performance.now() - begun);
      continue;
    }
    const begun = performance.now();
    const { steps: told } = await tellStory(deps, { org: leaf.org as string }, storyOf(of));
    times.push(performance.now() - begun);
    assert.ok(told.length > 0, `there is no story of ${of}`);
  }
  return times;
}

/** CPU time of this process per event: the transaction, a hundred of them at once, and the index behind it. */
async function append(deps: Deps, keys: readonly Sealing[], count: number): Promise<number> {
  const rowAt = eventRows(count, clock.now() + 60_000);
  const made: { event: AuditEvent; sealing: Sealing }[] = [];
  for (let n = 1; n <= count; n += 1) {
    const { leaf, owner, address: from } = rowAt(n);
    const { at: _at, commitments: _c, id: _id, v: _v, ...same } = leaf;
    made.push({
      event: { ...(same as unknown as AuditEvent), personal: { owner: ownerId(owner), address: address(from) } },
      sealing: keys[owner] as Sealing,
    });
  }
  const before = ownCpu();
  for (let from = 0; from < made.length; from += 100) {
    await Promise.all(
      made
        .slice(from, from + 100)
        .map(({ event, sealing }) => deps.db.settle((tx) => appendEvent(tx, deps, sealing, event))),
    );
    if (from % 2_000 === 0) await caughtUp(deps);
  }
  await caughtUp(deps);
  return (ownCpu() - before) / count;
}

serveCalls({ events });
