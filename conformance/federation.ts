// Servers that trust each other, and endpoints with bundles that no server would write.
import assert from 'node:assert/strict';
import { createPrivateKey, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createDpopProof, generateJwk, signerFrom } from '@bailiwick/protocol';
import { tidy } from '../packages/server/src/jobs.ts';
import { type FakeClock, fakeClock } from '../packages/server/src/lib/clock.ts';
import { makeAuthority, makeCertificate, type TestCertificate } from '../packages/server/src/testing/certificates.ts';
import { startServer, type TestServer, testEpoch } from '../packages/server/src/testing/harness.ts';
import { instanceClient } from '../packages/server/src/testing/instance-client.ts';
import { type TlsReply, tlsRequest } from '../packages/server/src/testing/tls-request.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import type { DatabaseName } from './world.ts';

// the certificates of the Web are judged by the machine's clock, whatever it says
export const always = { from: Date.UTC(2000, 0), until: Date.UTC(2049, 0) };

/** An authority that stands for those of the Web, in a file; and certificates of it. */
export interface Web {
  folder: string;
  caFile: string;
  certificate(more?: Parameters<typeof makeCertificate>[0]): Promise<TestCertificate>;
  close(): void;
}

export async function openWeb(): Promise<Web> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-web-'));
  const authority = await makeAuthority('CN=Test Web', always);
  const caFile = path.join(folder, 'web.pem');
  writeFileSync(caFile, authority.pem);
  return {
    folder,
    caFile,
    certificate: (more = {}) =>
      makeCertificate({
        ...always,
        issuer: authority,
        names: [
          ['dns', 'localhost'],
          ['ip', '127.0.0.1'],
        ],
        purposes: ['1.3.6.1.5.5.7.3.1'],
        ...more,
      }),
    close: () => rmSync(folder, { recursive: true }),
  };
}

export type Profile = 'https_web' | 'https_spiffe';

