/**
 * The vocabulary of the log: what each type of event carries. The reference (docs/reference/events.md) is made from it, and every event that any
 * test appends is held against it (`testing/vocabulary.ts`), so that it can't lie.
 */
import { z } from 'zod';
import { type EventType, eventTypes, type PersonalField } from './event.ts';
import { registryChanges } from './vocabulary-changes.ts';
import { everywhere, id, type Member, members } from './vocabulary-members.ts';
import { road } from './vocabulary-road.ts';
import type { Row } from './vocabulary-row.ts';

export interface TypeOfEvent {
  says: string;
  outcomes: readonly ('allowed' | 'refused')[];
  /** Members of the leaf beside those of every leaf, with their schemas; an optional one may be absent. */
  members: Readonly<Record<string, z.ZodType>>;
  decidedOn: z.ZodObject | undefined;
  personal: readonly PersonalField[];
}

const rows: Record<EventType, Row> = { ...road, ...registryChanges };

/** What an event of this type carries. */
export function typeOfEvent(type: EventType): TypeOfEvent {
  const { outcomes = ['allowed'], has, target, on, personal = [] } = rows[type];
  const named = [...new Set([...has, ...(has.includes('reason') ? [] : ['reason?' as const]), 'trace?' as const])];
  const shape = Object.fromEntries(
    named.map((each) => {
      const name = each.replace('?', '') as Member;
      const schema =
        name === 'target' && target
          ? id(...target).meta({ description: `What it was done to: ${target.join(', ')}.` })
          : members[name];
      return [name, each.endsWith('?') ? schema.optional().meta({ description: schema.description ?? '' }) : schema];
    }),
  );
  const decidedOn = on && z.strictObject(on);
  return { says: eventTypes[type], outcomes, members: shape, decidedOn, personal };
}

const schemas = new Map<EventType, z.ZodType>();

/** The schema of the leaf of an event of this type. */
export function leafSchema(type: EventType): z.ZodType {
  let schema = schemas.get(type);
  if (!schema) {
    const { outcomes, members: shape, decidedOn, personal } = typeOfEvent(type);
    const commitments = Object.fromEntries(
      personal.map((field) => [field, everywhere.commitments.valueType.optional()]),
    );
    schema = z.strictObject({
      ...everywhere,
      ...shape,
      commitments: z.strictObject(commitments),
      decided_on: (decidedOn ?? z.strictObject({})).optional(),
      outcome: z.enum(outcomes as ['allowed', 'refused']),
      type: z.literal(type),
    });
    schemas.set(type, schema);
  }
  return schema;
}

/** What is wrong with a leaf, in words; nothing if it is as the vocabulary says. */
export function wrongWith(leaf: Readonly<Record<string, unknown>>): string[] {
  const type = leaf.type as EventType;
  if (!(type in eventTypes)) return [`there is no type ${String(type)}`];
  const result = leafSchema(type).safeParse(leaf);
  if (result.success) return [];
  return result.error.issues.map(({ path, message }) => `${type}: ${path.join('.') || 'leaf'}: ${message}`);
}
