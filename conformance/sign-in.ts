/** A provider of identities that we did not write, over TLS, and a person who signs in there as a browser would have them do it. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';
import * as openid from 'openid-client';

export const clientId = 'assistant-app';
const redirectUri = 'https://assistant.example/signed-in';

export type SignIn = Awaited<ReturnType<typeof signIn>>;

/** @param web whose certificate it shows, and the authority that it is of */
export async function signIn(web: { cert: string; key: string; ca: string }) {
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  const server = createServer(web, (incoming, answer) => handle(incoming, answer)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;

  /** From now on a new key signs, and no other is published. */
  function rotate(): void {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'ES256', use: 'sig' };
    const provider = new Provider(issuer, {
      clients: [
        {
          client_id: clientId,
          token_endpoint_auth_method: 'none',
          redirect_uris: [redirectUri],
          id_token_signed_response_alg: 'ES256',
        },
      ],
      jwks: { keys: [jwk] },
      cookies: { keys: [randomUUID()] },
      conformIdTokenClaims: false,
      claims: { openid: ['sub', 'hd', 'groups'] },
      findAccount: (_: unknown, sub: string) => ({
        accountId: sub,
        claims: () => ({ sub, hd: 'example.com', groups: ['org/eu/travellers'] }),
      }),
    });
    handle = provider.callback();
  }
  rotate();

  /** `fetch` for whoever trusts this certificate; follows nowhere. */
  const fetchHere = (url: string, options: RequestInit = {}): Promise<Response> =>
    new Promise((resolve, reject) => {
      const headers = Object.fromEntries(new Headers(options.headers));
      const sent = request(url, { method: options.method ?? 'GET', headers, ca: web.ca }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => {
          const said = new Headers();
          for (const [name, values] of Object.entries(answer.headersDistinct)) {
            for (const value of values ?? []) said.append(name, value);
          }
          const body = parts.length > 0 ? Buffer.concat(parts) : null;
          resolve(new Response(body, { status: answer.statusCode as number, headers: said }));
        });
      });
      sent.on('error', reject);
      sent.end(options.body === undefined || options.body === null ? undefined : String(options.body));
    });

  /** Signs somebody in, and answers the ID token that the client verified. */
  async function idToken(login: string): Promise<string> {
    const config = await openid.discovery(new URL(issuer), clientId, undefined, openid.None(), {
      [openid.customFetch]: fetchHere as openid.CustomFetch,
    });
    config[openid.customFetch] = fetchHere as openid.CustomFetch;
    const verifier = openid.randomPKCECodeVerifier();
    const nonce = openid.randomNonce();
    const start = openid.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      scope: 'openid',
      nonce,
      code_challenge: await openid.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const back = await browse(start, login);
    const tokens = await openid.authorizationCodeGrant(config, back, {
      pkceCodeVerifier: verifier,
      expectedNonce: nonce,
    });
    return tokens.id_token as string;
  }

  /** As a browser: with cookies, along every redirect, through the two forms, until it is sent back to the client. */
  async function browse(start: URL, login: string): Promise<URL> {
    const cookies = new Map<string, string>();
    let url = start;
    let form: string | undefined;
    for (let steps = 0; steps < 12; steps++) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const answer = await fetchHere(url.href, {
        headers: { cookie, ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }) },
        ...(form !== undefined && { method: 'POST', body: form }),
      });
      for (const line of answer.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        cookies.set(name, value);
      }
      const to = answer.headers.get('location');
      form = undefined;
      if (to !== null) {
        url = new URL(to, url);
        if (url.href.startsWith(redirectUri)) return url;
        continue;
      }
      const [, prompt] = /name="prompt" value="(\w+)"/.exec(await answer.text()) ?? [];
      if (prompt === undefined) throw new Error(`${url.pathname} answered ${answer.status}, and asks for nothing`);
      form = String(new URLSearchParams({ prompt, ...(prompt === 'login' && { login, password: 'any' }) }));
    }
    throw new Error('signing in does not come to an end');
  }

  return {
    issuer,
    rotate,
    idToken,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
