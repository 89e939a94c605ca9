import { generateKeyPairSync, type KeyObject, verify } from 'node:crypto';

let nobody: KeyObject | undefined;
const bytes = Buffer.alloc(512);
const signature = Buffer.alloc(64, 1);

/** Costs what looking at the signature of a certificate or a JWT-SVID costs, so that a stranger costs what an acquaintance costs. */
export function verifyNothing(): void {
  nobody ??= generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  verify('sha256', bytes, { key: nobody, dsaEncoding: 'ieee-p1363' }, signature);
}
