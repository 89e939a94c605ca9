import { type Command, globalOptions, type OptionSpec } from '../../packages/server/src/cli/command.ts';
import { commands } from '../../packages/server/src/cli/commands.ts';
import { exitCodes } from '../../packages/server/src/cli/errors.ts';
import { optionWord, usageLine } from '../../packages/server/src/cli/help.ts';
import { cell, prose } from './markdown.ts';

/** docs/reference/cli.md */
export function cliReference(): string {
  const codes = Object.entries(exitCodes).map(([name, { code, means }]) => `| ${code} | \`${name}\` | ${means} |`);
  const lines = [
    '# The command line',
    '',
    '<!-- Made by `npm run docs` from packages/server/src/cli. Change it there. -->',
    '',
    'In a clone of the repository it is called as `npx bailiwick`. It talks to the server through the admin API, with the',
    'key in `<data>/operator.json` or another that `--identity` names: it has no privilege of its own. Wherever something is',
    'named, its name or its id will do.',
    '',
    '| command | does |',
    '|---|---|',
    ...commands.map(({ name, summary }) => `| [\`${name}\`](#${anchor(name)}) | ${cell(summary)} |`),
    '',
    '## Options of every command',
    '',
    ...options(globalOptions),
    '',
    'On a terminal there are colours, unless `NO_COLOR` is set, and tables are cut to its width; in a pipe neither happens.',
    'What ends something asks first; where nobody can answer it is refused unless `--yes` is given.',
    '',
    '## Exit codes',
    '',
    '| code | name | means |',
    '|---|---|---|',
    ...codes,
    '',
    'With `--json` an error is one line on standard error: `{"error": {"code": "not_found", "message": "…", "hint": "…",',
    '"details": []}}`, where `code` is the name above.',
    '',
    ...commands.flatMap(section),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

function section(command: Command): string[] {
  const examples = command.examples.flatMap(({ command: line, does }) => [`# ${does}`, line]);
  return [
    `## \`${command.name}\``,
    '',
    prose(command.summary),
    '',
    '```',
    usageLine(command),
    '```',
    '',
    ...(command.description === undefined ? [] : [prose(command.description), '']),
    ...command.arguments.map(
      (one) => `- \`${one.name.toUpperCase()}\`${one.optional ? ' (optional)' : ''}: ${prose(one.description)}`,
    ),
    ...options(command.options),
    ...(command.arguments.length + Object.keys(command.options).length > 0 ? [''] : []),
    '```sh',
    ...examples,
    '```',
    '',
  ];
}

const options = (specs: Readonly<Record<string, OptionSpec>>) =>
  Object.entries(specs).map(([name, spec]) => `- \`${optionWord(name, spec)}\`: ${prose(spec.description)}`);

const anchor = (name: string) => name.replaceAll(' ', '-');
