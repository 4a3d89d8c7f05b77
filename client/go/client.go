// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

const defaultTimeout = 5 * time.Second

// Config says how to reach the server. The zero Config will do.
type Config struct {
	// unix:///path, tcp://host:port or tls://host:port. Empty: $HOLDFAST_SERVER, else tcp://127.0.0.1:7420.
	Server string

	// With tls://, PEM files: the authorities to trust (empty: the system's), and our certificate if the server asks.
	CAFile, CertFile, KeyFile string

	// For connecting and for each answer, beyond a wait. 0: 5 seconds.
	Timeout time.Duration

	// Sent as `authorization: Bearer ...` with every call, if not nil. Asked each time, from any goroutine.
	BearerToken func() string
}

// A Client is one connection to a server, made when it is first used and again whenever it drops. Any number of
// goroutines may share it.
type Client struct {
	connection *connection
	ctx        context.Context // ends with the client
	cancel     context.CancelCauseFunc

	mu       sync.Mutex
	isClosed bool
	holds    map[*hold]struct{}
	work     sync.WaitGroup // streams that end, tokens that are given up
}

// NewClient does not wait for the server.
func NewClient(config Config) (*Client, error) {
	if config.Timeout < 0 {
		return nil, errorf(ErrInvalid, "Timeout: must not be negative")
	}
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	connection, err := newConnection(config)
	if err != nil {
		return nil, err
	}
	client := &Client{connection: connection, holds: map[*hold]struct{}{}}
	client.ctx, client.cancel = context.WithCancelCause(context.Background())
	return client, nil
}

// Close gives up whatever is held: the contexts of leases are cancelled, and what others wait for is ErrCancelled.
func (c *Client) Close() error {
	c.mu.Lock()
	holds := c.holds
	c.holds, c.isClosed = nil, true
	c.mu.Unlock()
	c.cancel(errClosed)
	for hold := range holds {
		hold.close()
	}
	if c.connection.isUp() {
		c.work.Wait()
	}
	_ = c.connection.channel.Close() // fails only where it is closed already
	return nil
}

// remember makes Close end the hold, too. False: the client is closed.
func (c *Client) remember(hold *hold) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isClosed {
		c.holds[hold] = struct{}{}
	}
	return !c.isClosed
}

func (c *Client) forget(hold *hold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.holds, hold)
}

// spawn does what Close waits for. Nothing once the client is closed.
func (c *Client) spawn(work func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed {
		return
	}
	c.work.Add(1)
	go func() {
		defer c.work.Done()
		work()
	}()
}

// joined is a context that ends with the caller's, or with the client.
func (c *Client) joined(ctx context.Context) (context.Context, func()) {
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(errClosed) })
	return both, func() {
		stop()
		cancel(nil)
	}
}

// giveUp releases by token, in the background, what may have been granted to nobody.
func (c *Client) giveUp(key string, token []byte) {
	c.spawn(func() { _ = c.releaseToken(context.Background(), key, token) })
}

// Lock takes a lock, waiting for it at most as long as WithWait says, and holds it until it is released or lost. It
// fails with a *BusyError when somebody else has it. Cancelling the context leaves the queue; later, it is the parent
// of the lease's context, and does not release the lease.
func (c *Client) Lock(ctx context.Context, key string, options ...Option) (*Lease, error) {
	return c.LockAll(ctx, []string{key}, options...)
}

// LockAll takes several locks, all or none: they are one lease.
func (c *Client) LockAll(ctx context.Context, keys []string, options ...Option) (*Lease, error) {
	ask, err := newAsk(forLock, "Lock", keys, options)
	if err != nil {
		return nil, err
	}
	return c.hold(ctx, ask)
}

// Resume takes over the lease of this token, here or at another server, within its grace. Whoever held it before has
// lost it. It is ErrNotHeld when it has ended meanwhile.
func (c *Client) Resume(ctx context.Context, key string, token []byte, options ...Option) (*Lease, error) {
	ask, err := newAsk(forResume, "Resume", []string{key}, options)
	if err == nil {
		ask.token, err = checkToken(token)
	}
	if err != nil {
		return nil, err
	}
	return c.hold(ctx, ask)
}

// Work is what is done while a lease is held; its context is the lease's.
type Work func(ctx context.Context, lease *Lease) error

// WithLock does the work while it holds the lock: the work's context is cancelled when the lease is lost, which is
// then the error, as a *LostError, whatever the work came to.
func (c *Client) WithLock(ctx context.Context, key string, work Work, options ...Option) error {
	lease, err := c.Lock(ctx, key, options...)
	if err != nil {
		return err
	}
	return lease.during(work)
}

// Inspect tells who holds the lock; nil: nobody.
func (c *Client) Inspect(ctx context.Context, key string) (*Holder, error) {
	answer, _, err := inquire(ctx, c, func(ctx context.Context, options ...grpc.CallOption) (*pb.InspectResponse, error) {
		return c.connection.locks.Inspect(ctx, &pb.InspectRequest{Key: key}, options...)
	})
	return holderOf(answer.GetHeld()), err
}

// CheckHealth is nil when the server serves: it is up, not draining, and its Redis is there. ErrAway otherwise.
func (c *Client) CheckHealth(ctx context.Context) error {
	answer, _, err := inquire(ctx, c,
		func(ctx context.Context, options ...grpc.CallOption) (*health.HealthCheckResponse, error) {
			return c.connection.health.Check(ctx, &health.HealthCheckRequest{}, options...)
		})
	if err == nil && answer.GetStatus() != health.HealthCheckResponse_SERVING {
		return errorf(ErrAway, "the server does not serve: it is draining, or Redis is away")
	}
	return err
}

// inquire asks once, and tells when.
func inquire[A any](ctx context.Context, c *Client, question question[A]) (A, time.Duration, error) {
	joined, done := c.joined(ctx)
	defer done()
	answer, sent, _, err := askOnce(joined, c.connection, 0, question)
	return answer, sent, err
}
