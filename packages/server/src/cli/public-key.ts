/** The public half of a key that exists: a JWK, a key file, or PEM. The private half stays in this file's functions. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import path from 'node:path';
import { importPublicJwk, type PublicJwk, publicJwk } from '@bailiwick/protocol';
import { z } from 'zod';
import type { Context } from './command.ts';
import { CliError } from './errors.ts';
import { asJson, jwkSchema, readText } from './identity.ts';

/**
 * The public half of the key in a file.
 * @throws CliError when the file holds no key, or one that the server would refuse
 */
export function publicKeyIn(context: Pick<Context, 'io'>, name: string): PublicJwk {
  return keyIn(context, name).jwk;
}

/** As `publicKeyIn`, and whether the private half is in the file as well. */
export function keyIn({ io }: Pick<Context, 'io'>, name: string): { jwk: PublicJwk; wasPrivate: boolean } {
  const file = path.resolve(io.cwd, name);
  const text = readText(file, () => 'It must hold a JWK, be a key file, or be PEM.');
  if (text.includes('-----BEGIN ')) return { jwk: pemKey(text, file), wasPrivate: text.includes('PRIVATE KEY-----') };
  const candidate = z
    .union([z.object({ jwk: jwkSchema }).transform(({ jwk }) => jwk), jwkSchema])
    .safeParse(asJson(text));
  if (!candidate.success)
    throw new CliError('usage', `${file} holds no key: it must be a JWK, a key file with a jwk, or PEM.`);
  return { jwk: usablePublicKey(candidate.data, `the key in ${file}`), wasPrivate: 'd' in candidate.data };
}

/** @throws CliError for what the server would refuse */
export function usablePublicKey(jwk: object, what: string): PublicJwk {
  try {
    const half = publicJwk(jwk as PublicJwk);
    importPublicJwk(half);
    return half;
  } catch (error) {
    throw new CliError(
      'usage',
      `${what.charAt(0).toUpperCase()}${what.slice(1)} can't be used: ${(error as Error).message}.`,
    );
  }
}

/** RSA keys in PEM don't say what they sign with: PS256, the better of the two. */
function pemKey(text: string, file: string): PublicJwk {
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch {
    throw new CliError('usage', `The PEM in ${file} can't be read.`, {
      hint: 'It must be a public key, or a private key without a passphrase. Of an encrypted one: openssl pkey -in KEY.pem -pubout -out KEY.pub.pem',
    });
  }
  const jwk =
    key.asymmetricKeyType === 'rsa'
      ? { ...key.export({ format: 'jwk' }), alg: 'PS256' }
      : key.export({ format: 'jwk' });
  return usablePublicKey(jwk, `the key in ${file}`);
}
