/** Every setting of the server, in one strict schema. */
import { isIP } from 'node:net';
import { areNetworks, forwardedHeaders, zonesOf } from '@bailiwick/protocol';
import { z } from 'zod';
import type { SettingMeta } from './lib/settings.ts';

const about = (meta: SettingMeta) => meta as unknown as z.GlobalMeta;
const seconds = (min: number, max: number) => z.number().int().min(min).max(max);
const wholeSeconds = (min: number, max: number) => `a whole number of seconds from ${min} to ${max}`;

/** The schema of bailiwick.yaml. Names are what one writes there; `BAILIWICK_` and the name in capitals is the environment's. */
export const configSchema = z.strictObject({
  issuer: z
    .string()
    .refine(isIssuer)
    .optional()
    .meta(
      about({
        description:
          'The address by which everybody knows this server, exactly as tokens name it. Choose it before you register anything: key files and verifiers carry it, and data that was made under another is refused (in plain http, on one machine, it moves along).',
        expects: 'an https URL without query, fragment or slash at its end (http only for localhost)',
        example: 'https://id.example.com',
        computed: 'http://localhost:<port>; https when tls is set',
      }),
    ),
  host: z
    .array(z.string().refine((host) => host === 'localhost' || isIP(host) !== 0))
    .min(1)
    .default(['127.0.0.1', '::1'])
    .meta(
      about({
        description: 'The addresses to listen on. More than this machine needs tls or trusted_proxies.',
        expects: 'a list of IP addresses of this machine',
        example: '127.0.0.1,::1',
      }),
    ),
  port: z
    .number()
    .int()
    .min(0)
    .max(65535)
    .default(8455)
    .meta(
      about({
        description: 'The port to listen on. 0 takes any free one (for tests).',
        expects: 'a whole number from 0 to 65535',
        example: '8455',
      }),
    ),
  data: z
    .string()
    .min(1)
    .default('./data')
    .meta(
      about({
        description:
          'The folder of the database, the signing keys and operator.json. In bailiwick.yaml relative to that file, otherwise to where the command runs. Keep it private and in your backups.',
        expects: 'a folder',
        example: './data',
      }),
    ),
  database_url: z
    .string()
    .regex(/^postgres(ql)?:\/\/./)
    .optional()
    .meta(
      about({
        description:
          'A PostgreSQL database to use instead of the embedded SQLite. Prefer the environment: it may hold a password.',
        expects: 'a URL that begins with postgres://',
        example: 'postgres://bailiwick@db.internal/bailiwick',
        computed: 'SQLite in <data>/bailiwick.db',
        secret: true,
      }),
    ),
  trust_domain: z
    .string()
    .regex(/^[a-z0-9._-]{1,255}$/)
    .optional()
    .meta(
      about({
        description:
          'The first part of every agent’s name, spiffe://<trust_domain>/<organization>/<agent>. Two servers on one host need two. Never change it once agents exist.',
        expects: 'lowercase letters, digits, dots, hyphens and underscores, at most 255',
        example: 'agents.example.com',
        computed: "the issuer's host name",
      }),
    ),
  tls: z
    .strictObject({
      cert: z
        .string()
        .min(1)
        .optional()
        .meta(
          about({
            description: 'A PEM file with the certificate and its chain.',
            expects: 'a PEM file',
            example: '/etc/bailiwick/tls.crt',
          }),
        ),
      key: z
        .string()
        .min(1)
        .optional()
        .meta(
          about({
            description: 'A PEM file with the certificate’s private key.',
            expects: 'a PEM file',
            example: '/etc/bailiwick/tls.key',
          }),
        ),
    })
    .prefault({}),
  trusted_proxies: z
    .array(z.string().refine(isCidr))
    .default([])
    .meta(
      about({
        description:
          'The addresses of the reverse proxies that end TLS for this server; what they say of their clients (forwarded_header) is believed from them alone.',
        expects: 'a list of addresses or networks in CIDR notation',
        example: '10.0.0.0/8,::1',
      }),
    ),
  forwarded_header: z
    .enum(forwardedHeaders)
    .default('x-forwarded-for')
    .meta(
      about({
        description:
          'The one header in which trusted_proxies say whose request they pass on. The other is not read: a proxy rewrites the one that it knows, and lets through what clients write into the other.',
        expects: '"x-forwarded-for" or "forwarded" (RFC 7239)',
        example: 'forwarded',
      }),
    ),
  token: z
    .strictObject({
      lifetime_seconds: seconds(1, 900)
        .default(600)
        .meta(
          about({
            description: 'How long an access token lives, unless its resource or agent says less.',
            expects: wholeSeconds(1, 900),
            example: '600',
          }),
        ),
    })
    .prefault({}),
  assertion: z
    .strictObject({
      max_lifetime_seconds: seconds(10, 3600)
        .default(300)
        .meta(
          about({
            description: 'How far ahead the `exp` of a client’s assertion may lie.',
            expects: wholeSeconds(10, 3600),
            example: '300',
          }),
        ),
    })
    .prefault({}),
  clock_skew_seconds: seconds(0, 60)
    .default(30)
    .meta(
      about({
        description: 'How far another machine’s clock may differ from ours.',
        expects: wholeSeconds(0, 60),
        example: '30',
      }),
    ),
  dpop: z
    .strictObject({
      nonce: z
        .enum(['required', 'optional'])
        .default('required')
        .meta(
          about({
            description:
              'Whether a DPoP proof at the token endpoint must carry a nonce of ours (RFC 9449 §8). Without it a proof made ahead of time works within its age.',
            expects: '"required" or "optional"',
            example: 'required',
          }),
        ),
      nonce_lifetime_seconds: seconds(30, 3600)
        .default(300)
        .meta(
          about({
            description: 'How long a nonce that we handed out is accepted.',
            expects: wholeSeconds(30, 3600),
            example: '300',
          }),
        ),
      proof_max_age_seconds: seconds(10, 300)
        .default(60)
        .meta(
          about({
            description: 'How old a DPoP proof may be.',
            expects: wholeSeconds(10, 300),
            example: '60',
          }),
        ),
    })
    .prefault({}),
  keys: z
    .strictObject({
      publish_seconds: seconds(1, 86_400)
        .default(600)
        .meta(
          about({
            description:
              'How long a new signing key is published before it signs, so that every verifier has fetched it by then.',
            expects: `${wholeSeconds(1, 86_400)}, and more than keys.jwks_max_age_seconds`,
            example: '600',
          }),
        ),
      jwks_max_age_seconds: seconds(0, 3600)
        .default(300)
        .meta(
          about({
            description: 'How long verifiers may keep our key set before they ask again.',
            expects: `${wholeSeconds(0, 3600)}, and less than keys.publish_seconds`,
            example: '300',
          }),
        ),
    })
    .prefault({}),
  mtls: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .meta(
          about({
            description:
              'Whether to listen for mutual TLS, on a port of its own so that no browser is ever asked for a certificate.',
            expects: 'true or false',
            example: 'true',
          }),
        ),
      port: z
        .number()
        .int()
        .min(0)
        .max(65535)
        .optional()
        .meta(
          about({
            description: 'The port to listen on for mutual TLS. 0 takes any free one (for tests).',
            expects: 'a whole number from 0 to 65535',
            example: '8456',
            computed: 'port + 1',
          }),
        ),
      url: z
        .string()
        .refine(isIssuer)
        .refine((url) => url.startsWith('https:'))
        .optional()
        .meta(
          about({
            description:
              'The address of the endpoints for mutual TLS, as metadata names them (RFC 8705 §5). Say it where a proxy speaks mutual TLS for this server.',
            expects: 'an https URL without query, fragment or slash at its end',
            example: 'https://mtls.id.example.com',
            computed: "https, the issuer's host and mtls.port",
          }),
        ),
      cert: z
        .string()
        .min(1)
        .optional()
        .meta(
          about({
            description:
              'A PEM file with the certificate of the listener for mutual TLS and its chain. Without one this server’s own authority issues it.',
            expects: 'a PEM file',
            example: '/etc/bailiwick/mtls.crt',
          }),
        ),
      key: z
        .string()
        .min(1)
        .optional()
        .meta(
          about({
            description: 'A PEM file with that certificate’s private key.',
            expects: 'a PEM file',
            example: '/etc/bailiwick/mtls.key',
          }),
        ),
      proxies: z
        .array(z.string().refine(isCidr))
        .default([])
        .meta(
          about({
            description:
              'The addresses of the reverse proxies whose Client-Cert and Client-Cert-Chain headers (RFC 9440) are believed. Each must ask for the certificate itself and drop what clients write there.',
            expects: 'a list of addresses or networks in CIDR notation',
            example: '10.0.0.7',
          }),
        ),
    })
    .prefault({}),
  spiffe: z
    .strictObject({
      refresh_hint_seconds: seconds(10, 86_400)
        .default(300)
        .meta(
          about({
            description: 'How often others should fetch our trust bundle, as the bundle tells them.',
            expects: wholeSeconds(10, 86_400),
            example: '300',
          }),
        ),
    })
    .prefault({}),
  instances: z
    .strictObject({
      lifetime_seconds: seconds(60, 86_400)
        .default(3600)
        .meta(
          about({
            description:
              'How long an instance and its X.509-SVID live unless it renews, where its agent’s template doesn’t say.',
            expects: wholeSeconds(60, 86_400),
            example: '3600',
          }),
        ),
      live_at_most: z
        .number()
        .int()
        .min(1)
        .max(1_000_000)
        .default(1000)
        .meta(
          about({
            description: 'How many instances of one agent may live at once, where its template doesn’t say.',
            expects: 'a whole number from 1 to 1000000',
            example: '1000',
          }),
        ),
      keep_ended_seconds: seconds(0, 31_536_000)
        .default(86_400)
        .meta(
          about({
            description: 'How long an instance that has ended is still listed. The log keeps what it did.',
            expects: wholeSeconds(0, 31_536_000),
            example: '86400',
          }),
        ),
    })
    .prefault({}),
  key_encryption: z
    .strictObject({
      key: z
        .string()
        .refine(isEncryptionKey)
        .optional()
        .meta(
          about({
            description:
              'The key under which private keys are encrypted in the database: 32 bytes. Prefer key_encryption.file or .command: an environment is easily read.',
            expects: '32 bytes as base64url, base64 or hex',
            example: '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
            computed: 'none: private keys lie in the database as they are',
            secret: true,
          }),
        ),
      file: z
        .string()
        .min(1)
        .optional()
        .meta(
          about({
            description: 'A file with that key; keep it away from the data and its backups.',
            expects: 'a file with 32 bytes as base64url, base64 or hex',
            example: '/run/secrets/bailiwick-key',
          }),
        ),
      command: z
        .array(z.string().min(1))
        .min(1)
        .optional()
        .meta(
          about({
            description: 'A command that prints that key; run at each start, without a shell.',
            expects: 'a program and its arguments, as a list',
            example: 'vault,kv,get,-field=key,secret/bailiwick',
          }),
        ),
    })
    .prefault({}),
  context: z
    .strictObject({
      country_file: z
        .string()
        .min(1)
        .optional()
        .meta(
          about({
            description:
              'A database of the countries of addresses, for tokens that are limited to countries. Read when the first country is asked for, and once.',
            expects: 'an MMDB file, as those of MaxMind or ip-location-db',
            example: '/var/lib/GeoIP/GeoLite2-Country.mmdb',
            computed: 'the one of the npm package @ip-location-db/geo-whois-asn-country-mmdb',
          }),
        ),
      zones: z
        .record(z.string(), z.array(z.string()))
        .refine(areZones)
        .default({})
        .meta(
          about({
            description:
              'Your compute zones, each with its networks, for tokens that are limited to zones. Where networks lie in one another, the smallest tells. Who is in none of them is where its instance is vouched to be.',
            expects: 'names of zones, each with addresses or networks in CIDR notation that no other zone has',
            example: 'eu-1=10.1.0.0/16,eu-2=10.2.0.0/16',
          }),
        ),
    })
    .prefault({}),
  dangerously_client_secrets_until: z
    .string()
    .refine(isDate)
    .optional()
    .meta(
      about({
        description:
          'Until when clients may authenticate by a shared secret at all (client_secret_basic, client_secret_post). For clients that can do nothing better, while they are being replaced.',
        expects: 'a date, as 2027-03-31',
        example: '2027-03-31',
        computed: 'never',
      }),
    ),
  outbound: z
    .strictObject({
      ca_file: z
        .string()
        .min(1)
        .optional()
        .meta(
          about({
            description:
              'A PEM file with certificates to trust, beside those of the Web, when this server fetches something.',
            expects: 'a PEM file',
            example: '/etc/bailiwick/outbound-ca.pem',
          }),
        ),
      timeout_seconds: seconds(1, 60)
        .default(5)
        .meta(
          about({
            description: 'How long a fetch may take, from the first name asked for to the last byte.',
            expects: wholeSeconds(1, 60),
            example: '5',
          }),
        ),
      dangerously_private_networks: z
        .array(z.string().refine(isCidr))
        .default([])
        .meta(
          about({
            description:
              'Networks that this server may fetch from though they are not public. A server on a loopback issuer may always fetch from loopback.',
            expects: 'a list of addresses or networks in CIDR notation',
            example: '10.1.0.0/16',
          }),
        ),
    })
    .prefault({}),
  limits: z
    .strictObject({
      body_bytes: z
        .number()
        .int()
        .min(1024)
        .max(16 * 1024 * 1024)
        .default(64 * 1024)
        .meta(
          about({
            description: 'The largest request body.',
            expects: 'a whole number of bytes from 1024 to 16777216',
            example: '65536',
          }),
        ),
      tokens_per_minute: z
        .number()
        .int()
        .min(1)
        .max(1_000_000)
        .default(600)
        .meta(
          about({
            description: 'How many tokens one agent may ask for in a minute, unless its registration says otherwise.',
            expects: 'a whole number from 1 to 1000000',
            example: '600',
          }),
        ),
    })
    .prefault({}),
  log_level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .meta(
      about({
        description: 'How much the server logs, as lines of JSON on standard output.',
        expects: 'one of trace, debug, info, warn, error, fatal, silent',
        example: 'info',
      }),
    ),
  shutdown_grace_seconds: seconds(0, 300)
    .default(10)
    .meta(
      about({
        description: 'How long requests under way may take to finish after SIGTERM.',
        expects: wholeSeconds(0, 300),
        example: '10',
      }),
    ),
});

