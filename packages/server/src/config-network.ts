/** Settings of how this server is reached, and how it reaches others. */
import { isIP } from 'node:net';
import { forwardedHeaders } from '@bailiwick/protocol';
import { z } from 'zod';
import { about, isCidr, isIssuer, seconds, wholeSeconds } from './config-values.ts';

/** Under which name, where its data is, and behind whom. */
export const reached = {
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
};

/** The listener for mutual TLS. */
export const mtls = z
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
  .prefault({});

/** What this server fetches, and from where. */
export const outbound = z
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
  .prefault({});
