/** What the log says of a mandate: in the open what it is about, and sealed with the person whom it is for what they saw and allowed. */
import { limitedBy } from '../lib/context-fields.ts';
import type { Mandate } from './mandate.ts';

export interface ToldMandate {
  /** Free of anything personal. */
  changed: Record<string, unknown>;
  /** What people wrote, and the person. */
  details: Record<string, unknown>;
  person: string;
}

/** All of it, as it was given. */
export function toldMandate(mandate: Mandate): ToldMandate {
  const { agent, instance, parent, name, given, person } = mandate;
  const { way, text, language } = given;
  const { changed, details } = toldPower(mandate);
  return {
    changed: { agent, ...(instance && { instance }), ...(parent && { parent }), way, ...changed },
    details: {
      ...(name !== undefined && { name }),
      ...details,
      ...(text !== undefined && { text }),
      ...(language !== undefined && { language }),
    },
    person,
  };
}

/** What it lets an agent do. */
export function toldPower({ resources, context, task, limits, passing, endsAt }: Mandate): Omit<ToldMandate, 'person'> {
  const details = resources.filter((each) => each.details.length > 0);
  const limited = Object.keys(limits).length > 0;
  const placed = limitedBy(context).length > 0;
  return {
    changed: {
      resources: resources.map(({ resource, scope }) => ({ resource, scope })),
      passing,
      ends_at: endsAt,
      ...(task && { task }),
      ...(limited && { limits: Object.keys(limits) }),
      ...(placed && { context: limitedBy(context) }),
    },
    details: {
      ...(details.length > 0 && {
        authorization_details: details.map(({ resource, details: bounds }) => ({ resource, bounds })),
      }),
      ...(limited && { limits }),
      ...(placed && { context }),
    },
  };
}
