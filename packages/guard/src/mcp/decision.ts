import type { Operation } from '@bailiwick/protocol';
import type { Allowed } from '../decide.ts';
import type { Guard } from '../guard.ts';
import { type Answer, Refusal } from '../refusal.ts';
import type { Verified } from '../verify.ts';
import type { Definitions } from './definitions.ts';
import { type Body, invalidParams, isObject, type Message, methodNotFound } from './message.ts';
import { changedTool, notOffered, refusedAs, refusedCode, unknownDefinition } from './refusals.ts';

/** What every caller with a good token may do: it takes part in the protocol, and reaches nothing. */
const openMethods: ReadonlySet<string> = new Set(['initialize', 'ping', 'server/discover', 'tools/list']);
/** Ticks that something changed, without what. */
const ticks: ReadonlySet<string> = new Set(['toolsListChanged', 'promptsListChanged', 'resourcesListChanged']);
/** How an operation is called that is a method of MCP, and no tool. */
const methodPrefix = 'method:';
/** Who reaches this operation sees every tool as the server lists it, unregistered and changed ones too: to register them. Everybody else sees their own. */
const allTools = `${methodPrefix}tools/list`;

export interface DecisionRoom {
  guard: Guard;
  definitions: Definitions;
  /** Methods that the operator opened to every caller. */
  methods: ReadonlySet<string>;
  /** Asks the server for its tools, so that definitions are known. */
  learn(message: Message): Promise<void>;
  /** Says once that a tool changed. */
  changed(operation: Operation, hash: string | undefined): void;
}

/** What came of all messages of a request: the names of their operations, or the answer that refuses them all. */
export type Outcome = { operations: string[] } | { refused: Response };

/**
 * Decides about every message of a request. One that is refused refuses all: a batch is carried out whole or not at all. Where scopes are
 * missing, the answer names those of all messages, so that the client asks once.
 */
export async function decideAll(room: DecisionRoom, verified: Verified, body: Body): Promise<Outcome> {
  const decided = await Promise.all(body.messages.map((message) => decideOne(room, verified, message)));
  const operations = decided.filter((one) => typeof one === 'string');
  const refusals = decided.flatMap((one, index) =>
    typeof one === 'string' ? [] : [{ ...one, message: body.messages[index] as Message }],
  );
  const [first] = refusals;
  if (first === undefined) return { operations };
  const lacking = refusals.filter(({ answer }) => answer.problem?.error === 'insufficient_scope');
  // What more scope would not help is said first.
  const shown = refusals.find((one) => !lacking.includes(one)) ?? first;
  const id = body.isBatch || shown.message.kind !== 'request' ? null : (shown.message.id ?? null);
  if (lacking.length < 2 || shown !== first) return { refused: refusedAs(shown.answer, { id, code: shown.code }) };
  const scope = scopesOf(verified, body);
  const detail = `The operations of this batch need the scope: ${scope.join(' ')}`;
  const answer = room.guard.refuse(verified, new Refusal('insufficient_scope', detail, { scope }));
  return { refused: refusedAs(answer, { id, code: shown.code }) };
}

type Decided = string | { answer: Answer; code: number };

async function decideOne(room: DecisionRoom, verified: Verified, message: Message): Promise<Decided> {
  if (message.kind === 'response') return 'method:response';
  const { method, params } = message;
  const { guard } = room;
  if (method === 'tools/call') return decideCall(room, verified, message);
  const tool = `${methodPrefix}${method}`;
  const listed = tool === allTools ? undefined : verified.registration.operationOfTool(tool);
  if (listed !== undefined)
    return outcomeOf(await guard.allows(verified, { tool, parameters: params }), methodNotFound);
  if (room.methods.has(method) || isOpen(message)) return tool;
  return { answer: guard.refuse(verified, notOffered('this method')), code: methodNotFound };
}

