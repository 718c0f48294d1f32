package tokensrv

import (
	"net/http"
	"time"
)

// reason is why a request got no token: a stable kebab word, seen by the
// client as "code", in the log as "reason" and in the metrics as a label.
type reason string

// refusal is the one error type between verifying and answering. What it holds
// for the client is fixed text: nothing a client or Twilio sent is repeated.
type refusal struct {
	reason reason
	retry  time.Duration // when above 0, sent as Retry-After with jitter

	// For the log alone: what the validator said.
	upstreamStatus int
	upstreamCode   int
	shape          string
}

func (r *refusal) Error() string { return string(r.reason) }

func refuse(r reason) *refusal { return &refusal{reason: r} }

func refuseFor(r reason, retry time.Duration) *refusal { return &refusal{reason: r, retry: retry} }

const (
	missingToken      reason = "missing-token"
	malformedToken    reason = "malformed-token"
	malformedRequest  reason = "malformed-request"
	originNotAllowed  reason = "origin-not-allowed"
	prefixNotAllowed  reason = "prefix-not-allowed"
	tokenRefused      reason = "flex-token-refused"
	tokenExpired      reason = "flex-token-expired"
	otherAccount      reason = "other-account"
	roleMissing       reason = "role-missing"
	workerNotAllowed  reason = "worker-not-allowed"
	workerNotEnabled  reason = "worker-not-enabled"
	identityUnusable  reason = "identity-unusable"
	notFound          reason = "not-found"
	methodNotAllowed  reason = "method-not-allowed"
	tooLarge          reason = "too-large"
	mediaType         reason = "unsupported-media-type"
	identityLimited   reason = "identity-rate-limited"
	addressLimited    reason = "address-rate-limited"
	refusedTooOften   reason = "refused-too-often"
	serverBusy        reason = "server-busy"
	clientGone        reason = "client-gone"
	internalError     reason = "internal"
	validatorNonsense reason = "validator-nonsense"
	validatorDenied   reason = "validator-credentials-refused"
	validatorTimeout  reason = "validator-timeout"
	validatorFailing  reason = "validator-failing"
	validatorBusy     reason = "validator-busy"
	validatorLost     reason = "validator-unreachable"
	validatorOpen     reason = "validator-circuit-open"
	workerUnknown     reason = "worker-lookup-failed"
)

// statusClientGone is nginx's 499: nobody reads it, but it keeps a hung-up
// client out of the server's own error rate.
const statusClientGone = 499

// refusals says how each reason is answered.
var refusals = map[reason]struct {
	status int
	detail string
}{
	missingToken:      {http.StatusBadRequest, "send the Flex token as the field Token or as Authorization: Bearer"},
	malformedToken:    {http.StatusBadRequest, "the token is not a Flex token"},
	malformedRequest:  {http.StatusBadRequest, "the request could not be read"},
	originNotAllowed:  {http.StatusForbidden, "this origin may not request tokens"},
	prefixNotAllowed:  {http.StatusForbidden, "VoiceClientPrefix is not the prefix this server uses"},
	tokenRefused:      {http.StatusForbidden, "Twilio does not accept the Flex token"},
	tokenExpired:      {http.StatusForbidden, "the Flex token has expired"},
	otherAccount:      {http.StatusForbidden, "the Flex token belongs to another account"},
	roleMissing:       {http.StatusForbidden, "the agent has none of the required roles"},
	workerNotAllowed:  {http.StatusForbidden, "the agent is not on this server's allow-list"},
	workerNotEnabled:  {http.StatusForbidden, "the agent is not enabled for the extension: extensionVoiceClientEnabled is not true"},
	identityUnusable:  {http.StatusForbidden, "the agent's identity is not valid for Twilio Voice: at most 256 letters, digits and underscores"},
	notFound:          {http.StatusNotFound, "not found"},
	methodNotAllowed:  {http.StatusMethodNotAllowed, "method not allowed"},
	tooLarge:          {http.StatusRequestEntityTooLarge, "the request is too large"},
	mediaType:         {http.StatusUnsupportedMediaType, "send application/x-www-form-urlencoded or application/json"},
	identityLimited:   {http.StatusTooManyRequests, "too many tokens for this agent"},
	addressLimited:    {http.StatusTooManyRequests, "too many requests from this address"},
	refusedTooOften:   {http.StatusTooManyRequests, "Twilio has refused too many Flex tokens from this address"},
	serverBusy:        {http.StatusServiceUnavailable, "the server has more to do than it can"},
	clientGone:        {statusClientGone, "the client went away"},
	internalError:     {http.StatusInternalServerError, "internal error"},
	validatorNonsense: {http.StatusBadGateway, "Twilio's answer about the Flex token could not be understood"},
	validatorDenied:   {http.StatusBadGateway, "Twilio does not accept this server's own credentials"},
	validatorTimeout:  {http.StatusServiceUnavailable, "Twilio did not answer in time"},
	validatorFailing:  {http.StatusServiceUnavailable, "Twilio cannot check Flex tokens right now"},
	validatorBusy:     {http.StatusServiceUnavailable, "Twilio is rate-limiting this server"},
	validatorLost:     {http.StatusServiceUnavailable, "Twilio could not be reached"},
	validatorOpen:     {http.StatusServiceUnavailable, "Twilio has not been responding; waiting before the next attempt"},
	workerUnknown:     {http.StatusServiceUnavailable, "the agent's attributes could not be read"},
}
