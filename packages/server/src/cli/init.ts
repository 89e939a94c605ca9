import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { settings } from '../config.ts';
import { type Setting, yamlOf } from '../lib/settings.ts';
import { command } from './command.ts';
import { CliError } from './errors.ts';
import { show } from './output.ts';

export const init = command({
  name: 'init',
  summary: 'Write a bailiwick.yaml with every setting, explained and commented out.',
  description:
    'Nothing needs one: the defaults run on this machine. An existing file is never overwritten. --config names another place.',
  examples: [{ command: 'bailiwick init', does: 'Write ./bailiwick.yaml' }],
  async run(context) {
    const file = path.resolve(context.io.cwd, context.globals.config ?? 'bailiwick.yaml');
    try {
      writeFileSync(file, configTemplate(), { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      throw new CliError('conflict', `${file} exists already, so it was left as it is.`, {
        hint: 'Move it away first, or name another with --config FILE.',
      });
    }
    show(context, { file }, () => `Wrote ${file}. Everything in it is commented out: uncomment what you change.`);
  },
});

/** The text of a bailiwick.yaml in which every setting stands as a comment, with its default. */
export function configTemplate(): string {
  const lines = [
    "# Bailiwick's settings. All are optional; what is commented out is the default, or an example where there is none.",
    '# Each can also be set in the environment, which is stronger: BAILIWICK_PORT=9000, BAILIWICK_TOKEN_LIFETIME_SECONDS=300.',
  ];
  let group: string | undefined;
  for (const setting of settings) {
    const [first = '', second] = setting.path;
    if (second === undefined) {
      lines.push('', ...comment(setting, ''), `# ${first}: ${valueText(setting)}`);
    } else {
      if (group !== first) lines.push('', `# ${first}:`);
      lines.push(...comment(setting, '  '), `#   ${second}: ${valueText(setting)}`);
    }
    group = first;
  }
  return `${lines.join('\n')}\n`;
}

function comment(setting: Setting, indent: string): string[] {
  const text =
    setting.computed === undefined ? setting.description : `${setting.description} Default: ${setting.computed}.`;
  const lines: string[] = [];
  let line = `# ${indent}#`;
  for (const word of text.split(' ')) {
    if (line.length + word.length > 110) {
      lines.push(line);
      line = `# ${indent}#`;
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

function valueText(setting: Setting): string {
  if (setting.default === undefined || isEmpty(setting.default)) return yamlOf(setting, setting.example);
  return Array.isArray(setting.default)
    ? `[${setting.default.map((item) => JSON.stringify(item)).join(', ')}]`
    : String(setting.default);
}

/** A list or map that holds nothing unless it is set. */
const isEmpty = (value: unknown) => typeof value === 'object' && value !== null && Object.keys(value).length === 0;
