/** The keys and other credentials that a fleet file names, read and made comparable with what is registered. */
import path from 'node:path';
import { ProtocolError, thumbprint } from '@bailiwick/protocol';
import { readAuthorities, readCertificate } from '../../credentials/certificate.ts';
import { subjectFields } from '../../credentials/credential.ts';
import { canonicalSubject, readSpiffePattern, spiffeThumbprint, subjectThumbprint } from '../../credentials/subject.ts';
import type { Context } from '../command.ts';
import { CliError } from '../errors.ts';
import { readText } from '../identity.ts';
import { publicKeyIn, usablePublicKey } from '../public-key.ts';
import type { Say } from '../yaml-file.ts';
import type { WantedCredential, WantedOfAgent } from './changes.ts';
import type { Fleet, FleetCredential, FleetKey } from './fleet.ts';

/** What the file gives each agent, and a line for each that can't be used. */
export function wantedCredentials(context: Context, fleet: Fleet, folder: string, say: Say) {
  const there = { io: { ...context.io, cwd: folder } };
  const wanted = new Map<string, WantedOfAgent>();
  const mistakes: string[] = [];
  for (const [name, { keys, credentials }] of Object.entries(fleet.agents)) {
    const usable = <Item>(
      list: 'keys' | 'credentials',
      items: readonly Item[] | undefined,
      read: (item: Item) => WantedCredential,
    ) =>
      items
        ?.map((item, index) => {
          try {
            return read(item);
          } catch (error) {
            const why = whyNot(error);
            mistakes.push(say(['agents', name, list, index], why));
            return undefined;
          }
        })
        .filter((one) => one !== undefined);
    wanted.set(name, {
      keys: usable('keys', keys, (key) => wantedKey(there, key)),
      credentials: usable('credentials', credentials, (one) => wantedCredential(there, one)),
    });
  }
  return { wanted, mistakes };
}

function whyNot(error: unknown): string {
  if (error instanceof ProtocolError) return `can't be used: it ${error.message}.`;
  if (!(error instanceof CliError)) throw error;
  return [`can't be used: ${error.message}`, error.hint].filter(Boolean).join(' ');
}

function wantedKey(there: Pick<Context, 'io'>, key: FleetKey): WantedCredential {
  const label = 'label' in key ? key.label : undefined;
  const expires_at = 'expires_at' in key ? key.expires_at : undefined;
  if ('file' in key) {
    const jwk = publicKeyIn(there, key.file);
    return { body: { jwk }, thumbprint: thumbprint(jwk), title: path.basename(key.file), label, expires_at };
  }
  if ('d' in key.jwk) {
    throw new CliError('usage', 'it is a private key, which has no place in a fleet file: treat it as lost.', {
      hint: 'Make another with `bailiwick credentials add`, and name its file, or only its public half.',
    });
  }
  const jwk = usablePublicKey(key.jwk, 'the key');
  return { body: { jwk }, thumbprint: thumbprint(jwk), title: label ?? thumbprint(jwk), label, expires_at };
}

function wantedCredential({ io }: Pick<Context, 'io'>, one: FleetCredential): WantedCredential {
  const { label, expires_at } = one;
  const read = (file: string) =>
    readText(path.resolve(io.cwd, file), () => 'It must be PEM with certificates.', 'certificate');
  if (one.certificate !== undefined) {
    const { pem, x5t } = readCertificate(read(one.certificate));
    const body = { kind: 'certificate', certificate: pem };
    return { body, thumbprint: x5t, title: path.basename(one.certificate), label, expires_at };
  }
  if (one.spiffe_id !== undefined) {
    const { spiffe_id } = one;
    readSpiffePattern(spiffe_id);
    const body = { kind: 'spiffe_id', spiffe_id };
    return { body, thumbprint: spiffeThumbprint(spiffe_id), title: spiffe_id, label, expires_at };
  }
  const field = subjectFields.find((each) => one[each] !== undefined);
  if (field === undefined) throw new Error('a credential without a name passed the schema');
  const value = canonicalSubject(field, one[field] ?? '');
  const ca = one.ca === undefined ? undefined : readAuthorities(read(one.ca));
  const subject = { field, value, ...(ca !== undefined && { ca: ca.map(({ pem }) => pem).join('') }) };
  const body = { kind: 'certificate_subject', subject };
  return { body, thumbprint: subjectThumbprint(subject), title: `${field}=${value}`, label, expires_at };
}
