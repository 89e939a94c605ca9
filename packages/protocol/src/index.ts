export {
  type AccessTokenClaims,
  type Actor,
  type Confirmation,
  linkTag,
  type MayAct,
  tagsOf,
  validateAccessTokenClaims,
} from './access-token.ts';
export { formatPrefix, isInside, masked, type Prefix, readAddress, readNetwork } from './address.ts';
export { type BoundedCache, boundedCache } from './bounded-cache.ts';
export { canonicalJson } from './canonical-json.ts';
export { certificateThumbprint } from './certificate.ts';
export { type Challenge, formatChallenge, parseChallenges } from './challenge.ts';
export {
  type ClientAssertion,
  type ClientAssertionInput,
  createClientAssertion,
  validateClientAssertion,
} from './client-assertion.ts';
export { parseClientCert, parseClientCertChain } from './client-cert-header.ts';
export {
  type ContextDimension,
  contextDimensions,
  contextRefusal,
  isContextWithin,
  isCountry,
  isZoneName,
  limitsPlace,
  narrowed,
  type Presenter,
  parseContext,
  type TokenContext,
} from './context.ts';
export { countryFileTail, countryReader, isCountryFileTail, type MmdbReader } from './country.ts';
export {
  type AmountLimit,
  actorsOf,
  type ChainedActor,
  commonPower,
  deepestChain,
  type Excess,
  excessOf,
  isWithinPower,
  nestActor,
  type Passing,
  type Power,
  type PowerLimits,
  type PowerOnResource,
  type PowerTask,
} from './delegation.ts';
export {
  type AuthorizationDetail,
  areWithin,
  type ComparedType,
  type CompareRule,
  compareRules,
  type DetailsType,
  isWithin,
  type OperationDetail,
  operationType,
} from './details.ts';
export { asOperationDetail, detailsBounds, parseDetails, readDetail } from './details-parse.ts';
export {
  accessTokenHash,
  createDpopProof,
  type DpopClaims,
  type DpopExpectation,
  type DpopInput,
  type DpopProof,
  normalizeHtu,
  parseDpopProof,
  verifyDpopProof,
} from './dpop.ts';
export {
  decodeBase64url,
  encodeBase64url,
  isJsonObject,
  isPrintable,
  type JsonObject,
  sha256Base64url,
} from './encoding.ts';
export { ProtocolError } from './errors.ts';
export {
  type FeedEntry,
  type FeedMessage,
  feedAppliedText,
  feedMessageBounds,
  feedMessageType,
  type LeaseRequest,
  leaseEndText,
  leaseRequestText,
  readFeedMessage,
  signFeedMessage,
} from './feed.ts';
export { clientAddress, type ForwardedHeader, forwardedFor, forwardedHeaders } from './forwarded.ts';
export {
  formatHours,
  isOpen,
  isTimeZone,
  parseHours,
  parseSchedule,
  type Schedule,
  type TimeWindow,
} from './hours.ts';
export {
  generateJwk,
  type ImportedPublicKey,
  importPublicJwk,
  isJwsAlgorithm,
  type JwsAlgorithm,
  jwsAlgorithms,
  type PrivateJwk,
  type PublicJwk,
  publicJwk,
  thumbprint,
} from './jwk.ts';
export {
  type EncodedHeader,
  encodeHeader,
  maxCompactLength,
  type ParsedJws,
  parseCompact,
  type SigningKey,
  signBytes,
  signCompact,
  type VerificationKey,
  verifyParsed,
} from './jws.ts';
export { type LocalTime, type WallClock, type Weekday, wallClock, weekdays } from './local-time.ts';
export { isLoopback } from './loopback.ts';
export { areNetworks, canonicalAddress, type Networks, networks } from './networks.ts';
export {
  detailOf,
  type Granted,
  grantsOperation,
  type OperationParameters,
  parametersIn,
  readByApi,
} from './operation-details.ts';
export {
  compileOperations,
  type Operation,
  type OperationMatcher,
  parameterNames,
  parametersOf,
  type Sensitivity,
  sensitivities,
} from './operations.ts';
export { isPublicAddress } from './public-address.ts';
export { type ReplayMemory, replayMemory, type Spent } from './replay-memory.ts';
export {
  type AccessReport,
  mostReportBytes,
  mostReports,
  oldestReportMs,
  type Report,
  type ReportResult,
  type TaskFinishedReport,
  type TaskStartedReport,
  type UnprovenReport,
  type UnreportedReport,
} from './report.ts';
export type { Requirement } from './requirement.ts';
export { protectedResourceMetadataUrl, resourceCovers } from './resource-metadata.ts';
export { formatScope, intersect, isScopeToken, isSubset, parseScope, union } from './scope.ts';
export { type Signer, signerFrom, signWith } from './signer.ts';
export { parseSpiffeId, type SpiffeId, sameTrustDomain } from './spiffe-id.ts';
export { createTaskJwt, signedTaskId, type TaskJwtInput, taskIdIn, taskJwtType } from './task-jwt.ts';
export { toolDefinition } from './tool-definition.ts';
export { formatTraceparent, parseTraceparent, readTraceparent, type Traceparent } from './traceparent.ts';
export {
  addedToContext,
  longestTransactionContext,
  mostRequesters,
  parseTransactionContext,
  requestersOf,
  type TransactionClaims,
  transactionHeader,
  transactionTokenType,
  transactionTyp,
  validateTransactionClaims,
} from './transaction.ts';
export { type Zones, zonesOf } from './zones.ts';
