import type { Mandate } from './mandate.ts';

/** Who would act on a mandate: an agent, by one of its running copies if it proved to be one. */
export interface Holder {
  org: string;
  agent: string;
  instance: { id: string; ancestors: readonly string[] } | undefined;
}

/** Whether a mandate is for this one: for the agent that it names, and if it names a running copy, for that one and those below it. */
export function isHeldBy(mandate: Mandate, { org, agent, instance }: Holder): boolean {
  if (mandate.org !== org || mandate.agent !== agent) return false;
  return mandate.instance === undefined || copiesOf(instance).includes(mandate.instance);
}

/** Ids of the running copies whose mandates this one may use: its own and those above it. */
export const copiesOf = (instance: Holder['instance']): string[] =>
  instance === undefined ? [] : [instance.id, ...instance.ancestors];
