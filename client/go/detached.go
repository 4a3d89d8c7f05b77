// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

// A DetachedLease is bound to nothing but its ttl: it outlives this process unless it is released, and ends unless it
// is renewed. Any goroutine may use it.
type DetachedLease struct {
	client *Client
	grant  *grant

	mu         sync.Mutex
	term       term
	lost       error
	isReleased bool
}

// AcquireDetached takes a lock for its ttl. With WithToken the lock may have been obtained where the error is ErrAway,
// ErrTimeout or ErrCancelled: ask again, or release it by that token. Without, the library sees to it.
func (c *Client) AcquireDetached(ctx context.Context, key string, options ...Option) (*DetachedLease, error) {
	ask, err := newAsk(forDetached, "AcquireDetached", []string{key}, options)
	if err != nil {
		return nil, err
	}
	token := ask.token
	if token == nil {
		token = make([]byte, tokenSize)
		if _, err := rand.Read(token); err != nil {
			return nil, errorf(ErrRefused, "no random bytes: %v", err)
		}
	}
	lease, err := c.acquire(ctx, ask, token)
	if err != nil && ask.token == nil && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrInvalid) {
		c.giveUp(key, token)
	}
	return lease, err
}

func (c *Client) acquire(ctx context.Context, ask *ask, token []byte) (*DetachedLease, error) {
	joined, done := c.joined(ctx)
	defer done()
	var waitUntil time.Duration
	waitLeft := func() time.Duration {
		if waitUntil == 0 {
			return time.Duration(ask.waitMs) * time.Millisecond
		}
		return max(0, waitUntil-now())
	}
	answer, sent, err := askUntilHeard(joined, c.connection, waitLeft,
		func(ctx context.Context, options ...grpc.CallOption) (*pb.AcquireResponse, error) {
			left := waitLeft()
			waitUntil = now() + left
			return c.connection.locks.Acquire(ctx, ask.acquireMessage(token, left), options...)
		})
	switch {
	case err != nil:
		return nil, err
	case answer.GetBusy() != nil:
		return nil, &BusyError{Holder: *holderOf(answer.GetBusy())}
	case ask.waitMs == 0:
		return c.newDetached(answer.GetLease(), ask.keys[0], token, sent, true)
	}
	return c.confirm(joined, ask, token, answer.GetLease())
}

// confirm renews a lease that was waited for: counted from our question it may be over, although it was granted only
// now.
func (c *Client) confirm(ctx context.Context, ask *ask, token []byte, granted *pb.Lease) (*DetachedLease, error) {
	answer, sent, err := askUntilHeard(ctx, c.connection, func() time.Duration { return 0 },
		c.renewal(ask.keys[0], token, ask.ttlMs))
	if err != nil {
		return nil, err
	}
	if answer.GetNotHeld() != nil {
		return nil, errorf(ErrTimeout, "the lease had expired when its grant was read")
	}
	if renewed := answer.GetLease(); renewed != nil {
		renewed.Fence = granted.GetFence()
	}
	return c.newDetached(answer.GetLease(), ask.keys[0], token, sent, true)
}

func (c *Client) newDetached(message *pb.Lease, key string, token []byte, sent time.Duration, isFenced bool) (
	*DetachedLease, error) {
	granted, err := grantOf(message, []string{key}, token)
	if err != nil || (isFenced && !granted.isFenced()) {
		return nil, errNonsense
	}
	lease := &DetachedLease{client: c, grant: granted}
	lease.take(message, sent)
	if lease.ValidFor() <= 0 {
		return nil, errorf(ErrTimeout, "the lease had expired when its grant was read")
	}
	return lease, nil
}

func (c *Client) renewal(key string, token []byte, ttlMs uint32) question[*pb.RenewResponse] {
	return func(ctx context.Context, options ...grpc.CallOption) (*pb.RenewResponse, error) {
		return c.connection.locks.Renew(ctx, &pb.RenewRequest{Key: key, Token: token, TtlMs: ttlMs}, options...)
	}
}

