/** What a command is: one typed row from which parsing, help and docs/reference/cli.md are made. */
import type { Io } from './io.ts';

/** An option as one writes it behind `--`. Without `value` it is a switch. */
export interface OptionSpec {
  /** The placeholder of its value, as in `--name NAME`. */
  value?: string;
  /** May be given several times. */
  many?: boolean;
  /** One letter that stands for it: `-f`. */
  short?: string;
  description: string;
}

export interface ArgumentSpec {
  name: string;
  description: string;
  optional?: boolean;
  /** It is the last, and takes all that is left: at least one unless it is optional. */
  many?: boolean;
}

type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type OptionValue<Spec extends OptionSpec> = Spec extends { value: string }
  ? Spec extends { many: true }
    ? string[]
    : string | undefined
  : boolean;

export type OptionValues<Specs extends OptionSpecs> = { [Name in keyof Specs]: OptionValue<Specs[Name]> };

export type ArgumentValues<Specs extends readonly ArgumentSpec[]> = {
  [Index in keyof Specs]: Specs[Index] extends { many: true }
    ? string[]
    : Specs[Index] extends { optional: true }
      ? string | undefined
      : string;
};

/** Understood by every command. */
export const globalOptions = {
  json: { description: 'Write the result as JSON on standard output, and errors as JSON on standard error.' },
  config: {
    value: 'FILE',
    description: 'The configuration file, instead of ./bailiwick.yaml (also BAILIWICK_CONFIG).',
  },
  identity: {
    value: 'FILE',
    description: 'The key file to act with, instead of <data>/operator.json (also BAILIWICK_IDENTITY).',
  },
  organization: {
    value: 'NAME',
    description: 'The organization to look into and to make things in, instead of that of the identity.',
  },
  help: { short: 'h', description: 'Show what the command does, with examples.' },
} as const satisfies OptionSpecs;

export interface Globals {
  json: boolean;
  config: string | undefined;
  identity: string | undefined;
  organization: string | undefined;
}

/** What a command's `run` gets beside its own arguments and options. */
export interface Context {
  io: Io;
  globals: Globals;
}

export interface Command {
  /** `agents create` */
  name: string;
  /** One line, for the list of commands. */
  summary: string;
  /** More, where the summary doesn't say it all. */
  description?: string;
  arguments: readonly ArgumentSpec[];
  options: OptionSpecs;
  examples: readonly { command: string; does: string }[];
  run(
    context: Context,
    args: readonly (string | string[] | undefined)[],
    options: Readonly<Record<string, unknown>>,
  ): Promise<number>;
}

/** Turns a typed row into one of the table. */
export function command<
  const Options extends OptionSpecs = Record<never, never>,
  const Arguments extends readonly ArgumentSpec[] = [],
>(spec: {
  name: string;
  summary: string;
  description?: string;
  arguments?: Arguments;
  options?: Options;
  examples: readonly { command: string; does: string }[];
  /** A number is the exit code; anything else is success. */
  run(context: Context, args: ArgumentValues<Arguments>, options: OptionValues<Options>): Promise<unknown>;
}): Command {
  return {
    ...spec,
    arguments: spec.arguments ?? [],
    options: spec.options ?? {},
    async run(context, args, options) {
      const code = await spec.run(context, args as ArgumentValues<Arguments>, options as OptionValues<Options>);
      return typeof code === 'number' ? code : 0;
    },
  };
}

/** The switch of every command that ends something. */
export const yes = { description: 'Do it without asking.' } as const satisfies OptionSpec;
