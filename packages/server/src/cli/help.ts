/** Help on the terminal, made from the command table. */

import { didYouMeanHint } from '../lib/did-you-mean.ts';
import { type ArgumentSpec, type Command, type Context, globalOptions, type OptionSpec } from './command.ts';
import { CliError, exitCodes } from './errors.ts';
import { painter } from './output.ts';

/** `bailiwick agents create NAME [options]` */
export function usageLine(command: Command): string {
  const args = command.arguments.map(argumentWord).join(' ');
  const options = Object.keys(command.options).length > 0 ? '[options]' : '';
  return ['bailiwick', command.name, args, options].filter((part) => part !== '').join(' ');
}

function argumentWord({ name, optional, many }: ArgumentSpec): string {
  const word = `${name.toUpperCase()}${many ? ' …' : ''}`;
  return optional ? `[${word}]` : word;
}

/** `--name NAME` */
export function optionWord(name: string, spec: OptionSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  return `${short}--${name}${spec.value === undefined ? '' : ` ${spec.value}`}${spec.many ? ' …' : ''}`;
}

/**
 * The help for a topic: '' for everything, a group (`agents`), or one command.
 * @throws CliError (usage) for a topic that there isn't
 */
export function help(io: Context['io'], commands: readonly Command[], topic: string): string {
  const paint = painter(io);
  const width = Math.min(io.columns ?? 100, 100);
  const command = commands.find((candidate) => candidate.name === topic);
  if (command !== undefined) return commandHelp(command, paint, width);
  const group = commands.filter((candidate) => topic === '' || candidate.name.startsWith(`${topic} `));
  if (group.length === 0) {
    const topics = commands.flatMap(({ name }) => [name, name.split(' ')[0] ?? '']);
    throw new CliError('usage', `There is no help on "${topic}".${didYouMeanHint(topic, new Set(topics))}`, {
      hint: 'See `bailiwick help`.',
    });
  }
  const names = group.map((entry) => [entry.name, entry.summary] as const);
  const lines = [
    ...(topic === '' ? [`${paint('bold', 'bailiwick')}: the identity provider for AI agents`, ''] : []),
    `Usage: bailiwick ${topic === '' ? 'COMMAND' : `${topic} COMMAND`}`,
    '',
    pairs(names, paint, width),
    '',
  ];
  if (topic === '') {
    lines.push('Options of every command:', pairs(optionPairs(globalOptions), paint, width), '');
    const codes = Object.values(exitCodes).map(({ code, means }) => [String(code), means] as const);
    lines.push('Exit codes:', pairs(codes, paint, width), '');
  }
  lines.push(`\`bailiwick help ${topic === '' ? 'COMMAND' : `${topic} COMMAND`}\` says more, with examples.`);
  return lines.join('\n');
}

type Paint = ReturnType<typeof painter>;

function commandHelp(command: Command, paint: Paint, width: number): string {
  const lines = [wrap(command.summary, width, ''), '', `Usage: ${paint('bold', usageLine(command))}`, ''];
  if (command.description !== undefined) lines.push(wrap(command.description, width, ''), '');
  if (command.arguments.length > 0) {
    const args = command.arguments.map((argument) => [argumentWord(argument), argument.description] as const);
    lines.push(pairs(args, paint, width), '');
  }
  lines.push('Options:', pairs(optionPairs({ ...command.options, ...globalOptions }), paint, width), '', 'Examples:');
  for (const example of command.examples) {
    lines.push(`  ${paint('dim', `# ${example.does}`)}`, ...example.command.split('\n').map((line) => `  ${line}`));
  }
  return lines.join('\n');
}

function optionPairs(options: Readonly<Record<string, OptionSpec>>): (readonly [string, string])[] {
  return Object.entries(options).map(([name, spec]) => [optionWord(name, spec), spec.description] as const);
}

function pairs(entries: readonly (readonly [string, string])[], paint: Paint, width: number): string {
  const left = Math.min(34, Math.max(...entries.map(([name]) => name.length))) + 2;
  const indent = ' '.repeat(left + 2);
  return entries
    .map(([name, text]) => {
      const wrapped = wrap(text, width, indent).trimStart();
      return name.length + 2 > left
        ? `  ${paint('bold', name)}\n${indent}${wrapped}`
        : `  ${paint('bold', name)}${' '.repeat(left - name.length)}${wrapped}`;
    })
    .join('\n');
}

function wrap(text: string, width: number, indent: string): string {
  return text
    .split('\n')
    .map((paragraph) => {
      const lines: string[] = [];
      let line = indent;
      for (const word of paragraph.split(' ')) {
        if (line.length + word.length + 1 > width && line.trim() !== '') {
          lines.push(line.trimEnd());
          line = indent;
        }
        line += `${word} `;
      }
      return [...lines, line.trimEnd()].join('\n');
    })
    .join('\n');
}
