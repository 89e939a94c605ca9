/**
 * Reads layered settings into one object, remembering where each came from, so that whatever is wrong can be said with its
 * name, its source and what to write. Knows nothing of which settings there are: `config.ts` does.
 */

import { createRequire } from 'node:module';
import { z } from 'zod';
import { didYouMeanHint } from './did-you-mean.ts';

/** What stands beside a setting's zod schema, through `.meta()`. */
export interface SettingMeta {
  description: string;
  /** Completes "must be …". */
  expects: string;
  /** A value that would be right, as one writes it in the environment. */
  example: string;
  /** The default in words, where it is computed from other settings. */
  computed?: string;
  /** Never repeated in a message. */
  secret?: boolean;
}

/** One setting, as documentation and loading see it. */
export interface Setting extends SettingMeta {
  /** `token.lifetime_seconds` */
  name: string;
  path: readonly string[];
  /** `BAILIWICK_TOKEN_LIFETIME_SECONDS` */
  env: string;
  kind: 'string' | 'number' | 'boolean' | 'list' | 'map' | 'choice';
  choices: readonly string[];
  default: unknown;
}

/** A value on its way in, and where it stood. */
export interface Layered {
  values: Record<string, unknown>;
  /** dotted name → how to say where it came from */
  sources: Map<string, string>;
  problems: string[];
}

/** Every leaf of a schema made of nested strict objects, in the order written. */
export function settingsOf(schema: z.ZodObject, prefix: string, path: readonly string[] = []): Setting[] {
  return Object.entries(schema.shape).flatMap(([key, field]) => {
    const here = [...path, key];
    const { inner, fallback } = unwrap(field as z.ZodType);
    if (inner instanceof z.ZodObject) return settingsOf(inner, prefix, here);
    const meta = (field as z.ZodType).meta() as unknown as SettingMeta | undefined;
    if (meta === undefined) throw new Error(`setting ${here.join('.')} has no description`);
    return [
      {
        ...meta,
        name: here.join('.'),
        path: here,
        env: `${prefix}${here.join('_').toUpperCase()}`,
        kind: kindOf(inner),
        choices: inner instanceof z.ZodEnum ? inner.options.map(String) : [],
        default: fallback,
      },
    ];
  });
}

function unwrap(schema: z.ZodType): { inner: z.ZodType; fallback: unknown } {
  let inner = schema;
  let fallback: unknown;
  for (;;) {
    if (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
      fallback = inner.def.defaultValue;
      inner = inner.def.innerType as z.ZodType;
    } else if (inner instanceof z.ZodOptional) {
      inner = inner.def.innerType as z.ZodType;
    } else {
      return { inner, fallback };
    }
  }
}

function kindOf(schema: z.ZodType): Setting['kind'] {
  if (schema instanceof z.ZodNumber) return 'number';
  if (schema instanceof z.ZodBoolean) return 'boolean';
  if (schema instanceof z.ZodArray) return 'list';
  if (schema instanceof z.ZodRecord) return 'map';
  if (schema instanceof z.ZodEnum) return 'choice';
  return 'string';
}

export function emptyLayer(): Layered {
  return { values: {}, sources: new Map(), problems: [] };
}

/** Puts a value at its path, over what an earlier layer put there. */
export function put(layer: Layered, path: readonly string[], value: unknown, source: string): void {
  let node = layer.values;
  for (const key of path.slice(0, -1)) {
    const next = node[key];
    if (typeof next === 'object' && next !== null) node = next as Record<string, unknown>;
    else node = node[key] = {} as Record<string, unknown>;
  }
  node[path.at(-1) ?? ''] = value;
  layer.sources.set(path.join('.'), source);
}

