/** Where the log goes: what an administrator has said of it. */
import type { Wanted } from '../log/store.ts';

export const fileFormats = ['jsonl', 'ocsf', 'cef'] as const;
export const webhookFormats = ['jsonl', 'ocsf'] as const;

export interface FileTarget {
  kind: 'file';
  format: (typeof fileFormats)[number];
  /** A file that would grow beyond it is followed by another. */
  max_bytes: number;
}

export interface SyslogTarget {
  kind: 'syslog';
  host: string;
  port: number;
  /** PEM: who may vouch for the server, instead of the Web's authorities. */
  ca?: string | undefined;
  /** PEM: what the client shows; its key is secret. */
  certificate?: string | undefined;
  enterprise_number: number;
}

export interface WebhookTarget {
  kind: 'webhook';
  url: string;
  format: (typeof webhookFormats)[number];
}

export interface OtlpTarget {
  kind: 'otlp';
  /** Including `/v1/logs`. */
  url: string;
}

export type Target = FileTarget | SyslogTarget | WebhookTarget | OtlpTarget;

/** What of a target is secret: shown by nothing, encrypted where a key for that is configured. */
export interface TargetSecret {
  /** Of a webhook: `whsec_` and base64. */
  signing?: string | undefined;
  /** Of OTLP: headers such as `authorization`. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Of syslog: the key of the client's certificate, PEM. */
  key?: string | undefined;
}

export interface Exporter {
  id: string;
  /** Undefined: events of all organizations. */
  org: string | undefined;
  name: string;
  target: Target;
  wants: Omit<Wanted, 'org'>;
  /** Whether what is personal goes out in plain text. */
  personal: boolean;
  createdAt: number;
  changedAt: number;
}

/** Its name among those who read the log on. */
export const consumerName = (id: string): string => `export:${id}`;

/** Notified with an id whenever an exporter is made, changed or removed. */
export const exportersTopic = 'exporters';

/** Why something can't be delivered: a sentence for administrators. Tried again. */
export class DeliveryError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DeliveryError';
  }
}
