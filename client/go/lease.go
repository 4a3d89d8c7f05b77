// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Lease is a lock that is held. It is valid until a deadline that only moves while the server confirms it. It is no
// mutual exclusion against a paused process: hand its fence to the resource that it protects. Any goroutine may use it.
type Lease struct {
	hold *hold
}

// Context is derived from the one that the lock was asked with, and cancelled when the lease ends. Its context.Cause
// is then a *LostError, or ErrNotHeld after a release.
func (l *Lease) Context() context.Context { return l.hold.ctx }

// Check is nil while the lease is valid; then a *LostError, or ErrNotHeld after a release. Call it right before you
// act: it looks at the clock.
func (l *Lease) Check() error {
	l.hold.mu.Lock()
	defer l.hold.mu.Unlock()
	return l.hold.check()
}

// ValidFor is for how long the lease is certainly valid; 0 when it is not.
func (l *Lease) ValidFor() time.Duration {
	l.hold.mu.Lock()
	defer l.hold.mu.Unlock()
	return max(0, l.hold.term.left(now()))
}

// Renew asks the server whether the lease is held, and returns when it is confirmed. (The library does it, too.)
func (l *Lease) Renew(ctx context.Context) error {
	return l.hold.renew(ctx)
}

// Release gives the lease up in any case; the context bounds only the wait for the server to say that the lock is
// free. It fails with what ended the lease when that was something else.
func (l *Lease) Release(ctx context.Context) error {
	return l.hold.release(ctx)
}

// Key is the lock's name; with several, the first in the order in which they were taken.
func (l *Lease) Key() string { return l.hold.grant.keys[0] }

// Fence is the lock's number that rises with every grant, for the protected resource to compare. With several locks
// it is that of Key.
func (l *Lease) Fence() uint64 { return l.hold.grant.fences[l.Key()] }

// Fences has the fence of each lock, by its key.
func (l *Lease) Fences() map[string]uint64 {
	fences := make(map[string]uint64, len(l.hold.grant.fences))
	for key, fence := range l.hold.grant.fences {
		fences[key] = fence
	}
	return fences
}

// Token is a secret: whoever has it can release or resume the lease.
func (l *Lease) Token() []byte { return append([]byte(nil), l.hold.grant.token...) }

func (l *Lease) String() string {
	return fmt.Sprintf("lease on %q, valid for %v", l.Key(), l.ValidFor())
}

// during does the work under the lease, and releases it. That the server cannot be asked any more is no failure of the
// work: the lock is free soon, with the connection or its ttl.
func (l *Lease) during(work Work) (err error) {
	defer func() {
		released := l.Release(context.WithoutCancel(l.Context()))
		if lost := (*LostError)(nil); errors.As(released, &lost) {
			err = lost
		} else if err == nil && errors.Is(released, ErrCancelled) {
			err = released
		}
	}()
	return work(l.Context(), l)
}
