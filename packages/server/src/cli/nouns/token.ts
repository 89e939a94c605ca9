import { BailiwickError, createAgent } from '@bailiwick/agent';
import { parseCompact } from '@bailiwick/protocol';
import { openApi, tokenRefused } from '../api.ts';
import { type Context, command } from '../command.ts';
import { CliError } from '../errors.ts';
import { type Identity, readIdentity } from '../identity.ts';
import { findResource } from '../names.ts';
import { fields, painter, show, span } from '../output.ts';

export const token = command({
  name: 'token',
  summary: 'Get an access token and show what is in it.',
  description:
    'It is got as an agent would get it, with the key file that --identity names. The token itself is shown only with --raw: whoever sees ' +
    'it may be able to use it.',
  arguments: [
    {
      name: 'resource',
      optional: true,
      description: 'What it is for, by identifier (or by name, if this identity may see resources). Else its default.',
    },
  ],
  options: {
    scope: { value: 'SCOPE', many: true, description: 'Only these scopes.' },
    raw: { description: 'Write the token and nothing else.' },
  },
  examples: [
    { command: 'bailiwick token http://localhost:3000 --identity desk.json', does: 'What does desk get there?' },
    { command: 'bailiwick token --json', does: "The operator's own, for a program" },
  ],
  async run(context, [name], options) {
    const identity = readIdentity(context);
    const resource =
      name === undefined || name.includes('://') ? name : (await findResource(openApi(context), name)).identifier;
    const agent = createAgent({
      issuer: identity.issuer,
      clientId: identity.client_id,
      key: identity.jwk,
      now: context.io.now,
    });
    const scope = options.scope.flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== '');
    const info = await agent
      .token({ ...(resource === undefined ? {} : { resource }), ...(scope.length === 0 ? {} : { scope }) })
      .catch((error: unknown) => {
        throw error instanceof BailiwickError ? refusal(context, identity, error) : error;
      });
    const raw = info.dangerouslyExposeToken();
    if (options.raw) return context.io.out(`${raw}\n`);
    const { header, payload } = parseCompact(raw);
    const seconds = Math.round((info.expiresAt - context.io.now()) / 1000);
    show(context, { token_type: info.tokenType, expires_in: seconds, header, claims: payload }, () => {
      const paint = painter(context.io);
      const bound =
        info.tokenType === 'DPoP'
          ? 'bound to a key: useless to who finds it'
          : 'bound to nothing: whoever finds it can use it';
      const lines = Object.entries(payload).map(([claim, value]) => [claim, claimText(claim, value)] as const);
      return [
        `${paint('bold', `${info.tokenType} token`)}, ${bound}, for ${span(seconds * 1000)}`,
        '',
        fields(context, [
          ['alg', String(header.alg)],
          ['typ', String(header.typ)],
          ['kid', String(header.kid)],
        ]),
        '',
        fields(context, lines),
      ].join('\n');
    });
  },
});

/** No default scopes is what an agent has whose role came after it: the way out is not the one of other refusals. */
function refusal(context: Context, identity: Identity, error: BailiwickError): CliError {
  const failure = tokenRefused(context, identity, error);
  if (error.code !== 'invalid_scope' || !error.message.includes('no default')) return failure;
  return new CliError(failure.reason, failure.message, {
    hint:
      'Name them: `bailiwick token RESOURCE --scope SCOPE`. Or make what its roles give there now its default: ' +
      `\`bailiwick agents update ${identity.client_id} --resource RESOURCE\`. Defaults are those of the time of registration.`,
  });
}

function claimText(claim: string, value: unknown): string {
  if (/^(iat|exp|nbf)$/.test(claim) && typeof value === 'number') {
    return `${value} (${new Date(value * 1000).toISOString().replace('.000', '')})`;
  }
  if (claim === 'scope' && typeof value === 'string') return value.split(' ').join('\n');
  return typeof value === 'string' ? value : JSON.stringify(value);
}
