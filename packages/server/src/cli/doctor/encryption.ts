/** Whether private keys lie encrypted: what the configuration says, held against what lies in the database. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../../config.ts';
import { isLoopback } from '../../config-values.ts';
import { type AtRest, WrongKey } from '../../lib/at-rest.ts';
import { silentLogger } from '../../lib/log.ts';
import { systemRandom } from '../../lib/random.ts';
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import type { CertificateAuthority } from '../registry.ts';
import { type Finding, fail, note, ok, openToOthers, warn } from './finding.ts';

/** What to do once encryption is on: what was copied before stays readable. */
export const rotateAll =
  'bailiwick keys rotate --all; bailiwick ca rotate root; bailiwick ca rotate jwt_svid_key (older copies of the database hold the keys of before)';

/** Whether there is a database where the configuration says: only then can it be looked into from here. */
export const isBesideData = (config: Config): boolean =>
  config.database_url !== undefined || existsSync(path.join(config.data, 'bailiwick.db'));

/** Whether private keys lie encrypted, and whether the server could open them when it starts with this configuration. */
export async function checkEncryption(config: Config): Promise<Finding> {
  const [from] = Object.entries(config.key_encryption).find(([, value]) => value !== undefined) ?? [];
  const { file } = config.key_encryption;
  if (file !== undefined && openToOthers(statSync(file, { throwIfNoEntry: false }))) {
    return warn('encryption', `Others on this machine may read ${file}.`, `chmod 600 ${file}`);
  }
  const { openEncryption } = await import('../../keys/encryption.ts');
  let encryption: AtRest;
  try {
    encryption = await openEncryption(config, systemRandom());
  } catch (error) {
    return fail('encryption', (error as Error).message, `Look at key_encryption.${from}.`);
  }
  try {
    const { plain, sealed } = await inDatabase(config, encryption);
    if (from === undefined) return notEncrypted(config.issuer);
    if (plain > 0) {
      const message = `${plain} private keys and secrets are not encrypted yet, though key_encryption.${from} is set.`;
      return warn('encryption', message, `Start the server again, which encrypts them; then ${rotateAll}`);
    }
    const what = sealed === 0 ? 'private keys will be encrypted' : 'private keys lie encrypted';
    return ok('encryption', `${what}, under the key of key_encryption.${from}`);
  } catch (error) {
    if (!(error instanceof WrongKey)) throw error;
    return fail(
      'encryption',
      error.message,
      'The server will not start with this configuration. If that key is lost, so are the keys of this server: restore a backup whose key is known.',
    );
  }
}

/** How a server that keeps its data elsewhere says that it keeps its private keys. Nothing where that is not this identity's to know. */
export async function checkServerEncryption(api: Api): Promise<Finding[]> {
  try {
    const { encrypted } = await api.get<CertificateAuthority>('/certificate-authority');
    return [
      encrypted ? ok('encryption', 'the server keeps its private keys encrypted') : notEncrypted(api.identity.issuer),
    ];
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return [];
    throw error;
  }
}

function notEncrypted(issuer: string): Finding {
  const plain = 'The private keys are not encrypted in the database: whoever gets a copy of it is this server.';
  // on one machine alone, with nobody else relying on it, there is little to lose yet: to be known, not to be mended
  if (isLoopback(new URL(issuer).hostname)) return note('encryption', plain);
  const todo = `Set key_encryption.file (or .command) to a key that is kept elsewhere, and start again; then ${rotateAll}`;
  return warn('encryption', plain, todo);
}

/** @throws WrongKey */
async function inDatabase(config: Config, encryption: AtRest): Promise<{ plain: number; sealed: number }> {
  const nothing = { plain: 0, sealed: 0 };
  if (!isBesideData(config)) return nothing;
  const { openDatabase } = await import('../../store/open.ts');
  const { countAtRest } = await import('../../keys/encryption.ts');
  const database = await openDatabase(config, { onError: () => silentLogger }).catch(() => undefined);
  if (database === undefined) return nothing; // what is wrong with it is a finding of its own
  try {
    return await countAtRest(database, encryption);
  } catch (error) {
    if (error instanceof WrongKey) throw error;
    return nothing; // its tables were never made
  } finally {
    await database.close();
  }
}
