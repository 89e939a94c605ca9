/**
 * Which class and activity of the Open Cybersecurity Schema Framework each type of event is. By its noun and its verb, so that a type
 * that was added yesterday is somewhere; what reads differently stands in `exceptions`.
 * @see https://schema.ocsf.io/1.8.0
 */

/** The newest version that was released when this was written (March 2026). */
export const ocsfVersion = '1.8.0';

export const ocsfClasses = {
  account_change: { uid: 3001, name: 'Account Change', category: 3 },
  authentication: { uid: 3002, name: 'Authentication', category: 3 },
  entity_management: { uid: 3004, name: 'Entity Management', category: 3 },
  user_access: { uid: 3005, name: 'User Access Management', category: 3 },
  api_activity: { uid: 6003, name: 'API Activity', category: 6 },
} as const;

export const ocsfCategories = { 3: 'Identity & Access Management', 6: 'Application Activity' } as const;

/** The activities of each class that are used here, as OCSF numbers and names them. */
export const ocsfActivities = {
  account_change: { Create: 1, Enable: 2, 'Password Reset': 4, Disable: 5, Delete: 6, Other: 99 },
  authentication: { Logoff: 2, 'Service Ticket Request': 4, Other: 99 },
  entity_management: {
    Create: 1,
    Update: 3,
    Delete: 4,
    Enroll: 6,
    Unenroll: 7,
    Activate: 10,
    Deactivate: 11,
    Suspend: 12,
    Resume: 13,
    Other: 99,
  },
  user_access: { 'Assign Privileges': 1, 'Revoke Privileges': 2 },
  api_activity: { Create: 1, Read: 2, Update: 3, Delete: 4, Other: 99 },
} as const;

export type OcsfClass = keyof typeof ocsfClasses;

export interface OcsfMapping {
  class: OcsfClass;
  activity: string;
}

const exceptions: Readonly<Record<string, OcsfMapping>> = {
  'token.issued': { class: 'authentication', activity: 'Service Ticket Request' },
  'token.refused': { class: 'authentication', activity: 'Service Ticket Request' },
  'token.revoked': { class: 'authentication', activity: 'Logoff' },
  'role.granted': { class: 'user_access', activity: 'Assign Privileges' },
  'role.withdrawn': { class: 'user_access', activity: 'Revoke Privileges' },
  'instance.enrolled': { class: 'entity_management', activity: 'Enroll' },
  'instance.ended': { class: 'entity_management', activity: 'Unenroll' },
  'instance.refused': { class: 'entity_management', activity: 'Enroll' },
  'task.opened': { class: 'entity_management', activity: 'Create' },
  'task.started': { class: 'entity_management', activity: 'Activate' },
  'task.finished': { class: 'entity_management', activity: 'Deactivate' },
  'access.evaluated': { class: 'api_activity', activity: 'Read' },
  'access.searched': { class: 'api_activity', activity: 'Read' },
  'operator.recovered': { class: 'account_change', activity: 'Password Reset' },
};

/** Those whose doings are accounts'. */
const accounts = ['person', 'agent', 'operator'];
const calls = ['access', 'admin', 'token', 'signal'];

const accountVerbs: Readonly<Record<string, string>> = {
  created: 'Create',
  resumed: 'Enable',
  suspended: 'Disable',
  retired: 'Delete',
  erased: 'Delete',
};
const entityVerbs: Readonly<Record<string, string>> = {
  created: 'Create',
  updated: 'Update',
  changed: 'Update',
  rotated: 'Update',
  renewed: 'Update',
  refreshed: 'Update',
  stream_changed: 'Update',
  retention_changed: 'Update',
  suspended: 'Suspend',
  resumed: 'Resume',
  retired: 'Delete',
  ended: 'Delete',
  removed: 'Delete',
  revoked: 'Delete',
};

export function ocsfMapping(type: string): OcsfMapping {
  const [noun = '', verb = ''] = type.split('.');
  const known = exceptions[type];
  if (known) return known;
  if (type === 'signal.stream_changed') return { class: 'entity_management', activity: 'Update' };
  if (calls.includes(noun)) return { class: 'api_activity', activity: 'Other' };
  if (accounts.includes(noun)) return { class: 'account_change', activity: accountVerbs[verb] ?? 'Other' };
  return { class: 'entity_management', activity: entityVerbs[verb] ?? 'Other' };
}
