/** What the listener for mutual TLS shows of itself: files of the configuration, or a certificate of our own authority. */
import { generateKeyPairSync } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { PublicJwk } from '@bailiwick/protocol';
import { ownHosts } from './agents/dns-names.ts';
import type { Config } from './config.ts';
import type { Deps } from './deps.ts';
import { pem } from './lib/pem.ts';
import { asOf } from './liveness/liveness.ts';
import type { CertificateSource, ServerCertificate } from './mutual-tls.ts';
import { issueX509Svid, serverPath } from './svid/x509-svid.ts';

export interface OwnCertificate {
  current: CertificateSource;
  /** Says that the data is open. Connections that came before wait for it. */
  ready(deps: Deps): void;
}

/**
 * The certificate, made or read when it is first asked for and again in time before it ends: nothing runs in between.
 * @throws Error with a sentence when the files can't be read
 */
export function ownCertificate(config: Config): OwnCertificate {
  const { promise: opened, resolve: ready } = Promise.withResolvers<Deps>();
  const { files } = config.mtls;
  return { current: files ? fromFiles(files, opened) : issued(opened), ready };
}

/** Files that whoever renews them writes anew: looked at with each connection, taken when both fit together. */
function fromFiles(files: { cert: string; key: string }, opened: Promise<Deps>): CertificateSource {
  const read = (): ServerCertificate => {
    const pair = { cert: pem('mtls.cert', files.cert), key: pem('mtls.key', files.key) };
    createSecureContext(pair);
    return pair;
  };
  const changed = async () =>
    (await Promise.all([stat(files.cert), stat(files.key)])).map((file) => file.mtimeMs).join();
  let shown: ServerCertificate;
  try {
    shown = read();
  } catch (error) {
    const { message } = error as Error;
    throw message.startsWith('mtls.') ? error : new Error(`mtls.cert and mtls.key can't be used together (${message})`);
  }
  let as: string | undefined;
  return async () => {
    try {
      const now = await changed();
      if (as !== undefined && now !== as) shown = read();
      as = now;
    } catch (err) {
      (await opened).log.warn({ err }, 'mtls.cert and mtls.key have changed and can’t be used: the old ones stay');
    }
    return shown;
  };
}

const lifetimeMs = 24 * 60 * 60 * 1000;

interface Issued {
  certificate: ServerCertificate;
  /** Milliseconds. */
  renewAt: number;
  endsAt: number;
}

/** A certificate and a key of its own, both made anew at half its life. One that still holds is shown if that fails. */
function issued(opened: Promise<Deps>): CertificateSource {
  let held: Issued | undefined;
  let renewing: Promise<Issued> | undefined;
  return async () => {
    const deps = await opened;
    const now = deps.clock.now();
    if (held && now < held.renewAt) return held.certificate;
    renewing ??= issue(deps).finally(() => {
      renewing = undefined;
    });
    try {
      held = await renewing;
    } catch (err) {
      deps.log.error({ err }, 'the certificate of the listener for mutual TLS could not be renewed');
      if (!held || now >= held.endsAt) throw err;
    }
    return held.certificate;
  };
}

async function issue(deps: Deps): Promise<Issued> {
  const { config, clock } = deps;
  const { version } = await asOf(deps.db);
  const now = clock.now();
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { chain, notAfter } = await issueX509Svid(deps, version, {
    spiffeId: `spiffe://${config.trust_domain}/${serverPath.join('/')}`,
    publicKey: publicKey.export({ format: 'jwk' }) as PublicJwk,
    notAfter: now + lifetimeMs,
    ...namesOf(config),
    template: 'server',
  });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  return { certificate: { cert: chain, key }, renewAt: now + (notAfter - now) / 2, endsAt: notAfter };
}

/** By what clients may call us: as the issuer and the metadata do, and by this machine's own names. */
function namesOf(config: Config): { dnsNames: string[]; ipAddresses: string[] } {
  const names = [...new Set([...ownHosts(config), 'localhost', '127.0.0.1', '::1'])];
  return { dnsNames: names.filter((name) => isIP(name) === 0), ipAddresses: names.filter((name) => isIP(name) !== 0) };
}
