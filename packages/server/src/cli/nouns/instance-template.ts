/** The template of an agent's instances, as options say it and people read it. The rest of it is said with `apply`. */
import { bindings, type InstanceTemplate } from '../../agents/instance.ts';
import type { OptionValues } from '../command.ts';
import { CliError } from '../errors.ts';
import { wholeNumber } from '../values.ts';

export const templateOptions = {
  'instance-lifetime': { value: 'SECONDS', description: 'How long an instance of it lives unless it renews.' },
  'instances-at-most': { value: 'NUMBER', description: 'How many instances of it may live at once.' },
  'instance-depth': { value: 'NUMBER', description: 'How many generations of children an instance may have.' },
  bind: {
    value: 'WHAT',
    many: true,
    description: `Limits the tokens of an instance to where it enrolled from: ${bindings.join(', ')}, or none.`,
  },
} as const;

export type TemplateValues = OptionValues<typeof templateOptions>;

/** What is said of the template of its instances; nothing if nothing is. */
export function template(options: TemplateValues): Record<string, unknown> | undefined {
  const said = (
    [
      ['lifetime_seconds', 'instance-lifetime'],
      ['live_at_most', 'instances-at-most'],
      ['depth', 'instance-depth'],
    ] as const
  ).flatMap(([member, option]) => {
    const value = options[option];
    return value === undefined ? [] : [[member, wholeNumber(`--${option}`, value, { least: 0 })] as const];
  });
  const bind = bound(options.bind.flatMap((each) => each.split(',')));
  return said.length === 0 && bind === undefined ? undefined : { ...Object.fromEntries(said), ...bind };
}

function bound(words: readonly string[]): { bind: readonly string[] | null } | undefined {
  if (words.length === 0) return undefined;
  if (words.join() === 'none') return { bind: null };
  const unknown = words.find((each) => !(bindings as readonly string[]).includes(each));
  if (unknown === undefined) return { bind: words };
  throw new CliError('usage', `--bind must be ${bindings.join(', ')} or none, not "${unknown}".`);
}

/** What is said of its instances, as `apply` writes it; empty where the server's own limits hold. */
export const templateInWords = (said: InstanceTemplate): string =>
  Object.entries(said)
    .map(([name, value]) => `${name}: ${typeof value === 'number' ? value : JSON.stringify(value)}`)
    .join('\n');
