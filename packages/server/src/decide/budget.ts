/** How many tokens an agent may still ask for: a bucket for each, on each node, that fills up steadily. */
export interface Budgets {
  buckets: Map<string, { left: number; at: number }>;
}

const bucketsKept = 100_000;

export const newBudgets = (): Budgets => ({ buckets: new Map() });

/**
 * Takes one from the agent's budget.
 * @param perMinute how many fit, and how many flow in within a minute
 * @param now milliseconds
 * @returns undefined if there was one, else after how many seconds there will be
 */
export function take(budgets: Budgets, agent: string, perMinute: number, now: number): number | undefined {
  const perMs = perMinute / 60_000;
  let bucket = budgets.buckets.get(agent);
  if (!bucket) {
    if (budgets.buckets.size >= bucketsKept) budgets.buckets.clear(); // forgetting is generous, never unfair
    bucket = { left: perMinute, at: now };
    budgets.buckets.set(agent, bucket);
  }
  bucket.left = Math.min(perMinute, bucket.left + Math.max(0, now - bucket.at) * perMs);
  bucket.at = now;
  if (bucket.left >= 1) {
    bucket.left -= 1;
    return undefined;
  }
  return Math.max(1, Math.ceil((1 - bucket.left) / perMs / 1000));
}
