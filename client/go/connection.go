// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

const (
	// How long a question about why there is no connection may take; mostly it is answered at once.
	explainTimeout = 200 * time.Millisecond

	// Before a question whose answer was lost is asked again.
	repeatPause = 100 * time.Millisecond
)

// A connection is the one to a server, kept up while somebody wants it: leases belong to connections.
type connection struct {
	address address
	timeout time.Duration
	channel *grpc.ClientConn
	locks   pb.LocksClient
	health  health.HealthClient
}

// A bearer adds the token to each call's metadata.
type bearer func() string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b()}, nil
}

func (b bearer) RequireTransportSecurity() bool { return false }

func newConnection(config Config) (*connection, error) {
	where, err := parseAddress(config.Server)
	if err != nil {
		return nil, err
	}
	trust, err := credentialsFor(where, config)
	if err != nil {
		return nil, err
	}
	pause := backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(trust),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pause, MinConnectTimeout: 2 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0),
	}
	if config.BearerToken != nil {
		options = append(options, grpc.WithPerRPCCredentials(bearer(config.BearerToken)))
	}
	channel, err := grpc.NewClient(where.target, options...)
	if err != nil {
		return nil, refuseAddress(where.url, err.Error())
	}
	return &connection{
		address: where, timeout: config.Timeout, channel: channel,
		locks: pb.NewLocksClient(channel), health: health.NewHealthClient(channel),
	}, nil
}

// ready waits for a connection until the context ends, and is then the context's error.
func (c *connection) ready(ctx context.Context) error {
	for {
		state := c.channel.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if state == connectivity.Shutdown {
			return errClosed
		}
		c.channel.Connect()
		if !c.channel.WaitForStateChange(ctx, state) {
			return ctx.Err()
		}
	}
}

func (c *connection) isUp() bool {
	return c.channel.GetState() == connectivity.Ready
}

// away says why there is no connection: a call that does not wait for one is told.
func (c *connection) away() error {
	ctx, cancel := context.WithTimeout(context.Background(), explainTimeout)
	defer cancel()
	_, err := c.health.Check(ctx, &health.HealthCheckRequest{}, grpc.WaitForReady(false))
	if told := status.Convert(err); told.Code() == codes.Unavailable {
		return errorf(ErrAway, "no connection to %s: %s", c.address.url, told.Message())
	}
	return errorf(ErrAway, "no connection to %s", c.address.url)
}

// A question is a unary call. It is told the time that is left, for a wait may be part of it.
type question[A any] func(ctx context.Context, options ...grpc.CallOption) (A, error)

// askOnce asks within the timeout (of connecting and of the answer, beyond a wait), and tells when at the earliest the
// question was sent. wasHeard: the server answered it, if only with an error.
func askOnce[A any](ctx context.Context, c *connection, wait time.Duration, ask question[A]) (
	answer A, sent time.Duration, wasHeard bool, err error) {
	limited, cancel := context.WithTimeout(ctx, wait+c.timeout)
	defer cancel()
	if err = c.ready(limited); err == nil {
		var header, trailer metadata.MD
		sent = now()
		answer, err = ask(limited, grpc.Header(&header), grpc.Trailer(&trailer))
		wasHeard = len(header) > 0 || len(trailer) > 0
	} else if errors.Is(err, errClosed) {
		return answer, sent, true, err
	}
	switch {
	case err == nil:
		return answer, sent, true, nil
	case ctx.Err() != nil:
		return answer, sent, wasHeard, cancelled(ctx)
	case limited.Err() != nil && !c.isUp():
		return answer, sent, wasHeard, c.away()
	}
	return answer, sent, wasHeard, ofStatus(err)
}

// askUntilHeard is for questions that may be repeated: they are when the connection dropped before the answer.
func askUntilHeard[A any](ctx context.Context, c *connection, waitLeft func() time.Duration, ask question[A]) (
	A, time.Duration, error) {
	for {
		answer, sent, wasHeard, err := askOnce(ctx, c, waitLeft(), ask)
		isLost := errors.Is(err, ErrAway) && !wasHeard && sent != 0
		if !isLost || pause(ctx, repeatPause) != nil {
			return answer, sent, err
		}
	}
}

// pause returns early, with an error, when the context ends.
func pause(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return cancelled(ctx)
	}
}
