/** What can be seen from this machine alone: runtime, configuration, certificate, data folder, key file, database. */
import { X509Certificate } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../../config.ts';
import { silentLogger } from '../../lib/log.ts';
import { span } from '../output.ts';
import { type Finding, fail, ok, openToOthers, warn } from './finding.ts';

const dayMs = 86_400_000;

/** @param version as `process.versions.node` says it */
export function checkRuntime(version: string): Finding {
  const major = Number.parseInt(version, 10);
  if (major < 24) return fail('runtime', `Node.js ${version} is too old.`, 'Use Node.js 24 or newer.');
  if (major < 26) return ok('runtime', `Node.js ${version}; 26 signs tokens nearly three times faster`);
  return ok('runtime', `Node.js ${version}`);
}

/** How the server is reached: plain http on this machine, its own TLS, or a proxy's. */
export function checkTransport(config: Config, now: number): Finding {
  const { tls, issuer } = config;
  if (tls !== undefined) return checkCertificate(tls, new URL(issuer).hostname, now);
  if (config.trusted_proxies.length > 0) {
    return ok('transport', `${issuer}, with TLS ended by ${config.trusted_proxies.join(', ')}`);
  }
  return ok('transport', `plain http, on this machine alone (${issuer})`);
}

function checkCertificate(tls: { cert: string; key: string }, host: string, now: number): Finding {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(readFileSync(tls.cert));
    accessSync(tls.key, constants.R_OK);
  } catch (error) {
    return fail(
      'transport',
      `The TLS files can't be used: ${(error as Error).message}.`,
      'Look at tls.cert and tls.key.',
    );
  }
  const left = certificate.validToDate.getTime() - now;
  if (left <= 0) return fail('transport', `The certificate ended ${span(left)} ago.`, `Renew ${tls.cert} and restart.`);
  if (!certificate.checkHost(host) && !certificate.checkIP(host)) {
    return fail(
      'transport',
      `The certificate is not for ${host}, the issuer's host.`,
      `Get one for ${host} into ${tls.cert}.`,
    );
  }
  if (left < 14 * dayMs)
    return warn('transport', `The certificate ends in ${span(left)}.`, `Renew ${tls.cert} and restart.`);
  return ok('transport', `https, certificate good for ${span(left)}`);
}

/** The folder with the keys of the house. */
export function checkData(config: Config): Finding[] {
  const folder = stat(config.data);
  if (folder === undefined) {
    return [
      warn(
        'data',
        `There is nothing at ${config.data}: no server has started with this configuration.`,
        'Run `bailiwick serve`; or, if the data of a server is elsewhere, name that folder: BAILIWICK_DATA=FOLDER, or --config FILE.',
      ),
    ];
  }
  const found: Finding[] = [];
  if (openToOthers(folder)) {
    found.push(warn('data', `Others on this machine may look into ${config.data}.`, `chmod 700 ${config.data}`));
  }
  const database = stat(path.join(config.data, 'bailiwick.db'));
  if (database !== undefined && openToOthers(database)) {
    found.push(
      fail(
        'data',
        'Others may read the database, which holds the signing keys.',
        `chmod 600 ${config.data}/bailiwick.db*`,
      ),
    );
  }
  return found.length > 0 ? found : [ok('data', `${config.data}, for its owner alone`)];
}

/** A key file: there, private, readable. What it opens is for the server to say. */
export function checkKeyFile(file: string): Finding {
  const found = stat(file);
  if (found === undefined) {
    return fail(
      'key file',
      `There is no key file at ${file}.`,
      'Name one with --identity; if it is lost: `bailiwick operator recover`.',
    );
  }
  if (openToOthers(found))
    return fail(
      'key file',
      `Others on this machine may read ${file}.`,
      `chmod 600 ${file}; then \`bailiwick operator rotate\``,
    );
  return ok('key file', `${file}, for its owner alone`);
}

/** Opens the database as the server does: it refuses one that would forget what was committed. */
export async function checkDatabase(config: Config): Promise<Finding> {
  if (config.database_url === undefined && !existsSync(path.join(config.data, 'bailiwick.db'))) {
    return ok('database', 'SQLite: made at the first start');
  }
  const { openDatabase } = await import('../../store/open.ts');
  try {
    const database = await openDatabase(config, { onError: () => silentLogger });
    const { database: name, ...settings } = await database.durability();
    await database.close();
    const words = Object.entries(settings).map(([key, value]) => `${key} ${value}`);
    return ok('database', `${name}, durable (${words.join(', ')})`);
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return fail(
      'database',
      `It can't be opened: ${message || code}.`,
      'Look at database_url, at the rights of its user, and at the disk.',
    );
  }
}

function stat(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined;
  }
}
