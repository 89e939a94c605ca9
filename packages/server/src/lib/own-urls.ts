/**
 * A URL of ours as clients may name it: at the issuer, and at the listener for mutual TLS where there is one.
 * @see RFC 8705 §5
 */
export function ownUrls(
  { issuer, mtls }: { issuer: string; mtls: { url: string | undefined } },
  path: string,
): string[] {
  return mtls.url === undefined ? [issuer + path] : [issuer + path, mtls.url + path];
}
