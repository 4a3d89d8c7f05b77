// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"errors"
	"math/rand"
	"time"
)

// Between two candidacies where the first came to nothing at once.
const (
	leadPauseFirst = 100 * time.Millisecond
	leadPauseLast  = 2 * time.Second
)

// Lead stands for a lock and does the work whenever it is elected: leader election is a lock with a value (WithValue)
// that shows where the leader can be reached. The work's context is cancelled when the leader is deposed, which means
// that it has lost the lease (its context.Cause is a *LostError then), and Lead stands again when the work has
// returned. Where the work returns of itself, Lead releases the lock and returns what the work did. Cancelling ctx
// resigns: the error is then ErrCancelled. A server that cannot be reached is waited for.
func (c *Client) Lead(ctx context.Context, key string, work Work, options ...Option) error {
	ask, err := newAsk(forLead, "Lead", []string{key}, options)
	if err != nil {
		return err
	}
	ask.waitMs = uint32(day / time.Millisecond)
	ctx, done := c.joined(ctx)
	defer done()
	longest := leadPauseFirst
	for {
		lease, err := c.hold(ctx, ask)
		if err == nil {
			longest = leadPauseFirst
			err = lease.during(work)
			if lost := (*LostError)(nil); !errors.As(err, &lost) {
				return resigned(ctx, err)
			}
			continue
		}
		if !mayStandAgain(err) {
			return err
		}
		if err := pause(ctx, longest/2+time.Duration(rand.Int63n(int64(longest/2)))); err != nil {
			return err
		}
		longest = min(2*longest, leadPauseLast)
	}
}

func mayStandAgain(err error) bool {
	return isPassing(err) || errors.Is(err, ErrBusy) || errors.Is(err, ErrNotHeld) || errors.Is(err, ErrDeadlock)
}

// resigned is what a term comes to that was not lost.
func resigned(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	return err
}
