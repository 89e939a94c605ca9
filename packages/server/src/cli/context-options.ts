/** Where and when an agent's tokens may be used, as options say it and people read it. */
import { formatHours, ProtocolError, parseContext, parseHours, type TokenContext } from '@bailiwick/protocol';
import type { OptionValues } from './command.ts';
import { CliError } from './errors.ts';

export const contextOptions = {
  ip: {
    value: 'NETWORK',
    many: true,
    description: 'An address or network (10.0.0.0/8) from which its tokens may be used.',
  },
  country: { value: 'CODE', many: true, description: 'A country (DE) from which its tokens may be used.' },
  zone: { value: 'NAME', many: true, description: 'A compute zone in which its tokens may be used.' },
  hours: {
    value: 'HOURS',
    many: true,
    description:
      'When its tokens may be used, as in "mon-fri 08:00-18:00 Europe/Berlin". Said several times, all must hold.',
  },
} as const;

/** To say that something isn't limited any more. */
export const anywhere = 'any';

/**
 * What is said of it; undefined where nothing is. `any` in the place of a value takes a limit away.
 * @throws CliError (usage) naming the option
 */
export function contextFrom(options: OptionValues<typeof contextOptions>): Record<string, unknown> | undefined {
  const said = (['ip', 'country', 'zone', 'hours'] as const).flatMap((name) => {
    const values = options[name].flatMap((value) => (name === 'hours' ? [value] : value.split(',')));
    return values.length === 0 ? [] : [[name, values.join() === anywhere ? null : read(name, values)] as const];
  });
  return said.length === 0 ? undefined : Object.fromEntries(said);
}

function read(name: keyof TokenContext, values: readonly string[]): unknown {
  try {
    return parseContext({ [name]: name === 'hours' ? values.map(parseHours) : values })[name];
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new CliError('usage', `--${name}: ${error.message}.`, {
      hint: `\`--${name} ${anywhere}\` takes the limit away.`,
    });
  }
}

/** What it is limited to, a line for each; empty where it isn't. */
export function contextInWords({ ip, country, zone, hours }: TokenContext): string {
  const lines = [
    ip && `from ${ip.join(', ')}`,
    country && `in the country ${country.join(' or ')}`,
    zone && `in the zone ${zone.join(' or ')}`,
    ...(hours ?? []).map(formatHours),
  ];
  return lines.filter((each) => each !== undefined).join('\n');
}
