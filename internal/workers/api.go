package workers

import (
	"context"
	"iter"

	"github.com/flexvc/flexvc/internal/twilio"
)

// WorkerAPI reads and writes the workers of one workspace.
type API interface {
	// Workers streams every worker that expression selects ("" selects all),
	// in the order Twilio gives them, a page of up to 1000 per request. One page
	// may be asked for while the rows of the one before are delivered. A failing
	// page ends the stream with its error after the rows before it.
	Workers(ctx context.Context, expression string) iter.Seq2[twilio.Worker, error]
	// Worker fetches one worker; Attributes and ETag are set in the answer.
	Worker(ctx context.Context, sid string) (twilio.Worker, error)
	// SetAttributes replaces the whole attributes text if the worker still
	// has the given ETag. A stale ETag is PreconditionFailed. It retries only
	// where a repeated request cannot do harm.
	SetAttributes(ctx context.Context, sid, attributes, etag string) (twilio.Worker, error)
}
