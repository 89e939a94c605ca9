/** A server that trusts a provider of identities, a person whom both know, and an agent that may act by the provider's word. */
import { randomUUID } from 'node:crypto';
import type { AccessTokenClaims } from '@bailiwick/protocol';
import type { DialectName } from '../store/database.ts';
import { type ExchangeScene, exchanged, exchangeOf, exchangeScene } from './exchange.ts';
import { type ForeignClaims, type ForeignIssuer, foreignIssuer } from './foreign-issuer.ts';
import { startServer, type TestServer } from './harness.ts';
import { testWeb } from './signal-receiver.ts';
import type { TokenClient } from './token-client.ts';

export const idTokenType = 'urn:ietf:params:oauth:token-type:id_token';
/** Whom the provider's tokens are for. */
export const audience = 'assistant-app';

export type IssuerScene = Awaited<ReturnType<typeof issuerScene>>;

export async function issuerScene(database: DialectName) {
  const web = await testWeb();
  const server: TestServer = await startServer({
    database,
    config: { outbound: { ca_file: web.caFile }, limits: { tokens_per_minute: 100_000 } },
  });
  const scene: ExchangeScene = await exchangeScene(server);
  const agent = await scene.agent();
  const providers: ForeignIssuer[] = [];
  const provider = async (path?: string) => {
    const made = await foreignIssuer(web, server.clock, path);
    providers.push(made);
    return made;
  };
  const idp = await provider();
  const subject = `sub-${randomUUID()}`;
  /** What the provider calls them, and more. */
  const person = async (more: object = {}) => {
    const sub = `sub-${randomUUID()}`;
    const { id } = await server.admin<{ id: string }>('POST', '/people', {
      name: 'Somebody',
      identities: [{ issuer: idp.issuer, subject: sub }],
      ...more,
    });
    return { id, sub };
  };
  await server.admin('PATCH', `/people/${scene.person}`, { identities: [{ issuer: idp.issuer, subject }] });

  const rule = (more: object = {}) => ({
    name: 'staff',
    agents: [agent.clientId],
    resources: [{ resource: scene.api.identifier, scope: 'book pay' }],
    ...more,
  });
  /** Trusts a provider: the scene's own unless another is given. */
  const trust = (more: object = {}) =>
    server.admin<{ id: string }>('POST', '/trusted-issuers', {
      issuer: idp.issuer,
      accepts: ['id_token', 'access_token'],
      audiences: [audience],
      rules: [rule()],
      ...more,
    });
  const issuer = await trust();

  const claims = (more: Record<string, unknown> = {}): ForeignClaims =>
    idp.claims({ sub: subject, aud: audience, ...more });
  const idToken = (more?: Record<string, unknown>, header?: object) => idp.sign(claims(more), header);
  const accessToken = (more: Record<string, unknown> = {}, header: object = {}) =>
    idp.sign(claims({ client_id: 'web', ...more }), { typ: 'at+jwt', ...header });
  const idForm = (token: string, more: Record<string, string> = {}) =>
    exchangeOf(token, { subject_token_type: idTokenType, ...more });

  return {
    server,
    scene,
    agent,
    idp,
    provider,
    issuer,
    subject,
    person,
    rule,
    trust,
    claims,
    idToken,
    accessToken,
    idForm,
    /** Exchanges an ID token, which must succeed. */
    exchangedId: (
      token: string,
      more: Record<string, string> = {},
      by: TokenClient = agent,
    ): Promise<{ token: string; claims: AccessTokenClaims; body: Record<string, unknown> }> =>
      exchanged(by, token, { subject_token_type: idTokenType, ...more }),
    async close() {
      await server.close();
      for (const each of providers) each.close();
      web.remove();
    },
  };
}
