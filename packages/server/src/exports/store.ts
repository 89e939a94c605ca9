import type { Queries, Tx } from '../store/database.ts';
import type { ExporterRow } from '../store/log-tables.ts';
import type { Exporter } from './exporter.ts';

/** What of an exporter stands in one column. */
type Settings = Pick<Exporter, 'target' | 'wants' | 'personal'>;

function exporterOf({ id, org, name, target, created_at, changed_at }: ExporterRow): Exporter {
  const settings = JSON.parse(target) as Settings;
  return { id, org: org ?? undefined, name, ...settings, createdAt: created_at, changedAt: changed_at };
}

const settingsOf = ({ target, wants, personal }: Exporter): string =>
  JSON.stringify({ target, wants, personal } satisfies Settings);

/** @param secret sealed. False: the name is taken */
export async function insertExporter(tx: Tx, exporter: Exporter, secret: string | undefined): Promise<boolean> {
  const { id, org, name, createdAt, changedAt } = exporter;
  const added = await tx.run(
    'insert into exporters (id, org, name, target, secret, created_at, changed_at) values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing',
    [id, org ?? null, name, settingsOf(exporter), secret ?? null, createdAt, changedAt],
  );
  return added > 0;
}

/** @param secret sealed; undefined keeps the one that is there */
export async function updateExporter(tx: Tx, exporter: Exporter, secret: string | undefined): Promise<void> {
  await tx.run('update exporters set target = ?, secret = coalesce(?, secret), changed_at = ? where id = ?', [
    settingsOf(exporter),
    secret ?? null,
    exporter.changedAt,
    exporter.id,
  ]);
}

export async function deleteExporter(tx: Tx, id: string): Promise<void> {
  await tx.run('delete from exporters where id = ?', [id]);
}

export async function findExporter(q: Queries, id: string): Promise<Exporter | undefined> {
  const row = await q.get<ExporterRow>('select * from exporters where id = ?', [id]);
  return row && exporterOf(row);
}

/** Sealed. */
export async function findExporterSecret(q: Queries, id: string): Promise<string | undefined> {
  const row = await q.get<{ secret: string | null }>('select secret from exporters where id = ?', [id]);
  return row?.secret ?? undefined;
}

/** All there are, by id. In constant text: asked at each start, which has no time to load what builds queries. */
export async function everyExporter(q: Queries): Promise<Exporter[]> {
  return (await q.all<ExporterRow>('select * from exporters order by id')).map(exporterOf);
}

/** Of an organization; with `everywhere` also those of all organizations. By id. */
export async function selectExporters(
  q: Queries,
  filter: { org: string; everywhere: boolean; after?: string | undefined; limit: number },
): Promise<Exporter[]> {
  const { org, everywhere, after, limit } = filter;
  let query = q.kysely
    .selectFrom('exporters')
    .selectAll()
    .where((or) => or.or([or('org', '=', org), ...(everywhere ? [or('org', 'is', null)] : [])]))
    .orderBy('id');
  if (after !== undefined) query = query.where('id', '>', after);
  return (await query.limit(limit).execute()).map(exporterOf);
}
