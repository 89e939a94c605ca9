/** What every organization begins with: roles do what they say, and what an agent says of itself is believed for little. */

import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import type { Random } from '../lib/random.ts';
import type { Tx } from '../store/database.ts';
import { insertPolicy, insertVersion } from './store.ts';

/** Who wrote what came with the program. */
export const starterAuthor = 'bailiwick';

/** The documents by their names. An organization may change or remove them; it gets no others by itself. */
export const starterPolicies: readonly { name: string; text: string }[] = [
  {
    name: 'starter',
    text: `// What every organization begins with. It is yours: change it, or remove it and write your own.
// Nothing is given here that no role of the agent gives: roles are looked at first, whatever stands here.

@id("roles-do-what-they-say")
permit (
  principal is Agent,
  action,
  resource
)
unless { resource is Object }; // what no API of yours has: roles say nothing about it

// An agent's own words about its task come from a model, or from whoever wrote its prompt.
@id("declared-tasks-count-for-little")
@reason("What an agent says of its own task is believed for nothing above low sensitivity: have an orchestrator open a task.")
@public
@step_up("task")
forbid (
  principal,
  action,
  resource
)
when {
  context has task && context.task.provenance == "declared" && resource.sensitivity != "low"
};

// What other providers tell (security signals) does only what stands here. Everything else is written down, and nothing more.
@id("revoked-elsewhere-ends-tokens")
@reason("Another provider has ended its session.")
permit (
  principal is Source,
  action == Action::"signal:apply",
  resource
)
when { context.event == "session-revoked" && context.effect == "revoke" };

@id("a-credential-taken-away-elsewhere-suspends")
@reason("Another provider has revoked or deleted a credential of it.")
permit (
  principal is Source,
  action == Action::"signal:apply",
  resource
)
when {
  context.event == "credential-change" &&
  context has change_type &&
  ["revoke", "delete"].contains(context.change_type) &&
  context.effect == "suspend"
};

@id("high-risk-suspends")
@reason("Another provider says that the risk is high.")
permit (
  principal is Source,
  action == Action::"signal:apply",
  resource
)
when {
  context.event == "risk-level-change" &&
  context has current_level &&
  context.current_level == "HIGH" &&
  context.effect == "suspend"
};
`,
  },
];

/** Writes the starter set for an organization that has none. The caller says to the registry that it has changed. */
export async function writeStarterPolicies(tx: Tx, deps: { clock: Clock; random: Random }, org: string): Promise<void> {
  const at = deps.clock.now();
  for (const { name, text } of starterPolicies) {
    const id = newId(deps, 'policy');
    if (!(await insertPolicy(tx, { id, org, name, createdAt: at }))) continue;
    const reason = 'what every organization begins with';
    await insertVersion(tx, { org, policy: id, text, mode: 'enforce', author: starterAuthor, reason, at });
  }
}