/** Listed, reached by the token, unchanged; and then all that the guard asks of an operation. */
async function decideCall(room: DecisionRoom, verified: Verified, message: Message): Promise<Decided> {
  const { guard } = room;
  const { name: tool, arguments: given = {} } = message.params as { name: string; arguments?: Record<string, unknown> };
  const operation = tool.startsWith(methodPrefix) ? undefined : verified.registration.operationOfTool(tool);
  if (operation === undefined) return { answer: guard.refuse(verified, notOffered('this tool')), code: invalidParams };
  if (operation.definition !== undefined && guard.reaches(verified, { tool })) {
    const refusal = await definitionRefusal(room, operation, message);
    if (refusal !== undefined) return { answer: guard.refuse(verified, refusal, operation), code: invalidParams };
  }
  return outcomeOf(await guard.allows(verified, { tool, parameters: given }), refusedCode);
}

async function definitionRefusal(
  room: DecisionRoom,
  operation: Operation,
  message: Message,
): Promise<Refusal | undefined> {
  const { definitions } = room;
  const tool = operation.tool as string;
  if (definitions.of(tool) === undefined && !definitions.isWhole()) {
    try {
      await room.learn(message);
    } catch (error) {
      room.guard.report(`The MCP server behind this guard did not say what its tools are: ${(error as Error).message}`);
      return unknownDefinition(operation);
    }
  }
  const seen = definitions.of(tool);
  // What is missing where all is known isn't there any more; else something changed while we asked.
  if (seen === undefined) return definitions.isWhole() ? notOffered('this tool') : unknownDefinition(operation);
  if (seen.hash === operation.definition) return undefined;
  room.changed(operation, seen.hash);
  return changedTool(operation);
}

function outcomeOf(decision: Allowed | Answer, code: number): Decided {
  return decision.allowed ? decision.caller.operation : { answer: decision, code };
}

function isOpen({ kind, method, params }: Message): boolean {
  if (kind === 'notification') return method.startsWith('notifications/');
  if (method !== 'subscriptions/listen') return openMethods.has(method);
  const { notifications } = params;
  return isObject(notifications) && Object.keys(notifications).every((name) => ticks.has(name));
}

/** The scopes of all operations that the messages are, each once. */
function scopesOf({ registration }: Verified, { messages }: Body): string[] {
  const scopes = messages.flatMap(({ method, params }) => {
    const tool = method === 'tools/call' ? String(params.name) : `${methodPrefix}${method}`;
    return registration.operationOfTool(tool)?.scope ?? [];
  });
  return [...new Set(scopes)];
}

/**
 * Which tools of a list a caller gets to see: those that are registered, what they were when somebody looked at them, within reach of the token
 * and, of those that the guard asks about, allowed at this moment. Of a name that is there twice, both are left out.
 */
export async function shownTools(
  room: DecisionRoom,
  verified: Verified,
  tools: readonly unknown[],
  hashOf: Hash,
): Promise<unknown[]> {
  const { guard } = room;
  const [isForAll] = await guard.reachable(verified, [{ tool: allTools }]);
  if (isForAll === true) return [...tools];
  const known = knownTools(room, verified, tools, hashOf);
  const mayCall = await guard.reachable(
    verified,
    known.map(({ name: tool }) => ({ tool })),
  );
  return known.filter((_, index) => mayCall[index] === true);
}

/** Those that are registered and unchanged, within reach of the token. */
function knownTools(
  room: DecisionRoom,
  verified: Verified,
  tools: readonly unknown[],
  hashOf: Hash,
): { name: string }[] {
  const names = tools.map((tool) => (isObject(tool) && typeof tool.name === 'string' ? tool.name : undefined));
  return tools.filter((tool, index): tool is { name: string } => {
    const name = names[index];
    if (name === undefined || name.startsWith(methodPrefix) || names.indexOf(name) !== names.lastIndexOf(name))
      return false;
    const operation = verified.registration.operationOfTool(name);
    if (operation === undefined || !room.guard.reaches(verified, { tool: name })) return false;
    if (operation.definition === undefined) return true;
    const hash = hashOf(tool as Record<string, unknown>);
    if (hash === operation.definition) return true;
    room.changed(operation, hash);
    return false;
  });
}

type Hash = (tool: Record<string, unknown>) => string | undefined;
