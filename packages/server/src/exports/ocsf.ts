/** An event as the Open Cybersecurity Schema Framework has it. */
import { type EventType, eventTypes } from '../audit/event.ts';
import { ocsfActivities, ocsfCategories, ocsfClasses, ocsfMapping, ocsfVersion } from './ocsf-classes.ts';
import { addressOf, type ExportedEvent, type Leaf } from './record.ts';

const severities = { allowed: [1, 'Informational'], refused: [3, 'Medium'] } as const;

/** @see https://schema.ocsf.io/1.8.0 */
export function ocsfEvent(event: ExportedEvent, { version }: { version: string }) {
  const { leaf } = event;
  const mapping = ocsfMapping(leaf.type);
  const { uid, name, category } = ocsfClasses[mapping.class];
  const activity = (ocsfActivities[mapping.class] as Readonly<Record<string, number>>)[mapping.activity] ?? 99;
  const [severityId, severity] = severities[leaf.outcome];
  // OCSF: with "Other", the name says what it was
  const activityName = activity === 99 ? (leaf.type.split('.')[1] ?? leaf.type) : mapping.activity;
  const allowed = leaf.outcome === 'allowed';
  const { decided_on, commitments } = leaf;
  const traceId = leaf.trace?.split('-')[1];
  return {
    time: event.at,
    class_uid: uid,
    class_name: name,
    category_uid: category,
    category_name: ocsfCategories[category],
    activity_id: activity,
    activity_name: activityName,
    type_uid: uid * 100 + activity,
    type_name: `${name}: ${activityName}`,
    severity_id: severityId,
    severity,
    status_id: allowed ? 1 : 2,
    status: allowed ? 'Success' : 'Failure',
    ...(leaf.reason !== undefined && { status_detail: leaf.reason }),
    message: eventTypes[leaf.type as EventType] ?? leaf.type,
    metadata: {
      version: ocsfVersion,
      uid: leaf.id,
      event_code: leaf.type,
      log_name: 'bailiwick',
      tenant_uid: leaf.org,
      original_time: leaf.at,
      ...(traceId !== undefined && { correlation_uid: traceId }),
      product: { name: 'Bailiwick', vendor_name: 'Bailiwick', version },
    },
    actor: actorOf(leaf),
    ...subjectOf(mapping.class, event),
    unmapped: {
      ...(leaf.instance !== undefined && { instance: leaf.instance }),
      ...(leaf.jti !== undefined && { jti: leaf.jti }),
      ...(leaf.target !== undefined && { target: leaf.target }),
      ...(leaf.resource !== undefined && { resource: leaf.resource }),
      ...(leaf.trace !== undefined && { trace: leaf.trace }),
      ...(decided_on && { decided_on }),
      ...(event.personal && { personal: event.personal }),
      commitments,
    },
  };
}

/** Whose doing it is; the server's own where nobody asked. */
const actorOf = ({ agent, org }: Leaf) => ({
  app_uid: agent ?? 'bailiwick',
  user: {
    uid: agent ?? 'bailiwick',
    type_id: agent === undefined ? 3 : 4,
    type: agent === undefined ? 'System' : 'Service',
    org: { uid: org },
  },
});

/** What the class asks for beside what all have. */
function subjectOf(kind: keyof typeof ocsfClasses, event: ExportedEvent): Record<string, unknown> {
  const { leaf } = event;
  const from = sourceOf(event);
  const concerned = { uid: leaf.target ?? leaf.agent ?? 'bailiwick' };
  const whom = { ...concerned, org: { uid: leaf.org } };
  const optional = addressOf(event) === undefined ? {} : { src_endpoint: from };
  switch (kind) {
    case 'authentication':
      return {
        user: { uid: leaf.agent ?? 'bailiwick', type_id: 4, type: 'Service', org: { uid: leaf.org } },
        service: { name: leaf.resource ?? 'bailiwick' },
        auth_protocol_id: 6,
        auth_protocol: 'OAUTH 2.0',
        ...(leaf.jti !== undefined && { session: { uid: leaf.jti } }),
        ...optional,
      };
    case 'account_change':
      return { user: whom, ...optional };
    case 'user_access':
      return { user: whom, privileges: [privilegeOf(leaf)], ...optional };
    case 'entity_management':
      return { entity: { ...concerned, type_id: 99, type: leaf.type.split('.')[0] }, ...optional };
    case 'api_activity':
      return {
        api: { operation: operationOf(leaf), service: { name: leaf.resource ?? 'bailiwick' } },
        src_endpoint: from,
        ...(leaf.target !== undefined && { resources: [{ uid: leaf.target }] }),
      };
  }
}

function privilegeOf({ decided_on, target }: Leaf): string {
  const changed = decided_on?.changed as { role?: unknown } | undefined;
  return typeof changed?.role === 'string' ? changed.role : (target ?? 'role');
}

const operationOf = ({ decided_on, type }: Leaf): string =>
  typeof decided_on?.operation === 'string' ? decided_on.operation : type;

/** Where it came from: the address where that goes out, else the one who asked. */
function sourceOf(event: ExportedEvent) {
  const ip = addressOf(event);
  const { instance, agent } = event.leaf;
  return ip === undefined ? { uid: instance ?? agent ?? 'bailiwick' } : { ip, uid: instance ?? agent ?? 'bailiwick' };
}
