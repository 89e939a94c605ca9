import type { Queries, Tx } from '../store/database.ts';
import type { PersonIdentityRow } from '../store/registry-tables.ts';

/** Id of the person who is found by this. */
export async function findIdentity(q: Queries, blind: string): Promise<string | undefined> {
  return (await q.get<{ person: string }>('select person from person_identities where blind = ?', [blind]))?.person;
}

/** Answers false if it is somebody's already. */
export async function insertIdentity(tx: Tx, { blind, person, sealed }: PersonIdentityRow): Promise<boolean> {
  const row = await tx.get(
    'insert into person_identities (blind, person, sealed) values (?, ?, ?) on conflict do nothing returning blind',
    [blind, person, sealed],
  );
  return row !== undefined;
}

/** All that is linked to a person. */
export async function deleteIdentities(tx: Tx, person: string): Promise<void> {
  await tx.run('delete from person_identities where person = ?', [person]);
}

/** What is linked to these people, each with the key of its person. */
export async function identityRows(
  q: Queries,
  people: readonly string[],
): Promise<(PersonIdentityRow & { key: string })[]> {
  if (people.length === 0) return [];
  const list = q.dialect === 'sqlite' ? 'select value from json_each(?)' : idText;
  return q.all(
    `select i.blind as blind, i.person as person, i.sealed as sealed, k.key as key
       from person_identities i join sealing_keys k on k.subject = i.person
      where i.person in (${list})`,
    [JSON.stringify(people)],
  );
}

const idText = 'select jsonb_array_elements_text(cast(? as jsonb))';
