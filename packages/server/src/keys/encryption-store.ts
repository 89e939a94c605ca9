import type { Queries, Tx } from '../store/database.ts';

/** Where private keys and secrets lie. */
export type AtRestTable =
  | 'signing_keys'
  | 'authorities'
  | 'secrets'
  | 'exporters'
  | 'signal_secrets'
  | 'drill_canaries';

const selects: Readonly<Record<AtRestTable, string>> = {
  signing_keys: 'select kid as id, private_jwk as value from signing_keys',
  authorities: 'select id, private_key as value from authorities',
  secrets: 'select name as id, value from secrets',
  exporters: 'select id, secret as value from exporters where secret is not null',
  signal_secrets: 'select id, value from signal_secrets',
  drill_canaries: 'select org as id, key as value from drill_canaries',
};

const updates: Readonly<Record<AtRestTable, string>> = {
  signing_keys: 'update signing_keys set private_jwk = ? where kid = ?',
  authorities: 'update authorities set private_key = ? where id = ?',
  secrets: 'update secrets set value = ? where name = ?',
  exporters: 'update exporters set secret = ? where id = ?',
  signal_secrets: 'update signal_secrets set value = ? where id = ?',
  drill_canaries: 'update drill_canaries set key = ? where org = ?',
};

export async function selectValues(q: Queries, table: AtRestTable): Promise<{ id: string; value: string }[]> {
  return q.all<{ id: string; value: string }>(selects[table]);
}

export async function updateValue(tx: Tx, table: AtRestTable, id: string, value: string): Promise<void> {
  await tx.run(updates[table], [value, id]);
}
