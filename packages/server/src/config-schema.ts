/** Every setting of the server, in one strict schema. */
import { z } from 'zod';
import { exportSettings } from './config-exports.ts';
import { feed } from './config-feed.ts';
import { mtls, outbound, reached } from './config-network.ts';
import { signals } from './config-signals.ts';
import { about, areZones, isDate, isEncryptionKey, seconds, wholeSeconds } from './config-values.ts';

/** The schema of bailiwick.yaml. Names are what one writes there; `BAILIWICK_` and the name in capitals is the environment's. */
export const configSchema = z.strictObject({
  ...reached,
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
  drill: z
    .strictObject({
      every_hours: z
        .number()
        .int()
        .min(1)
        .max(8760)
        .optional()
        .meta(
          about({
            description:
              'How often a revocation is rehearsed on the canary of the default organization, by one node. What came of it stands in the log, and `bailiwick doctor` says when it last was.',
            expects: 'a whole number of hours from 1 to 8760',
            example: '24',
            computed: 'never by itself',
          }),
        ),
    })
    .prefault({}),
  status_lists: z
    .strictObject({
      ttl_seconds: seconds(1, 300)
        .default(5)
        .meta(
          about({
            description:
              'How long verifiers may keep a Token Status List before they fetch it again: as late may a revocation be for those that know nothing else.',
            expects: wholeSeconds(1, 300),
            example: '5',
          }),
        ),
    })
    .prefault({}),
  mtls,
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
            description:
              'How long an instance that has ended is still listed: at least a day, as long as a task that it opened can last. The log keeps what it did.',
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
  feed,
  outbound,
  exports: exportSettings,
  signals,
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
