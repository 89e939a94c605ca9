/** Operations in one line: `GET /tickets/{id} tickets:read low`. */
import type { AuthorizationDetail, Operation } from '@bailiwick/protocol';
import { z } from 'zod';
import { didYouMeanHint } from '../lib/did-you-mean.ts';
import { CliError } from './errors.ts';

export const sensitivities = ['low', 'medium', 'high'] as const;

const shape = 'must read like "GET /tickets/{id} tickets:read low" or "tool:create_ticket tickets:write medium"';

/**
 * Reads `METHOD PATH SCOPE[,SCOPE…] [SENSITIVITY]`, or `tool:NAME` in place of method and path. Without a last word the
 * sensitivity is medium. Returns what is wrong when it isn't like that.
 */
export function readOperation(text: string): Operation | { wrong: string } {
  const words = text.trim().split(/\s+/);
  const tool = words[0]?.startsWith('tool:') ? words.shift()?.slice('tool:'.length) : undefined;
  const method = tool === undefined ? words.shift() : undefined;
  const path = tool === undefined ? words.shift() : undefined;
  const [scope, sensitivity = 'medium', ...rest] = words;
  if (tool === '') return { wrong: 'the name of the tool is missing behind "tool:"' };
  if (tool === undefined) {
    if (!/^[A-Z]+$/.test(method ?? '')) return { wrong: `"${method}" is not an HTTP method in capitals` };
    if (path === undefined) return { wrong: 'the path is missing' };
    if (!path.startsWith('/')) return { wrong: `the path "${path}" must begin with a slash` };
  }
  if (scope === undefined) return { wrong: 'the scope that it needs is missing' };
  if (!(sensitivities as readonly string[]).includes(sensitivity)) {
    const hint = didYouMeanHint(sensitivity, sensitivities);
    return {
      wrong: `"${sensitivity}" is not a sensitivity (${sensitivities.join(', ')}).${hint} Scopes are joined by commas`,
    };
  }
  if (rest.length > 0) return { wrong: `"${rest.join(' ')}" is too much` };
  const common = { scope: scope.split(','), sensitivity: sensitivity as Operation['sensitivity'] };
  if (tool !== undefined) return { name: tool, tool, ...common };
  return { name: `${method} ${path}`, method: method ?? '', path: path ?? '', ...common };
}

/** The same line again, for showing. */
export function operationLine(operation: Operation): string {
  const what = operation.tool === undefined ? `${operation.method} ${operation.path}` : `tool:${operation.tool}`;
  return `${what} ${operation.scope.join(',')} ${operation.sensitivity}`;
}

/**
 * Tools whose definition isn't said keep the one that is registered: a line about scopes must not make a guard stop looking.
 * To let a tool say anything, take its operation away and register it again.
 */
export function keepingDefinitions(wanted: readonly Operation[], registered: readonly Operation[]): Operation[] {
  return wanted.map((operation) => {
    const { tool, definition } = operation;
    const known = tool === undefined ? undefined : registered.find((one) => one.tool === tool)?.definition;
    return definition !== undefined || known === undefined ? operation : { ...operation, definition: known };
  });
}

/** @throws CliError (usage) that shows how an operation reads */
export function operationFromFlag(text: string): Operation {
  const operation = readOperation(text);
  if ('wrong' in operation) {
    throw new CliError('usage', `The operation "${text}" isn't understood: ${operation.wrong}.`, {
      hint: `It ${shape}.`,
    });
  }
  return operation;
}

/** An operation in a YAML file: one line, or every member by name. */
export const operationSchema = z.union(
  [
    z.string().transform((text, issues): Operation => {
      const operation = readOperation(text);
      if (!('wrong' in operation)) return operation;
      issues.addIssue({ code: 'custom', message: `isn't understood: ${operation.wrong}. It ${shape}` });
      return z.NEVER;
    }),
    z
      .strictObject({
        name: z.string().optional(),
        method: z
          .string()
          .regex(/^[A-Z]+$/, 'must be an HTTP method in capitals')
          .optional(),
        path: z.string().startsWith('/', 'must begin with /').optional(),
        tool: z.string().optional(),
        scope: z.union(
          [z.string().transform((one) => [one]), z.array(z.string())],
          'must be a scope or a list of them',
        ),
        sensitivity: z.enum(sensitivities, `must be ${sensitivities.join(', ')}`).default('medium'),
        details: z
          .record(z.string(), z.unknown(), 'must be a detail, such as {type: transfer, account: "{account}"}')
          .transform((detail) => detail as AuthorizationDetail)
          .optional(),
        definition: z
          .string()
          .regex(/^[A-Za-z0-9_-]{43}$/, 'must be the hash that `bailiwick resources tools` shows')
          .optional(),
      })
      .refine((one) => one.definition === undefined || one.tool !== undefined, 'has a definition and is no tool')
      .refine((one) => (one.tool === undefined) === (one.method !== undefined && one.path !== undefined), shape)
      .transform((one): Operation => ({ ...one, name: one.name ?? one.tool ?? `${one.method} ${one.path}` })),
  ],
  shape,
);
