/** Reads YAML against a strict schema and says what is wrong with file, line and field. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { didYouMeanHint } from '../lib/did-you-mean.ts';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';

type Path = readonly PropertyKey[];

/**
 * The file's content as the schema reads it.
 * @throws CliError (usage) with one line per mistake: `fleet.yaml line 12: agents.desk.ownr is not known. Did you mean "owner"?`
 */
export function readYamlFile<Schema extends z.ZodType>(
  context: Context,
  name: string,
  schema: Schema,
): z.output<Schema> {
  return readPlacedYaml(context, name, schema).data;
}

/** A mistake of a file's content: with file, line and field. `key` is one below `at`. */
export type Say = (at: Path, message: string, key?: string) => string;

/** As `readYamlFile`, and with it what is needed to speak of mistakes that only the content's meaning shows. */
export function readPlacedYaml<Schema extends z.ZodType>(
  context: Context,
  name: string,
  schema: Schema,
): { data: z.output<Schema>; say: Say } {
  return parseYaml(textOf(path.resolve(context.io.cwd, name)), name, schema);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new CliError('usage', `There is no file ${file}.`);
    if (code === 'EISDIR') throw new CliError('usage', `${file} is a folder.`);
    throw error;
  }
}

function parseYaml<Schema extends z.ZodType>(
  text: string,
  name: string,
  schema: Schema,
): { data: z.output<Schema>; say: Say } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const mistakes = document.errors.map((error) => {
    const summary = error.message.split(' at line ')[0] ?? error.message;
    return `${name} line ${lines.linePos(error.pos[0]).line} is not valid YAML: ${summary}.`;
  });
  if (mistakes.length > 0) throw mistaken(name, mistakes);

  const value: unknown = document.toJS() ?? {};
  const parsed = schema.safeParse(value);
  const lineOf = (at: Path, key?: string): number | undefined => {
    const node = at.length === 0 ? document.contents : document.getIn(at as readonly unknown[], true);
    if (key !== undefined && isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
      if (isScalar(pair?.key) && pair.key.range) return lines.linePos(pair.key.range[0]).line;
    }
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
    return at.length === 0 ? undefined : lineOf(at.slice(0, -1), String(at.at(-1)));
  };
  const say: Say = (at, message, key) => {
    const line = lineOf(at, key);
    const field = [...at, ...(key === undefined ? [] : [key])].map(String).join('.');
    return `${name}${line === undefined ? '' : ` line ${line}`}: ${field === '' ? 'it' : field} ${message}`;
  };
  if (parsed.success) return { data: parsed.data, say };
  throw mistaken(
    name,
    leaves(parsed.error.issues).flatMap((issue) => {
      if (issue.code === 'unrecognized_keys') {
        const known = (issue as { known?: string[] }).known ?? knownKeys(schema, issue.path);
        return issue.keys.map((key) => say(issue.path, `is not known.${didYouMeanHint(key, known)}`, key));
      }
      const missing = valueAt(value, issue.path) === undefined;
      return [say(issue.path, missing ? `is missing: it ${issue.message}` : issue.message)];
    }),
  );
}

/** What is wrong in the end: of a key its own mistake, of a union that of the alternative that came nearest. */
function leaves(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'invalid_key') return issue.issues.map((inner) => ({ ...inner, path: issue.path }));
    if (issue.code !== 'invalid_union') return [issue];
    const nearest = issue.errors
      .filter((alternative) => !alternative.some(({ path: at, code }) => at.length === 0 && code === 'invalid_type'))
      .toSorted((a, b) => a.length - b.length)[0];
    if (nearest === undefined) return [issue];
    return leaves(nearest.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })));
  });
}

/** One error for all the mistakes of a file. */
export function mistaken(name: string, mistakes: readonly string[]): CliError {
  const [only] = mistakes;
  if (mistakes.length === 1 && only !== undefined) return new CliError('usage', only);
  return new CliError('usage', `${name} has ${mistakes.length} mistakes:`, { details: mistakes });
}

function valueAt(value: unknown, at: Path): unknown {
  return at.reduce<unknown>((node, key) => (node as Record<PropertyKey, unknown> | null | undefined)?.[key], value);
}

/** The names that would have been right at a place: the shape of the object schema that stands there. */
function knownKeys(schema: z.ZodType, at: Path): string[] {
  const { def } = schema as unknown as { def: Record<string, unknown> & { type: string } };
  const [first, ...rest] = at;
  switch (def.type) {
    case 'object': {
      const shape = def.shape as Record<string, z.ZodType>;
      if (first === undefined) return Object.keys(shape);
      const next = shape[String(first)];
      return next === undefined ? [] : knownKeys(next, rest);
    }
    case 'record':
      return knownKeys(def.valueType as z.ZodType, rest);
    case 'array':
      return knownKeys(def.element as z.ZodType, rest);
    case 'union':
      return (def.options as z.ZodType[]).flatMap((option) => knownKeys(option, at));
    case 'pipe':
      return knownKeys(def.in as z.ZodType, at);
    case 'optional':
    case 'default':
    case 'prefault':
      return knownKeys(def.innerType as z.ZodType, at);
    default:
      return [];
  }
}
