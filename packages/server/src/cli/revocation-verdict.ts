/** What `bailiwick revoke` ends with: what is true now, where it is, where that is not known, and how it is undone. */
import type { Context } from './command.ts';
import { painter, shortTime } from './output.ts';
import type { Revocation, RevocationReach } from './registry.ts';
import { tookWords, words } from './revocation-words.ts';

/** No token lives longer (ms). */
const longestTokenMs = 15 * 60_000;

export interface Done {
  kind: string;
  /** As it is called, and for the grant of a role whose it was. */
  name: string;
  holder: string | undefined;
  effect: string;
  already: boolean;
  reach: RevocationReach;
}

/** Whether guards may still accept what was ended: of which that isn't known, and where nobody guards. */
export function holesOf(reach: RevocationReach, { acknowledgement }: Revocation): { guards: string[]; apis: string[] } {
  const { tokens } = reach;
  if (tokens !== undefined && tokens.count === 0 && !tokens.more) return { guards: [], apis: [] };
  const { resources } = acknowledgement;
  return {
    guards: resources.flatMap(({ unknown }) => unknown),
    apis: resources.flatMap(({ resource, unguarded }) => (unguarded ? [resource] : [])),
  };
}

/** In lines. @param nameOf of guards and resources, by their ids */
export function verdict(context: Context, done: Done, stood: Revocation, nameOf: (id: string) => string): string {
  const paint = painter(context.io);
  const { acknowledgement, revoked_at, rev } = stood;
  const number = `revocation ${rev}`;
  const fact = factOf(done);
  const head = done.already ? `It was revoked before (${number}): ${fact}.` : `${fact} (${number}).`;
  // names begin as they are
  const begun = head.replace(/^(the|what) /, (word) => word.charAt(0).toUpperCase() + word.slice(1));
  if (!acknowledgement.complete) {
    const more = `see \`bailiwick revocations show ${rev}\``;
    return paint('red', `${begun} But not every guard has answered: ${more}.`);
  }
  const { guards, apis } = holesOf(done.reach, stood);
  const last = Math.max(
    0,
    ...acknowledgement.resources.map(({ acknowledged_at = revoked_at }) => Date.parse(acknowledged_at)),
  );
  const took = tookWords(Math.max(0, last - Date.parse(revoked_at)));
  const until = shortTime(done.reach.tokens?.until ?? new Date(Date.parse(revoked_at) + longestTokenMs).toISOString());
  const lines = [undoOf(done)];
  if (done.kind === 'key' && acknowledgement.resources.some((one) => one.guards.some(({ lapsed }) => lapsed))) {
    lines.unshift('"lease ran out" is usual for a key: guards begin anew with its successor.');
  }
  if (apis.length > 0) {
    const names = apis.map(nameOf).join(', ');
    lines.unshift(
      paint('red', `NOT AT ${names}: nobody guards it; who verifies its tokens alone believes them until ${until}.`),
    );
  }
  if (guards.length > 0) {
    const names = guards.map(nameOf).join(', ');
    lines.unshift(
      paint(
        'red',
        `NOT KNOWN OF ${names}: it neither follows nor has asked lately. If it runs (offline, or cut off), it may accept tokens until ${until}.`,
      ),
    );
  }
  const isTrue =
    guards.length + apis.length > 0
      ? paint('yellow', `${begun} The guards that follow or ask know it, after ${took}.`)
      : paint('green', `${begun} True at every guard after ${took}.`);
  return [isTrue, ...lines].filter((line) => line !== undefined).join('\n');
}

/** What has become of it. */
function factOf({ kind, name, holder, effect }: Done): string {
  const it = `${words(kind)} ${name}`;
  if (kind === 'role_grant' && effect === 'end') return `${holder ?? 'the agent'} no longer holds ${name}`;
  if (kind === 'team') return `what the team ${name} answers for ${teamWords[effect as keyof typeof teamWords]}`;
  if (effect === 'tokens')
    return `the tokens of the ${it} until now are dead; it goes on, and new ones can be had${onlyTokens[kind] ?? ''}`;
  if (effect === 'suspend') return `the ${it} is stopped`;
  if (kind === 'trusted_issuer' && effect === 'end') return `the issuer ${name} is trusted no more`;
  if (kind === 'key') return `the signing key ${name} is believed no more`;
  return `the ${it} has ended`;
}

const teamWords = { suspend: 'is stopped', end: 'has ended', tokens: 'goes on by new tokens' } as const;

const onlyTokens: Readonly<Record<string, string>> = {
  agent: ' (stop it: without --tokens-only)',
  role: ' (end the role: --for-good)',
  resource: ' (end the resource: --for-good)',
  person: ' (stop their agents: --with-agents)',
};

/** The command that takes it back, where there is one. */
function undoOf({ kind, name, holder, effect, reach }: Done): string | undefined {
  if (effect === 'suspend' && kind === 'agent') return `Until: bailiwick agents resume ${name}`;
  if (effect === 'suspend' && kind === 'mandate') return `Until: bailiwick mandates resume ${name}`;
  if (effect === 'suspend' && kind === 'trusted_issuer') return `Until: bailiwick issuers resume ${name}`;
  if (effect === 'suspend' && (kind === 'team' || kind === 'person')) {
    return `Until, for each: bailiwick agents resume ${reach.agents.names[0] ?? 'AGENT'}`;
  }
  if (effect === 'suspend') return `Until: PATCH /admin/v1/organizations, or ask whoever answers for ${name}`;
  if (kind === 'role_grant' && effect === 'end' && holder !== undefined)
    return `Undo: bailiwick roles grant ${name} ${holder}`;
  if (effect === 'end' && kind === 'trusted_issuer') return `It can be trusted anew: bailiwick issuers trust ${name}`;
  return effect === 'end' ? 'It can not be undone.' : undefined;
}
