/** ArcSight Common Event Format, revision 25: one line for each event. */
import { type EventType, eventTypes } from '../audit/event.ts';
import { addressOf, type ExportedEvent } from './record.ts';

/** @param version of this program */
export function cefLine(event: ExportedEvent, version: string): string {
  const { leaf, at } = event;
  const name = eventTypes[leaf.type as EventType] ?? leaf.type;
  const header = ['CEF:0', 'Bailiwick', 'Bailiwick', version, leaf.type, name, String(severityOf(event))];
  const extension = Object.entries(extensionOf(event, at))
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([key, value]) => `${key}=${extensionValue(value)}`);
  return `${[header[0], ...header.slice(1).map(headerValue)].join('|')}|${extension.join(' ')}`;
}

/** 0 to 10. */
const severityOf = ({ leaf }: ExportedEvent): number => (leaf.outcome === 'refused' ? 5 : 2);

function extensionOf(event: ExportedEvent, at: number): Record<string, string | undefined> {
  const { leaf, personal } = event;
  const custom = {
    organization: leaf.org,
    resource: leaf.resource,
    target: leaf.target,
    jti: leaf.jti,
    instance: leaf.instance,
    trace: leaf.trace,
  };
  const known = Object.entries(custom).flatMap(([label, value], i) =>
    value === undefined
      ? []
      : [
          [`cs${i + 1}Label`, label],
          [`cs${i + 1}`, value],
        ],
  );
  return {
    rt: String(at),
    externalId: leaf.id,
    act: leaf.type,
    outcome: leaf.outcome,
    reason: leaf.reason,
    suid: leaf.agent,
    src: addressOf(event),
    duser: typeof personal?.person === 'string' ? personal.person : undefined,
    ...Object.fromEntries(known),
    msg: leaf.decided_on && JSON.stringify(leaf.decided_on),
  };
}

/** In the header a pipe ends a field; a line break has no way to be written. */
const headerValue = (text: string): string => text.replaceAll(/[\\|]/g, '\\$&').replaceAll(/[\r\n]+/g, ' ');

/** In the extension an equals sign ends a key; pipes stand as they are. */
const extensionValue = (text: string): string =>
  text.replaceAll(/[\\=]/g, '\\$&').replaceAll('\r', '\\r').replaceAll('\n', '\\n');
