/** A plan as one reads it: `+` is made, `~` is changed, `-` is ended. */
import { printable, type Style } from '../output.ts';
import type { Change, FieldChange } from './changes.ts';

type Paint = (style: Style, text: string) => string;

const marks = { create: '+', update: '~', end: '-' } as const;
const styles = { create: 'green', update: 'yellow', end: 'red' } as const satisfies Record<Change['action'], Style>;

/** The changes, one block each, and a line that counts them. */
export function showPlan(changes: readonly Change[], paint: Paint): string {
  if (changes.length === 0) return 'Nothing to change: everything is as the file says.';
  const count = (action: Change['action']) => changes.filter((change) => change.action === action).length;
  const total = `${count('create')} to make, ${count('update')} to change, ${count('end')} to end.`;
  return [...changes.map((change) => showChange(change, paint)), '', total].join('\n');
}

/** `agent desk`, `key Zk3… of agent desk`. */
export function titleOf({ noun, name, agent }: Change): string {
  const what = noun === 'grant' ? 'role' : noun.replace('_', ' ');
  return `${what} ${printable(name)}${agent === undefined ? '' : ` ${noun === 'grant' ? 'for' : 'of'} agent ${printable(agent)}`}`;
}

function showChange(change: Change, paint: Paint): string {
  const title = paint(styles[change.action], `${marks[change.action]} ${titleOf(change)}`);
  return [title, ...change.fields.flatMap((field) => showField(change, field, paint))].join('\n');
}

function showField(change: Change, { field, before, after }: FieldChange, paint: Paint): string[] {
  if (isList(before) || isList(after)) return showItems(field, itemsOf(before), itemsOf(after), paint);
  const value =
    change.action === 'create' ? scalar(after) : `${paint('red', scalar(before))} → ${paint('green', scalar(after))}`;
  return [`    ${field}: ${value}`];
}

const isList = (value: unknown) => typeof value === 'object' && value !== null;

/** A list or a map as lines that can be compared. */
function itemsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.map(String);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).map(([key, inner]) => (inner === '' ? key : `${key}: ${inline(inner)}`));
}

function showItems(field: string, before: readonly string[], after: readonly string[], paint: Paint): string[] {
  const gone = before.filter((item) => !after.includes(item)).map((item) => paint('red', `      - ${printable(item)}`));
  const added = after
    .filter((item) => !before.includes(item))
    .map((item) => paint('green', `      + ${printable(item)}`));
  if (gone.length + added.length === 0) return [`    ${field}: none`];
  return [`    ${field}:`, ...gone, ...added];
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(inline).join(' ');
  if (typeof value !== 'object' || value === null) return String(value);
  const parts = Object.entries(value)
    .filter(([, inner]) => inner !== false && !(Array.isArray(inner) && inner.length === 0))
    .map(([key, inner]) => (inner === true ? key : `${key} ${inline(inner)}`));
  return parts.length === 0 ? 'yes' : parts.join(', ');
}

function scalar(value: unknown): string {
  if (value === undefined || value === null || value === '') return 'nothing';
  return printable(String(value));
}
