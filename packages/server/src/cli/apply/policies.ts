/** The policies of a fleet file: read and checked, compared with what is saved, and saved. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { textHash } from '../../policy/policy.ts';
import type { Api } from '../api.ts';
import { mistakeLine, mistakesOf } from '../nouns/policy/documents.ts';
import type { ListedPolicy, Policy } from '../registry.ts';
import type { Say } from '../yaml-file.ts';
import type { Change } from './changes.ts';
import type { Fleet } from './fleet.ts';

export interface WantedPolicy {
  text: string;
  /** Undefined: as it is, `enforce` for a new one. */
  mode: 'enforce' | 'observe' | undefined;
}

/** As it is on the server, with its text where the file says another. */
export type PresentPolicy = ListedPolicy & { text?: string };

/** The policies that the file names, and a line for each that can't be used. */
export async function wantedPolicies(fleet: Fleet, folder: string, say: Say) {
  const wanted = new Map<string, WantedPolicy>();
  const mistakes: string[] = [];
  for (const [name, { file, text, mode }] of Object.entries(fleet.policies)) {
    try {
      const read = text ?? readFileSync(path.resolve(folder, file ?? ''), 'utf8');
      wanted.set(name, { text: read, mode });
      for (const mistake of await mistakesOf([{ file: file ?? 'its text', name, text: read }])) {
        mistakes.push(say(['policies', name], `can't be read: ${mistakeLine(mistake)}`));
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      mistakes.push(say(['policies', name], `names ${file}, which can't be read (${code}).`));
    }
  }
  return { wanted, mistakes };
}

/** What is there of policies; nothing where the file speaks of none. Those that were removed are among it. */
export async function presentPolicies(api: Api, wanted: ReadonlyMap<string, WantedPolicy>): Promise<PresentPolicy[]> {
  if (wanted.size === 0) return [];
  const present: PresentPolicy[] = await api.list<ListedPolicy>('/policies');
  present.push(...(await api.list<ListedPolicy>('/policies', { mode: 'removed' })));
  for (const one of present) {
    const other = wanted.get(one.name);
    if (other === undefined || one.mode === 'removed' || one.text_hash === textHash(other.text)) continue;
    one.text = (await api.get<Policy>(`/policies/${one.id}`)).text;
  }
  return present;
}

/** What has to change, line by line of each text. */
export function policyChanges(present: readonly PresentPolicy[], wanted: ReadonlyMap<string, WantedPolicy>): Change[] {
  return [...wanted].flatMap(([name, { text, mode }]): Change[] => {
    const known = present.find((one) => one.name === name);
    if (known === undefined || known.mode === 'removed') {
      const fields = [
        { field: 'mode', before: undefined, after: mode ?? 'enforce' },
        { field: 'text', before: undefined, after: linesOf(text) },
      ];
      return [{ action: 'create', noun: 'policy', name, ...(known && { id: known.id }), fields }];
    }
    const fields = [
      ...(mode === undefined || mode === known.mode ? [] : [{ field: 'mode', before: known.mode, after: mode }]),
      ...(known.text === undefined ? [] : [{ field: 'text', before: linesOf(known.text), after: linesOf(text) }]),
    ];
    return fields.length === 0 ? [] : [{ action: 'update', noun: 'policy', name, id: known.id, fields }];
  });
}

const linesOf = (text: string): string[] => text.trimEnd().split(/\r?\n/);

/** Those that the file doesn't name, where it names some. What came with the program stays until somebody writes it anew. */
export const policiesToEnd = (present: readonly PresentPolicy[], wanted: ReadonlyMap<string, WantedPolicy>) =>
  wanted.size === 0
    ? []
    : present.filter(({ name, mode, author }) => mode !== 'removed' && !wanted.has(name) && author !== 'bailiwick');

const reason = 'applied from a fleet file';

/** Makes one of these changes. */
export async function applyPolicy(
  api: Api,
  wanted: ReadonlyMap<string, WantedPolicy>,
  { name, id, action, fields }: Change,
): Promise<void> {
  const { text, mode } = wanted.get(name) ?? {};
  if (id === undefined) {
    await api.create('/policies', { name, text, mode: mode ?? 'enforce', reason });
    return;
  }
  const changed = (field: string) => action === 'create' || fields.some((one) => one.field === field);
  await api.patch(`/policies/${id}`, {
    ...(changed('text') && { text }),
    ...(changed('mode') && { mode: mode ?? 'enforce' }),
    reason,
  });
}
