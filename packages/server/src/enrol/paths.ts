/** Where instances enrol. Routes and the `htu` of proofs derive from this. */
export const instancesPath = '/instances';

interface Bases {
  issuer: string;
  mtls: { url: string | undefined };
}

/** A URL of ours as clients may name it: at the issuer, and at the listener for mutual TLS. */
export const instanceUrls = (config: Bases, below = ''): string[] =>
  [config.issuer, config.mtls.url].filter((base) => base !== undefined).map((base) => base + instancesPath + below);