func (c *Client) renew(ctx context.Context, key string, token []byte, ttl time.Duration) (
	*pb.Lease, time.Duration, error) {
	ttlMs, err := milliseconds("ttl", ttl)
	if err != nil {
		return nil, 0, err
	}
	answer, sent, err := inquire(ctx, c, c.renewal(key, token, ttlMs))
	switch {
	case err != nil:
		return nil, 0, err
	case answer.GetNotHeld() != nil:
		return nil, 0, errorf(ErrNotHeld, "the lease is not held any more")
	case answer.GetLease() == nil:
		return nil, 0, errNonsense
	}
	return answer.GetLease(), sent, nil
}

// Renew extends the detached lease of another process. Its fence is 0 where the server does not tell.
func (c *Client) Renew(ctx context.Context, key string, token []byte, ttl time.Duration) (*DetachedLease, error) {
	token, err := checkToken(token)
	if err != nil {
		return nil, err
	}
	message, sent, err := c.renew(ctx, key, token, ttl)
	if err != nil {
		return nil, err
	}
	return c.newDetached(message, key, token, sent, false)
}

// Release releases the lease of another process, detached or not. ErrNotHeld: it is gone.
func (c *Client) Release(ctx context.Context, key string, token []byte) error {
	token, err := checkToken(token)
	if err != nil {
		return err
	}
	joined, done := c.joined(ctx)
	defer done()
	return c.releaseToken(joined, key, token)
}

// releaseToken goes on while the client is being closed.
func (c *Client) releaseToken(ctx context.Context, key string, token []byte) error {
	answer, _, _, err := askOnce(ctx, c.connection, 0,
		func(ctx context.Context, options ...grpc.CallOption) (*pb.ReleaseResponse, error) {
			return c.connection.locks.Release(ctx, &pb.ReleaseRequest{Key: key, Token: token}, options...)
		})
	switch {
	case err != nil:
		return err
	case answer.GetOutcome() == pb.ReleaseResponse_OUTCOME_NOT_HELD:
		return errorf(ErrNotHeld, "the lease is not held any more")
	case answer.GetOutcome() != pb.ReleaseResponse_OUTCOME_RELEASED:
		return errNonsense
	}
	return nil
}

// take notes an answer, but revives nothing that is being released meanwhile.
func (l *DetachedLease) take(message *pb.Lease, sent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isReleased {
		l.term.ttl = time.Duration(message.GetTtlMs()) * time.Millisecond
		l.term.confirm(sent, time.Duration(message.GetValidForMs())*time.Millisecond, now())
	}
}

// Renew extends it for a ttl from now; 0: the server's default.
func (l *DetachedLease) Renew(ctx context.Context, ttl time.Duration) error {
	message, sent, err := l.client.renew(ctx, l.Key(), l.grant.token, ttl)
	if err == nil {
		l.take(message, sent)
		return l.Check()
	}
	if errors.Is(err, ErrNotHeld) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.term.end()
		if l.lost == nil && !l.isReleased {
			l.lost = &LostError{Reason: LossTaken}
		}
	}
	return err
}

// Release gives it up. ErrNotHeld: it has ended before.
func (l *DetachedLease) Release(ctx context.Context) error {
	l.mu.Lock()
	l.isReleased = true
	l.term.end()
	l.mu.Unlock()
	return l.client.Release(ctx, l.Key(), l.grant.token)
}

// Check is nil while the lease is valid; then a *LostError, or ErrNotHeld after a release. Call it right before you
// act.
func (l *DetachedLease) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.term.left(now()) > 0:
		return nil
	case l.isReleased:
		return errorf(ErrNotHeld, "the lease was released")
	case l.lost != nil:
		return l.lost
	}
	return &LostError{Reason: LossExpired}
}

// ValidFor is for how long the lease is certainly valid; 0 when it is not.
func (l *DetachedLease) ValidFor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.term.left(now()))
}

// Key is the lock's name.
func (l *DetachedLease) Key() string { return l.grant.keys[0] }

// Fence rises with every grant of the lock; for the protected resource to compare.
func (l *DetachedLease) Fence() uint64 { return l.grant.fences[l.Key()] }

// Token is a secret: whoever has it can renew or release the lease.
func (l *DetachedLease) Token() []byte { return append([]byte(nil), l.grant.token...) }

func (l *DetachedLease) String() string {
	return fmt.Sprintf("detached lease on %q, valid for %v", l.Key(), l.ValidFor())
}
