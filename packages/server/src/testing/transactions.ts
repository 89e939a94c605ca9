/** A service that is called from outside and goes on inside of the trust domain: for tests of transaction tokens. */
import assert from 'node:assert/strict';
import { parseCompact, type TransactionClaims } from '@bailiwick/protocol';
import { accessTokenType, type ExchangeScene, exchanged, exchangeType, type SharedApi } from './exchange.ts';
import type { ServerForClients, TokenClient } from './token-client.ts';

export const transactionType = 'urn:ietf:params:oauth:token-type:txn_token';

export interface TransactionScene {
  /** Called from outside, and served by `gateway`. */
  front: SharedApi;
  /** Inside: transactions that begin at `front` come to these, and each is served by the agent of its name. */
  stock: SharedApi;
  ledger: SharedApi;
  caller: TokenClient;
  gateway: TokenClient;
  clerk: TokenClient;
  mandate: string;
  /** Of the mandate, for `front`: `book pay`. */
  token: string;
}

export async function transactionScene(
  server: ServerForClients,
  scene: ExchangeScene,
  mandate: Record<string, unknown> = {},
): Promise<TransactionScene> {
  const [front, stock, ledger] = [await scene.anotherApi(), await scene.anotherApi(), await scene.anotherApi()];
  const caller = await scene.agent([front]);
  const serving = { grants: [exchangeType], resources: [] };
  const [gateway, clerk] = [await scene.agent([], serving), await scene.agent([], serving)];
  const patch = (api: SharedApi, body: object) => server.admin('PATCH', `/resources/${api.id}`, body);
  await patch(front, { served_by: [gateway.clientId], token: { transactions: [stock.id, ledger.id] } });
  await patch(stock, { served_by: [clerk.clientId] });
  const resources = [{ resource: front.identifier, scope: 'book pay' }];
  const given = await scene.give(caller, { resources, ...mandate });
  const { token } = await exchanged(caller, given);
  return { front, stock, ledger, caller, gateway, clerk, mandate: given, token };
}

/** Parameters of a request for a transaction token, of an access token unless `more` says otherwise. The trust domain of tests is `localhost`. */
export const transactionOf = (subject: string, more: Record<string, string> = {}): Record<string, string> => ({
  grant_type: exchangeType,
  requested_token_type: transactionType,
  audience: 'localhost',
  scope: 'book',
  subject_token: subject,
  subject_token_type: accessTokenType,
  ...more,
});

export const replacing = { subject_token_type: transactionType };

export interface Begun {
  token: string;
  header: Record<string, unknown>;
  claims: TransactionClaims;
  body: Record<string, unknown>;
}

/** Asks for one, which must succeed. */
export async function begun(
  client: Pick<TokenClient, 'send'>,
  subject: string,
  more: Record<string, string> = {},
): Promise<Begun> {
  const { status, body } = await client.send(transactionOf(subject, more));
  assert.equal(status, 200, JSON.stringify(body));
  const token = String(body.access_token);
  const { header, payload } = parseCompact(token);
  return { token, header, claims: payload as unknown as TransactionClaims, body };
}
