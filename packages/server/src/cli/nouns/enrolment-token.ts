import { type Api, openApi } from '../api.ts';
import { type Context, command } from '../command.ts';
import { tokenFromOptions, tokenOptions } from '../credential-options.ts';
import { CliError } from '../errors.ts';
import { findAgent } from '../names.ts';
import { shortTime, show, span } from '../output.ts';
import type { Credential, Instance, MadeCredential } from '../registry.ts';

export const enrolmentToken = command({
  name: 'enrolment-token',
  summary: 'Make a token by which one instance of an agent enrols, and print it.',
  description:
    'Hand it to the container, job or machine that is about to start: it works once, for minutes, and gives an identity with a key that ' +
    'never leaves that instance. Standard output is the token alone; the server keeps a hash of it.',
  arguments: [{ name: 'agent', description: 'The name or id of an agent.' }],
  options: { ...tokenOptions, label: { value: 'TEXT', description: 'What it is for, to find it again.' } },
  examples: [
    { command: 'bailiwick enrolment-token desk', does: 'For the next ten minutes, from anywhere' },
    {
      command: 'TOKEN=$(bailiwick enrolment-token desk --address 10.0.0.0/8 --attribute zone=eu-1 --lifetime 2m)',
      does: 'In a script that starts a container',
    },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    const agent = await findAgent(api, name);
    const body = { agent: agent.id, kind: 'enrolment_token', label: options.label, ...tokenFromOptions(options) };
    const made = await api.post<MadeCredential>('/credentials', body);
    showSecret(context, made, tokenWords(context, agent.name, made));
  },
});

/** For whom it is, and how long it waits. */
export function tokenWords({ io }: Context, agent: string, { expires_at = '' }: MadeCredential): string {
  const left = span(Date.parse(expires_at) - io.now());
  return `For one instance of ${agent}, once, within ${left} (until ${shortTime(expires_at)}). It is shown here and nowhere else:`;
}

/** Whether instances of an agent enrol: it has, or had as far as the server remembers, an instance or an enrolment token. */
export async function hasEnrolled(api: Api, agent: string): Promise<boolean> {
  const one = async (list: Promise<readonly unknown[]>) => {
    try {
      return (await list).length > 0;
    } catch (error) {
      if (error instanceof CliError && error.reason === 'refused') return false; // not this identity's to see
      throw error;
    }
  };
  const tokens = () => api.list<Credential>('/credentials', { agent, kind: 'enrolment_token' }, 1);
  return (await one(api.list<Instance>('/instances', { agent }, 1))) || one(tokens());
}

/** How an agent without credentials gets to prove who it is. */
export const waysIn = (name: string): string =>
  `\`bailiwick enrolment-token ${name}\` lets an instance enrol; \`bailiwick credentials add ${name} --key-out ${name}.json\` gives it a key`;

/** A secret alone on standard output, so that it can be piped; what is to be said of it on standard error. */
export function showSecret(context: Context, made: MadeCredential, words: string): void {
  if (!context.globals.json) context.io.err(`${words}\n`);
  show(context, made, () => made.secret ?? '');
}
