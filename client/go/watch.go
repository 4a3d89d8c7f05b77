// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

// Until the server is asked again, when it says "not now".
const watchPause = 250 * time.Millisecond

// WatchState is what a watch tells.
type WatchState struct {
	Holder  *Holder // nil: the lock is free, if the state is known
	Unknown error   // not nil: the state is not known now, and why; the watch goes on
}

// A watch reads the states of a lock, and keeps the newest until it is told.
type watch struct {
	client    *Client
	key       string
	news      chan WatchState
	isUnknown bool
}

// Watch calls `tell` with the lock's state now and whenever that changes, until the context ends (ErrCancelled) or the
// server refuses. A lost connection is told once, and the watch goes on. Who is slow hears of the newest state only.
func (c *Client) Watch(ctx context.Context, key string, tell func(WatchState)) error {
	joined, done := c.joined(ctx)
	defer done()
	made := &watch{client: c, key: key, news: make(chan WatchState, 1)}
	var end error
	go func() {
		end = made.run(joined)
		close(made.news)
	}()
	for state := range made.news {
		if joined.Err() == nil {
			tell(state)
		}
	}
	return end
}

func (w *watch) tell(state WatchState) {
	w.isUnknown = state.Unknown != nil
	select {
	case <-w.news: // nobody has heard of it
	default:
	}
	w.news <- state
}

func (w *watch) tellUnknown(why error) {
	if !w.isUnknown {
		w.tell(WatchState{Unknown: why})
	}
}

func (w *watch) run(ctx context.Context) error {
	for {
		err := w.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return cancelled(ctx)
		case errors.Is(err, ErrAway):
			w.tellUnknown(err)
		default:
			return err
		}
		if err := pause(ctx, watchPause); err != nil {
			return err
		}
	}
}

// follow is one stream, while it lasts.
func (w *watch) follow(ctx context.Context) error {
	connection := w.client.connection
	limited, cancelWait := context.WithTimeout(ctx, connection.timeout)
	defer cancelWait()
	if connection.ready(limited) != nil {
		return connection.away()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := connection.locks.Watch(ctx, &pb.WatchRequest{Key: w.key})
	if err != nil {
		return ofStatus(err)
	}
	events := make(chan *pb.WatchEvent)
	ended := make(chan error, 1)
	go func() { ended <- read(ctx, call, events) }()
	late := time.NewTimer(connection.timeout)
	defer late.Stop()
	for {
		select {
		case event := <-events:
			late.Stop()
			w.tell(WatchState{Holder: holderOf(event.GetHeld())})
		case <-late.C:
			w.tellUnknown(errorf(ErrAway, "the server did not answer in time; perhaps its Redis is away"))
		case err := <-ended:
			return err
		}
	}
}

func read(ctx context.Context, call pb.Locks_WatchClient, events chan<- *pb.WatchEvent) error {
	for {
		event, err := call.Recv()
		switch {
		case err == io.EOF:
			return errorf(ErrAway, "the server ended the watch")
		case err != nil && status.Code(err) == codes.Unavailable:
			return errorf(ErrAway, "the connection was lost: %s", status.Convert(err).Message())
		case err != nil:
			return ofStatus(err)
		}
		select {
		case events <- event:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
