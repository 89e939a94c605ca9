/** Trees of mandates as generated steps make them: who stands in them, and how one of them is stopped. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Delegate, ShownMandate } from './delegates.ts';
import { exchangeOf } from './exchange.ts';
import type { TestInstance } from './instance-client.ts';
import type { ServerForClients } from './token-client.ts';

/** An agent with two running copies of it: one, and a child of that. */
export interface Somebody {
  agent: Delegate;
  spiffeId: string;
  copies: readonly (TestInstance & { spiffeId: string; above: readonly string[] })[];
}

/** Whom a mandate is for. */
export interface Holder {
  who: Somebody;
  copy: Somebody['copies'][number] | undefined;
}

/** A mandate, and those above it. */
export type Node = Holder & { id: string; scope: string; above: readonly Node[] };

const anyStep = fc.record({
  who: fc.nat(3),
  copy: fc.constantFrom(undefined, undefined, 0, 1),
  scope: fc.constantFrom(undefined, undefined, 'read', 'book read'),
  /** From the newest, or from any. */
  from: fc.oneof(fc.constant(-1), fc.nat()),
});
export type Step = typeof anyStep extends fc.Arbitrary<infer Value> ? Value : never;

/** So many attempts to pass on, by four agents. */
export const anySteps = (minLength: number, maxLength: number) =>
  fc.array(anyStep, { minLength, maxLength, size: 'max' });

/** What is done to the one that a mandate is for, or to itself. */
export const waysToStop = ['ended', 'paused', 'its agent suspended', 'its running copy ended'] as const;

/** Who acts on it, with a key. */
export const keyOf = ({ who, copy }: Holder) => copy ?? who.agent.client;

export async function somebody(server: Pick<ServerForClients, 'admin'>, agent: Delegate): Promise<Somebody> {
  const { subject } = await server.admin<{ subject: string }>('GET', `/agents/${agent.id}`);
  const one = await agent.instances.instance();
  const child = await agent.instances.child(one);
  assert.equal(child.status, 201, JSON.stringify(child.body));
  const copy = ({ id, signer }: { id: string; signer: TestInstance['signer'] }, above: string[]) => ({
    ...{ id, signer, above, answer: {} },
    spiffeId: `${subject}/${id}`,
  });
  return { agent, spiffeId: subject, copies: [copy(one, []), copy(child, [one.id])] };
}

/**
 * A tree below a mandate of the first of four: a step that the rules refuse makes nothing.
 * @param resource identifier of the one of which a part may be passed on, for `book` and `read`
 */
export async function grown(
  root: ShownMandate,
  people: readonly Somebody[],
  steps: readonly Step[],
  resource: string,
): Promise<Node[]> {
  const [first] = people as [Somebody, ...Somebody[]];
  const nodes: Node[] = [{ id: root.id, who: first, copy: undefined, scope: 'book read', above: [] }];
  for (const { from, who, copy, scope } of steps) {
    const parent = nodes.at(from < 0 ? from : from % nodes.length) as Node;
    const to: Holder = {
      who: people[who] as Somebody,
      copy: copy === undefined ? undefined : people[who]?.copies[copy],
    };
    const named = to.copy ? { instance: to.copy.id } : { agent: to.who.agent.id };
    const body = {
      parent: parent.id,
      ...named,
      ...(scope && { resources: [{ resource, scope }] }),
      passing: { depth: Math.max(0, 3 - parent.above.length) },
    };
    const reply = await parent.who.agent.call('POST', '/mandates', body, { by: keyOf(parent) });
    assert.ok([201, 422].includes(reply.status), reply.text);
    if (reply.status !== 201) continue;
    nodes.push({ id: reply.body.id, ...to, scope: scope ?? parent.scope, above: [parent, ...parent.above] });
  }
  return nodes;
}

/** Asks for a token of a mandate, by whom it is for. */
export const exchange = (node: Node, more: Record<string, string> = {}) =>
  node.who.agent.instances.tokenOf({ id: '', signer: keyOf(node).signer }, exchangeOf(node.id, more));

/** What one way of stopping is about. `stops`: which mandates it stops by itself; `back`: what takes it back, where that can be. */
export function stopOf({ id, who, copy }: Node, way: (typeof waysToStop)[number]) {
  const ended = (copy ?? who.copies[0])?.id as string;
  const mandate = (each: Node) => each.id === id;
  switch (way) {
    case 'ended':
      return { subject: id, effect: 'end', stops: mandate, back: undefined };
    case 'paused':
      return { subject: id, effect: 'suspend', stops: mandate, back: `/mandates/${id}/resume` };
    case 'its agent suspended': {
      const { id: agent } = who.agent;
      return {
        subject: agent,
        effect: 'suspend',
        stops: (each: Node) => each.who === who,
        back: `/agents/${agent}/resume`,
      };
    }
    case 'its running copy ended':
      return {
        subject: ended,
        effect: 'end',
        stops: ({ copy }: Node) => copy?.id === ended || copy?.above.includes(ended) === true,
        back: undefined,
      };
  }
}

/** Whether it is stopped, by itself or by what is above it. */
export const isOver = (node: Node, stops: (each: Node) => boolean) => [node, ...node.above].some(stops);