/** RFC 8414 §2: an https URL without query or fragment; http on this machine alone; never with a slash at its end. */
function isIssuer(value: string): boolean {
  if (!URL.canParse(value) || /[\s?#\\]/.test(value) || value.endsWith('/')) return false;
  const url = new URL(value);
  if (url.username !== '' || url.password !== '') return false;
  // exactly as a URL parser writes it, or two spellings of one issuer would be about
  const canonical = url.pathname === '/' ? url.origin : url.origin + url.pathname;
  if (value !== canonical || /%|\/\/|\/\.\.?(\/|$)/.test(url.pathname)) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
}

/** Whether a host name or address leads to this machine and nowhere else. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'));
}

function isCidr(value: string): boolean {
  return areNetworks([value]) && !/\/0+$/.test(value); // everybody is no proxy
}

function areZones(zones: Record<string, string[]>): boolean {
  try {
    zonesOf(zones);
    return true;
  } catch {
    return false;
  }
}

function isDate(value: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value));
}

function isEncryptionKey(value: string): boolean {
  return encryptionKeyOf(value) !== undefined;
}

/** 32 bytes written as hex, base64 or base64url; undefined for anything else. */
export function encryptionKeyOf(text: string): Buffer | undefined {
  const bytes = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64');
  return bytes.length === 32 && /^[\w+/=-]+$/.test(text) ? bytes : undefined;
}
