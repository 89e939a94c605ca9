/** What the listener for mutual TLS shows of itself: files of the configuration, or a certificate of our own authority. */
import { stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Config } from './config.ts';
import type { Deps } from './deps.ts';
import { pem } from './lib/pem.ts';
import type { CertificateSource, ServerCertificate } from './mutual-tls.ts';

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

function issued(opened: Promise<Deps>): CertificateSource {
  return async () => {
    await opened;
    throw new Error('the authority is not there yet');
  };
}