/** Two servers of two trust domains, at one time of their own. */
export interface TwoDomains {
  east: TestServer;
  west: TestServer;
  clock: FakeClock;
  /** Registers at `one` the trust domain of `other`, as an administrator does who has heard of it by other means. */
  register(one: TestServer, other: TestServer): Promise<TrustDomain>;
  /** Time passes, and what servers do by themselves is done. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

// biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of an answer by looking at it
export type TrustDomain = Record<string, any>;

export async function openTwoDomains(database: DatabaseName, profile: Profile, web: Web): Promise<TwoDomains> {
  const clock = fakeClock(testEpoch);
  const shown = await web.certificate();
  const [cert, key] = [path.join(web.folder, 'server.crt'), path.join(web.folder, 'server.key')];
  writeFileSync(cert, shown.chain);
  writeFileSync(key, shown.key);
  const start = (name: string) =>
    startServer({
      database,
      clock,
      config: {
        trust_domain: `${name}.example`,
        limits: { tokens_per_minute: 100_000 },
        ...(profile === 'https_web' && { outbound: { ca_file: web.caFile }, mtls: { cert, key } }),
      },
    });
  const east = await start('east');
  const west = await start('west').catch(async (error) => {
    await east.close();
    throw error;
  });
  return {
    east,
    west,
    clock,
    async register(one, other) {
      const name = other.deps.config.trust_domain;
      const url = `${other.mtlsUrl}/spiffe/bundle`;
      if (profile === 'https_web') {
        return one.admin<TrustDomain>('POST', '/trust-domains', { name, bundle_endpoint: { url } });
      }
      const bundle = await (await fetch(`${other.issuer}/spiffe/bundle`)).json();
      const bundle_endpoint = { url, profile, spiffe_id: `spiffe://${name}/_bailiwick/server` };
      return one.admin<TrustDomain>('POST', '/trust-domains', { name, bundle_endpoint, bundle });
    },
    async pass(ms) {
      clock.advance(ms);
      await Promise.all([east, west].map(({ deps }) => tidy(deps)));
    },
    async close() {
      await Promise.all([east.close(), west.close()]);
    },
  };
}

/** An agent of one server with instances that get tokens at another. */
export interface Traveller {
  /** The agent that its identities stand for, there. */
  there: TokenClient;
  /** The credential that says so. */
  credential: string;
  /** A new instance of the agent at home, with what it proves itself by. */
  set(): Promise<Identity>;
  byJwt(identity: Identity): Promise<TlsReply>;
  byCertificate(identity: Identity): Promise<TlsReply>;
}

export interface Identity {
  spiffeId: string;
  jwt: string;
  certificate: { chain: string; key: string };
  signer: ReturnType<typeof signerFrom>;
}

export async function traveller(home: TestServer, abroad: TestServer): Promise<Traveller> {
  const at = await tokenClient(home);
  const there = await tokenClient(abroad);
  const instances = instanceClient(home, at);
  const { subject } = await home.admin<{ subject: string }>('GET', `/agents/${at.clientId}`);
  const added = await abroad.admin<{ id: string }>('POST', '/credentials', {
    agent: there.clientId,
    kind: 'spiffe_id',
    spiffe_id: `${subject}/*`,
  });
  return {
    there,
    credential: added.id,
    async set() {
      const jwk = await generateJwk('ES256');
      const signer = signerFrom(jwk);
      const { answer } = await instances.instance({ signer, body: { jwt_svid_audiences: [abroad.issuer] } });
      const { spiffe_id, x509_svid, jwt_svids } = answer as {
        spiffe_id: string;
        x509_svid: { certificate_chain: string };
        jwt_svids: { token: string }[];
      };
      const key = createPrivateKey({ key: { ...jwk }, format: 'jwk' }).export({
        type: 'pkcs8',
        format: 'pem',
      }) as string;
      const certificate = { chain: x509_svid.certificate_chain, key };
      return { spiffeId: spiffe_id, jwt: jwt_svids[0]?.token ?? assert.fail('no JWT-SVID'), certificate, signer };
    },
    byJwt: (identity) => tokenByJwt(abroad, there, identity),
    byCertificate: ({ certificate }) => tokenByCertificate(abroad, there, certificate),
  };
}

/** Asks for a token by a JWT-SVID, bound to the key of a proof. */
export async function tokenByJwt(
  server: TestServer,
  { identifier }: TokenClient,
  { jwt, signer }: Pick<Identity, 'jwt' | 'signer'>,
): Promise<TlsReply> {
  const url = `${server.issuer}/oauth2/token`;
  const now = server.clock.now();
  const nonce = server.deps.nonces.current(now);
  const jti = randomBytes(12).toString('base64url');
  const form = {
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe',
    client_assertion: jwt,
    resource: identifier,
  };
  const dpop = await createDpopProof(signer, { htm: 'POST', htu: url, now, jti, nonce });
  const response = await fetch(url, { method: 'POST', headers: { dpop }, body: new URLSearchParams(form) });
  const text = await response.text();
  return { status: response.status, headers: {}, text, json: JSON.parse(text) };
}

/** Asks for a token by the certificate of the connection, to which it is bound. */
export function tokenByCertificate(
  server: TestServer,
  { clientId, identifier }: TokenClient,
  certificate: { chain: string; key: string },
): Promise<TlsReply> {
  const form = { grant_type: 'client_credentials', client_id: clientId, resource: identifier };
  return tlsRequest(`${server.mtlsUrl}/oauth2/token`, { certificate, form });
}

/** What a token says, without looking at its signature. */
export function claimsOf({ status, text, json }: TlsReply): Record<string, unknown> {
  assert.equal(status, 200, text);
  return JSON.parse(Buffer.from(String(json.access_token).split('.')[1] ?? '', 'base64url').toString());
}

/** An https endpoint that answers as the test says. */
export interface Endpoint {
  url: string;
  answer: RequestListener;
  /** How often it was asked. */
  asked: number;
  close(): Promise<void>;
}

export async function openEndpoint(
  shown: { chain: string; key: string },
  answer: RequestListener,
  host = 'localhost',
): Promise<Endpoint> {
  const server: Server = createServer({ cert: shown.chain, key: shown.key }, (request, response) => {
    endpoint.asked += 1;
    endpoint.answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint: Endpoint = {
    url: `https://${host}:${(server.address() as AddressInfo).port}/bundle`,
    answer,
    asked: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return endpoint;
}

/** An answer of this JSON, or of this text as it is. */
export const json =
  (body: unknown): RequestListener =>
  (_, response) =>
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(typeof body === 'string' ? body : JSON.stringify(body));

/** A bundle with these authorities. */
export function bundleOf(authorities: readonly TestCertificate[], more: Record<string, unknown> = {}) {
  const keys = authorities.map(({ der, key }) => ({
    use: 'x509-svid',
    ...publicPart(key),
    x5c: [der.toString('base64')],
  }));
  return { keys, ...more };
}

function publicPart(key: string): Record<string, unknown> {
  const { d: _, ...jwk } = createPrivateKey(key).export({ format: 'jwk' });
  return jwk;
}

/** An authority of a trust domain, and identities of it. */
export const makeSpiffeAuthority = (trustDomain: string) =>
  makeAuthority('CN=Authority', { ...always, names: [['url', `spiffe://${trustDomain}`]] });

export const makeSvid = (issuer: TestCertificate, spiffeId: string, more: Parameters<typeof makeCertificate>[0] = {}) =>
  makeCertificate({ ...always, issuer, names: [['url', spiffeId]], ...more });
