/** Syslog messages (RFC 5424), framed for TLS (RFC 5425). */
import { addressOf, type ExportedEvent, jsonLine } from './record.ts';

/** "Log audit": RFC 5424 §6.2.1. */
const facility = 13;
const severities = { refused: 4, allowed: 5 } as const;

export interface SyslogOrigin {
  /** Who says it: the issuer's host name. */
  host: string;
  /** The private enterprise number under which our structured data stands (RFC 5424 §7.2.2). */
  enterprise: number;
}

/**
 * One message: `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD] BOM MSG`.
 * @see RFC 5424 §6
 */
export function syslogMessage(event: ExportedEvent, { host, enterprise }: SyslogOrigin): string {
  const { leaf } = event;
  const priority = facility * 8 + severities[leaf.outcome];
  const header = `<${priority}>1 ${new Date(event.at).toISOString()} ${printable(host, 255)} bailiwick - ${printable(leaf.type, 32)}`;
  return `${header} ${structuredData(event, enterprise)} \uFEFF${jsonLine(event)}`;
}

/** @see RFC 5424 §6.3 */
function structuredData(event: ExportedEvent, enterprise: number): string {
  const { id, org, outcome, agent, instance, target, resource, jti, trace } = event.leaf;
  const values = { id, org, outcome, agent, instance, target, resource, jti, trace, address: addressOf(event) };
  const parameters = Object.entries(values)
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([name, value]) => ` ${name}="${value.replaceAll(/["\\\]]/g, '\\$&')}"`);
  return `[bailiwick@${enterprise}${parameters.join('')}]`;
}

/** PRINTUSASCII without spaces, at most so long; "-" for nothing. */
const printable = (text: string, most: number): string => text.replaceAll(/[^!-~]/g, '').slice(0, most) || '-';

/** Octet counting: the length in bytes, a space, the message. @see RFC 5425 §4.3 */
export function framed(message: string): Buffer {
  const bytes = Buffer.from(message, 'utf8');
  return Buffer.concat([Buffer.from(`${bytes.length} `), bytes]);
}
