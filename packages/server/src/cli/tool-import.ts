/** From the tools that a server describes to the operations of its resource: what is new, what changed, what is gone. */
import type { Operation } from '@bailiwick/protocol';
import { z } from 'zod';
import type { DescribedTool } from './mcp-tools.ts';
import { sensitivities } from './operation.ts';

/** How a tool stands to what is registered under its name. */
export type ToolState = 'new' | 'changed' | 'unchecked' | 'same' | 'gone';

export interface ToolDifference {
  name: string;
  state: ToolState;
  /** As it is registered. */
  operation?: Operation;
  /** As the server describes it. */
  described?: DescribedTool;
}

/**
 * Compares by name, in the server's order, what is gone last. `unchecked` is registered without a definition: by hand, before anybody asked the server.
 * Operations that are methods of MCP (`method:prompts/get`) are no tools.
 */
export function toolDifferences(
  described: readonly DescribedTool[],
  operations: readonly Operation[],
): ToolDifference[] {
  const registered = new Map(operations.flatMap((one) => (isTool(one) ? [[one.tool as string, one]] : [])));
  const there = described.map((each): ToolDifference => {
    const { name } = each.tool;
    const operation = registered.get(name);
    registered.delete(name);
    if (operation === undefined) return { name, state: 'new', described: each };
    const { definition } = operation;
    const state = definition === undefined ? 'unchecked' : definition === each.definition ? 'same' : 'changed';
    return { name, state, operation, described: each };
  });
  const gone = [...registered].map(([name, operation]): ToolDifference => ({ name, state: 'gone', operation }));
  return [...there, ...gone];
}

const isTool = ({ tool }: Operation) => tool !== undefined && !tool.startsWith('method:');

const scope = z.string('must be a scope').regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be a scope: no spaces or quotes');

/** A file that says what each tool needs: `{close_ticket: {scope: [tickets:write], sensitivity: high}}`, or `skip: true`. */
export const toolMapSchema = z.record(
  z.string(),
  z.strictObject(
    {
      scope: z.union([scope.transform((one) => [one]), z.array(scope)], 'must be a scope or a list of them').optional(),
      sensitivity: z.enum(sensitivities, `must be ${sensitivities.join(', ')}`).optional(),
      name: z.string('must be text').optional(),
      skip: z.boolean('must be true or false').optional(),
    },
    'must be {scope: …, sensitivity: …} or {skip: true}',
  ),
  'must be a list of "tool: {scope: …, sensitivity: …}"',
);

export type ToolMap = z.output<typeof toolMapSchema>;

/** What a tool says of how much harm it does is its own word: a proposal, and never less than medium for what may write. */
export function proposedSensitivity({ tool }: DescribedTool): Operation['sensitivity'] {
  const { readOnlyHint, destructiveHint } = tool.annotations ?? {};
  if (readOnlyHint === true) return 'low';
  return destructiveHint === false ? 'medium' : 'high';
}
