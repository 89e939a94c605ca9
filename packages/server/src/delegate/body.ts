/** What an agent says of what it passes on: strict, bounded, and not looked up yet. */
import { z } from 'zod';
import { countInQuery, idOf, line, oneOf, record, text, wholeNumber } from '../lib/fields.ts';
import { answeredWithin, requestStatuses } from '../mandates/request.ts';
import { wantedPart, wantedPower } from '../mandates/wanted.ts';
import { pageLimits } from '../web/paging.ts';

/** `POST /mandates`: of what isn't named, as much is passed on as there is, but not to be passed on again. */
export const passOnBody = record({
  parent: idOf('mandate'),
  agent: idOf('agent').optional(),
  instance: idOf('instance').optional(),
  ...wantedPart,
});

export type PassOnBody = z.output<typeof passOnBody>;

/** `GET /mandates` */
export const heldQuery = z.strictObject({
  parent: idOf('mandate').optional(),
  limit: countInQuery(1, pageLimits.most).optional(),
  cursor: line(200).optional(),
});

/** `POST /mandates/requests`: a part is named, since whoever asks doesn't know what there is. */
export const askBody = record({
  from: idOf('agent'),
  parent: idOf('mandate').optional(),
  ...wantedPart,
  resources: wantedPower.resources,
  why: text(2000).optional(),
  answer_within: wholeNumber(1, answeredWithin.most).default(answeredWithin.usual),
});

/** `POST /mandates/requests/{id}/grant`: what isn't said is as it was asked for. */
export const grantBody = record({ parent: idOf('mandate').optional(), ...wantedPart });

/** `POST /mandates/requests/{id}/refuse` */
export const refuseBody = record({ reason: line(500, 1).optional() });

/** `GET /mandates/requests` */
export const requestsQuery = z.strictObject({
  side: oneOf(['asked', 'asking']).default('asked'),
  status: oneOf(requestStatuses).default('pending'),
  limit: countInQuery(1, pageLimits.most).optional(),
  cursor: line(200).optional(),
});
