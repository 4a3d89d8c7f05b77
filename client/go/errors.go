// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a request came to when it did not come to what was asked for; compare with errors.Is. Nothing is held by the
// request that failed. ErrBusy comes as a *BusyError, a loss as a *LostError, which is ErrNotHeld, too.
var (
	ErrBusy      = errors.New("somebody else holds the lock")
	ErrNotHeld   = errors.New("the lease is not held")
	ErrInvalid   = errors.New("an argument is out of its bounds")
	ErrAway      = errors.New("the server or its Redis cannot be reached")
	ErrTimeout   = errors.New("the server did not answer in time")
	ErrLimit     = errors.New("a limit of the server is reached")
	ErrDeadlock  = errors.New("waiting would close a circle")
	ErrCancelled = errors.New("the request was taken back") // by its context, or by Close
	ErrRefused   = errors.New("the server refused")
)

// A failure is of one of the kinds above, in the server's words or the library's.
type failure struct {
	kind  error
	text  string
	cause error // of a cancelled context
}

func (f *failure) Error() string { return "holdfast: " + f.text }

func (f *failure) Unwrap() []error {
	if f.cause == nil {
		return []error{f.kind}
	}
	return []error{f.kind, f.cause}
}

func errorf(kind error, format string, args ...any) error {
	return &failure{kind: kind, text: fmt.Sprintf(format, args...)}
}

// BusyError is ErrBusy, and tells who has the lock (still, after the wait).
type BusyError struct {
	Holder Holder
}

func (e *BusyError) Error() string {
	if e.Holder.Closed {
		return "holdfast: the lock is closed for a while after its holder was lost"
	}
	return "holdfast: somebody else holds the lock"
}

func (e *BusyError) Unwrap() error { return ErrBusy }

// LostError is what a lease ended with before its owner let it go. Stop; somebody else may have the lock soon.
type LostError struct {
	Reason Loss
}

func (e *LostError) Error() string { return "holdfast: the lease was lost: " + string(e.Reason) }

func (e *LostError) Unwrap() error { return ErrNotHeld }

var (
	errClosed   = errorf(ErrCancelled, "the client was closed")
	errLate     = errorf(ErrTimeout, "the server did not answer in time")
	errNonsense = errorf(ErrRefused, "the server's answer makes no sense")
)

// cancelled is what a request comes to whose context ended: errors.Is knows the context's error and its cause.
func cancelled(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrCancelled) {
		return cause
	}
	if !errors.Is(cause, ctx.Err()) {
		cause = fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return &failure{kind: ErrCancelled, text: cause.Error(), cause: cause}
}

var kinds = map[codes.Code]error{
	codes.InvalidArgument:   ErrInvalid,
	codes.Unavailable:       ErrAway,
	codes.DeadlineExceeded:  ErrTimeout,
	codes.ResourceExhausted: ErrLimit,
	codes.Aborted:           ErrDeadlock,
	codes.Canceled:          ErrCancelled,
}

// ofStatus is the error of a call that gRPC ended with err.
func ofStatus(err error) error {
	told := status.Convert(err)
	kind := kinds[told.Code()]
	if kind == nil {
		kind = ErrRefused
	}
	// What the server's texts call the fields of the Hold stream's first message.
	return errorf(kind, "%s", strings.TrimPrefix(told.Message(), "ask."))
}

// isPassing tells whether asking again a little later may be answered otherwise.
func isPassing(err error) bool {
	return errors.Is(err, ErrAway) || errors.Is(err, ErrLimit) || errors.Is(err, ErrTimeout)
}
