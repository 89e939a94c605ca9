/** A tool's definition as a person reads it before letting agents call it. */
import type { Context } from './command.ts';
import type { DescribedTool, ToolDescription } from './mcp-tools.ts';
import { painter } from './output.ts';
import type { ToolDifference } from './tool-import.ts';

/** All that can steer a model: texts, parameters with their own texts, what it says of itself, and whatever else there is. */
export function toolText(context: Context, { tool, definition }: DescribedTool): string {
  const paint = painter(context.io);
  const { name, title, description, inputSchema, outputSchema, annotations, execution: _carried, ...others } = tool;
  const lines = [
    ...(title === undefined ? [] : [`title: ${shown(title)}`]),
    ...(description === undefined ? [paint('dim', '(no description)')] : shown(description).split('\n')),
    ...parameterLines(inputSchema),
    ...rest('says of itself', annotations),
    ...rest('answers', outputSchema),
    ...Object.entries(others).flatMap(([member, value]) => rest(member, value)),
    paint('dim', `definition ${definition}`),
  ];
  if (hidesText(tool))
    lines.push(paint('red', 'It holds characters that nobody sees but a model: they stand above as \\u{…}.'));
  return [paint('bold', shown(name)), ...lines.map((line) => `    ${line}`)].join('\n');
}

/** How the tools differ from what is registered, the texts of what somebody has to look at with them. */
export function differencesText(context: Context, differences: readonly ToolDifference[]): string {
  const paint = painter(context.io);
  const words = {
    new: paint('green', 'new'),
    changed: paint('red', 'changed'),
    unchecked: paint('yellow', 'registered without its definition'),
    gone: paint('yellow', 'gone: the server lists it no more'),
  };
  const parts = differences.flatMap(({ name, state, described }) => {
    if (state === 'same') return [];
    const text = described === undefined ? paint('bold', shown(name)) : toolText(context, described);
    return [`${words[state]}  ${text}`];
  });
  const same = differences.filter(({ state }) => state === 'same').length;
  if (same > 0) parts.push(paint('dim', `${same} ${same === 1 ? 'tool is' : 'tools are'} as registered.`));
  return parts.join('\n\n');
}

function parameterLines(schema: unknown): string[] {
  const { properties, required, type: _type, ...others } = (schema ?? {}) as Record<string, unknown>;
  const needed = Array.isArray(required) ? required : [];
  const lines = Object.entries((properties ?? {}) as Record<string, unknown>).map(([name, value]) => {
    const { type, description, ...more } = (value ?? {}) as Record<string, unknown>;
    const kind = typeof type === 'string' ? type : '';
    const extra = Object.keys(more).length === 0 ? '' : ` ${shown(JSON.stringify(more))}`;
    const text = typeof description === 'string' ? `: ${shown(description).replaceAll('\n', ' ')}` : '';
    return `  ${shown(name)}${needed.includes(name) ? '' : '?'} ${kind}${text}${extra}`;
  });
  const { $schema: _dialect, additionalProperties: _open, ...said } = others;
  return [...(lines.length === 0 ? [] : ['takes', ...lines]), ...rest('of what it takes', said)];
}

function rest(name: string, value: unknown): string[] {
  if (value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0))
    return [];
  return [`${shown(name)}: ${shown(JSON.stringify(value))}`];
}

// Controls, formatting characters (zero-width ones, direction, tags), private use and what has no meaning: none of it is seen.
const unseen = /[^\P{C}\n]/gu;

/** Text that is what it looks like: what can't be seen stands as its code. */
export function shown(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(unseen, (letter) => `\\u{${letter.codePointAt(0)?.toString(16)}}`);
}

function hidesText(tool: ToolDescription): boolean {
  const texts: string[] = [];
  JSON.stringify(tool, (name, value) => {
    texts.push(name);
    if (typeof value === 'string') texts.push(value);
    return value;
  });
  return texts.some((text) => shown(text) !== text.replaceAll('\r\n', '\n'));
}