/** Takes a YAML text's settings; a wrong key or a syntax error becomes a problem that names the line. */
export function putYaml(layer: Layered, settings: readonly Setting[], text: string, file: string): void {
  const { isMap, isScalar, LineCounter, parseDocument } = createRequire(import.meta.url)(
    'yaml',
  ) as typeof import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  for (const error of document.errors) {
    const summary = error.message.split(' at line ')[0] ?? error.message;
    layer.problems.push(`${file} line ${lines.linePos(error.pos[0]).line} is not valid YAML: ${summary}.`);
  }
  if (layer.problems.length > 0 || document.contents === null) return;

  const take = (node: unknown, path: readonly string[]): void => {
    if (!isMap(node)) {
      const what = path.length === 0 ? 'The file' : `"${path.join('.')}"`;
      layer.problems.push(`${what} in ${file} must hold settings, one "name: value" per line.`);
      return;
    }
    for (const pair of node.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
      const here = [...path, key];
      const name = here.join('.');
      const range = isScalar(pair.key) ? pair.key.range : undefined;
      const source = `${file} line ${range ? lines.linePos(range[0]).line : '?'}`;
      if (settings.some((setting) => setting.name === name)) {
        const value = (pair.value as { toJSON?: () => unknown } | null)?.toJSON?.() ?? null;
        // "name:" with nothing behind it is what a commented template leaves over: it sets nothing
        if (value !== null) put(layer, here, value, source);
      } else if (settings.some((setting) => setting.name.startsWith(`${name}.`))) {
        if (!(isScalar(pair.value) && pair.value.value === null) && pair.value !== null) take(pair.value, here);
      } else {
        layer.problems.push(`${source}: there is no setting "${name}".${didYouMeanHint(name, namesOf(settings))}`);
      }
    }
  };
  take(document.contents, []);
}

function namesOf(settings: readonly Setting[]): string[] {
  const groups = settings.filter((setting) => setting.path.length > 1).map((setting) => setting.path[0] ?? '');
  return [...new Set([...settings.map((setting) => setting.name), ...groups])];
}

/** Takes the variables that begin with the prefix; one that names no setting becomes a problem. */
export function putEnv(
  layer: Layered,
  settings: readonly Setting[],
  env: Readonly<Record<string, string | undefined>>,
  { prefix, others }: { prefix: string; others: readonly string[] },
): void {
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(prefix) || value === undefined || others.includes(name)) continue;
    const setting = settings.find((candidate) => candidate.env === name);
    if (setting === undefined) {
      const known = [...settings.map((candidate) => candidate.env), ...others];
      layer.problems.push(`The environment variable ${name} names no setting.${didYouMeanHint(name, known)}`);
    } else if (value !== '') {
      put(layer, setting.path, fromText(setting, value), `environment variable ${name}`);
    }
  }
}

/** A setting written as one word: numbers and booleans as such, lists with commas, `name=value` for each of a map's. Left as text when it isn't one. */
export function fromText(setting: Setting, text: string): unknown {
  if (setting.kind === 'number' && /^-?\d+(\.\d+)?$/.test(text.trim())) return Number(text);
  if (setting.kind === 'boolean' && /^(true|false)$/i.test(text.trim())) return text.trim().toLowerCase() === 'true';
  const items = text.split(/[\s,]+/).filter((item) => item !== '');
  if (setting.kind === 'list') return items;
  if (setting.kind === 'map' && items.every((item) => item.indexOf('=') > 0)) return mapOf(items);
  return text;
}

/** Lists by name: `eu-1=10.1.0.0/16`. */
export function mapOf(items: readonly string[]): Record<string, string[]> {
  const lists = new Map<string, string[]>();
  for (const item of items) {
    const at = item.indexOf('=');
    const name = item.slice(0, at);
    lists.set(name, [...(lists.get(name) ?? []), item.slice(at + 1)]);
  }
  return Object.fromEntries(lists);
}

/** The sentence for one wrong value. */
export function wrongValue(setting: Setting, value: unknown, source: string): string {
  const shown = setting.secret ? '(not shown)' : JSON.stringify(value);
  return `${setting.name} is ${shown} (${source}), but it must be ${setting.expects}. ${howToWrite(setting, source)}`;
}

/** Says what to write, in the form of the place where the value stood. */
export function howToWrite(setting: Setting, source: string, example = setting.example): string {
  if (source.startsWith('environment')) return `Write for example ${setting.env}=${example}`;
  if (source.startsWith('--')) return `Write for example --${setting.path.join('-').replaceAll('_', '-')} ${example}`;
  const value = yamlOf(setting, example);
  const yaml =
    setting.path.length === 1 ? `${setting.name}: ${value}` : `${setting.path[0]}: { ${setting.path[1]}: ${value} }`;
  return `Write for example "${yaml}"`;
}

/** A value as it stands in the environment, as one line of YAML. */
export function yamlOf({ kind }: Pick<Setting, 'kind'>, text: string): string {
  if (kind === 'list') return `[${text.split(',').join(', ')}]`;
  if (kind !== 'map') return text;
  const lists = Object.entries(mapOf(text.split(',')));
  return `{ ${lists.map(([name, list]) => `${name}: [${list.join(', ')}]`).join(', ')} }`;
}
