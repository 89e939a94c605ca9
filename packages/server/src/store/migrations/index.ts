import type { Migration } from '../migrate.ts';
import { core } from './0001-core.ts';
import { registry } from './0002-registry.ts';
import { instances } from './0003-instances.ts';
import { certificateAuthority } from './0004-certificate-authority.ts';
import { trustDomains } from './0005-trust-domains.ts';
import { enrolment } from './0006-enrolment.ts';
import { decisions } from './0007-decisions.ts';
import { feed } from './0008-feed.ts';
import { reports } from './0009-reports.ts';
import { logIndex } from './0010-log-index.ts';
import { signals } from './0011-signals.ts';
import { statusLists } from './0012-status-lists.ts';
import { exportsStep } from './0013-exports.ts';
import { revocations } from './0014-revocations.ts';
import { feedNodes } from './0015-feed-nodes.ts';
import { kept } from './0016-kept.ts';
import { mandates } from './0017-mandates.ts';
import { servedBy } from './0018-served-by.ts';
import { logIndexAgain } from './0019-log-index-again.ts';
import { endedTokens } from './0020-ended-tokens.ts';
import { trustedIssuers } from './0021-trusted-issuers.ts';
import { mandateRequests } from './0022-mandate-requests.ts';
import { mandateNames } from './0024-mandate-names.ts';

/** In order; a step that was released is never changed, only followed. */
export const migrations: readonly Migration[] = [
  core,
  registry,
  instances,
  certificateAuthority,
  trustDomains,
  enrolment,
  decisions,
  feed,
  reports,
  logIndex,
  signals,
  statusLists,
  exportsStep,
  revocations,
  feedNodes,
  kept,
  mandates,
  servedBy,
  logIndexAgain,
  endedTokens,
  trustedIssuers,
  mandateRequests,
  mandateNames,
];
