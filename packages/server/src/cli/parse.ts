/** From what was typed to a command with its values, or to a sentence that says what is wrong. */
import { parseArgs } from 'node:util';
import { didYouMean, didYouMeanHint } from '../lib/did-you-mean.ts';
import { type Command, type Globals, globalOptions, type OptionSpec } from './command.ts';
import { CliError } from './errors.ts';

export type Parsed =
  | { what: 'help'; topic: string }
  | { what: 'version' }
  | { what: 'group'; group: string }
  | {
      what: 'command';
      command: Command;
      args: readonly (string | string[] | undefined)[];
      options: Readonly<Record<string, unknown>>;
      globals: Globals;
    };

/**
 * @param argv what stands behind the program's name
 * @throws CliError (usage) with the nearest thing that would have been right
 */
export function parse(commands: readonly Command[], argv: readonly string[]): Parsed {
  if (argv.length === 0) return { what: 'help', topic: '' };
  if (argv[0] === '--version') return { what: 'version' };
  if (argv[0] === 'help') return { what: 'help', topic: argv.slice(1).join(' ') };
  const helpWanted = argv.slice(0, separatorIn(argv)).some((word) => word === '--help' || word === '-h');

  const { command, rest } = findCommand(commands, argv, helpWanted);
  if (command === undefined) {
    if (helpWanted) return { what: 'help', topic: rest };
    return { what: 'group', group: rest };
  }
  if (helpWanted) return { what: 'help', topic: command.name };

  const { values, positionals } = readOptions(command, rest);
  checkCount(command, positionals);
  const { json, config, identity, organization, help: _, ...options } = values;
  return {
    what: 'command',
    command,
    args: command.arguments.map(({ many }, index) => (many ? positionals.slice(index) : positionals[index])),
    options,
    globals: {
      json: json === true,
      config: config as string | undefined,
      identity: identity as string | undefined,
      organization: organization as string | undefined,
    },
  };
}

const separatorIn = (argv: readonly string[]): number => {
  const at = argv.indexOf('--');
  return at === -1 ? argv.length : at;
};

/** The command that the first words name; the rest is its own. Without one, `rest` is the group that was named. */
function findCommand(
  commands: readonly Command[],
  argv: readonly string[],
  helpWanted: boolean,
): { command: Command; rest: string[] } | { command: undefined; rest: string } {
  // options may stand before the command: `bailiwick --json agents list`
  const words: { word: string; index: number }[] = [];
  for (let index = 0; index < separatorIn(argv) && words.length < 3; index += 1) {
    const word = argv[index] ?? '';
    if (!word.startsWith('-')) words.push({ word, index });
    else if (words.length === 0 && /^--(config|identity|organization)$/.test(word)) index += 1;
    else if (words.length > 0) break;
  }
  for (const length of [3, 2, 1]) {
    const name = words
      .slice(0, length)
      .map(({ word }) => word)
      .join(' ');
    const command = commands.find((candidate) => candidate.name === name);
    if (command === undefined) continue;
    const used = new Set(words.slice(0, length).map(({ index }) => index));
    return { command, rest: argv.filter((_word, index) => !used.has(index)) };
  }

  const [first, second] = words.map(({ word }) => word);
  if (first === undefined) {
    if (helpWanted) return { command: undefined, rest: '' };
    throw new CliError('usage', 'No command was named.', { hint: 'See `bailiwick help`.' });
  }
  const inGroup = commands.filter((candidate) => candidate.name.startsWith(`${first} `));
  const rest = argv.filter((_word, index) => index !== words[0]?.index);
  const list = inGroup.find((candidate) => candidate.name === `${first} list`);
  // `credentials --stale 30d`: who names options of a group wants to see what is in it
  if (list !== undefined && second === undefined && rest.length > 0 && !helpWanted) return { command: list, rest };
  if (inGroup.length > 0 && second === undefined) return { command: undefined, rest: first };
  if (inGroup.length > 0) {
    const verbs = inGroup.map((candidate) => candidate.name.slice(first.length + 1));
    throw new CliError('usage', `"${first}" has no command "${second}".${didYouMeanHint(second ?? '', verbs)}`, {
      hint: `It has: ${verbs.join(', ')}.`,
    });
  }
  const nouns = new Set(commands.map((candidate) => candidate.name.split(' ')[0] ?? ''));
  throw new CliError('usage', `There is no command "${first}".${didYouMeanHint(first, nouns)}`, {
    hint: 'See `bailiwick help`.',
  });
}

function readOptions(command: Command, argv: readonly string[]) {
  const specs: Record<string, OptionSpec> = { ...globalOptions, ...command.options };
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(specs).map(([name, { value, short }]) => [
        name,
        { type: value === undefined ? 'boolean' : 'string', ...(short === undefined ? {} : { short }) },
      ]),
    ),
  });
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(specs)) {
    if (spec.many) values[name] = [];
    else if (spec.value === undefined) values[name] = false;
  }
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const spec = specs[token.name];
    if (spec === undefined) {
      const meant = didYouMean(token.name, Object.keys(specs));
      const hint = meant === undefined ? '' : ` Did you mean "--${meant}"?`;
      throw usage(command, `"${command.name}" has no option ${token.rawName}.${hint}`);
    }
    values[token.name] = optionValue(command, token, spec, values[token.name]);
  }
  return { values, positionals };
}

function optionValue(
  command: Command,
  token: { name: string; value?: string | undefined; inlineValue?: boolean | undefined },
  spec: OptionSpec,
  before: unknown,
): unknown {
  if (spec.value === undefined) {
    if (token.value !== undefined) throw usage(command, `--${token.name} takes no value.`);
    return true;
  }
  // `--owner --json` is a forgotten value, not an owner called "--json"
  if (token.value === undefined || (!token.inlineValue && /^-./.test(token.value))) {
    throw usage(command, `--${token.name} needs a value: --${token.name} ${spec.value}.`);
  }
  if (spec.many) return [...(before as string[]), token.value];
  if (before !== undefined) throw usage(command, `--${token.name} is given twice.`);
  return token.value;
}

function checkCount(command: Command, positionals: readonly string[]): void {
  const missing = command.arguments.find((argument, index) => !argument.optional && positionals[index] === undefined);
  if (missing !== undefined) {
    throw usage(command, `"${command.name}" needs ${missing.name.toUpperCase()}: ${missing.description}`);
  }
  const extra = command.arguments.at(-1)?.many ? undefined : positionals[command.arguments.length];
  if (extra !== undefined) throw usage(command, `"${command.name}" doesn't know what to do with "${extra}".`);
}

function usage(command: Command, message: string): CliError {
  return new CliError('usage', message, { hint: `See \`bailiwick ${command.name} --help\`.` });
}
