// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"errors"
	"time"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

var errLeft = errors.New("nobody wants the stream any more")

// A stream is one call of Hold, from the wish for a connection to its end. It is its hold's, under whose lock it is
// used; one goroutine reads it and tells the hold.
type stream struct {
	cancel context.CancelFunc
	call   pb.Locks_HoldClient // nil until there is a connection
	timer  *time.Timer         // once it was left
	isOver bool
}

// open starts a stream after a pause. The hold is locked.
func (h *hold) open(after time.Duration) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.parent))
	made := &stream{cancel: cancel}
	h.stream = made
	h.client.spawn(func() {
		defer cancel()
		h.run(ctx, made, after)
	})
}

func (h *hold) run(ctx context.Context, s *stream, after time.Duration) {
	var call pb.Locks_HoldClient
	err := pause(ctx, after)
	if err == nil {
		call, err = h.begin(ctx, s)
	}
	for err == nil {
		var event *pb.HoldEvent
		if event, err = call.Recv(); err == nil {
			h.takeEvent(s, event)
		}
	}
	h.takeEnd(s, err)
}

// begin waits for the connection, however long that takes, and sends what the hold wants to say first.
func (h *hold) begin(ctx context.Context, s *stream) (pb.Locks_HoldClient, error) {
	call, err := h.client.connection.locks.Hold(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stream != s {
		return nil, errLeft
	}
	s.call = call
	return call, call.Send(&pb.HoldRequest{Message: &pb.HoldRequest_Ask{Ask: h.firstMessage()}})
}

// leave gives up what the stream has or may still get: closing our side does, and is acknowledged. (Cancelling it
// would be a dropped connection, which a grace outlives.) A server that says nothing to it is not waited for longer
// than for other answers. The hold is locked.
func (h *hold) leave() {
	s := h.stream
	h.stream = nil
	if s == nil || s.isOver {
		return
	}
	if s.call == nil {
		s.cancel()
		return
	}
	_ = s.call.CloseSend()
	s.timer = time.AfterFunc(h.client.connection.timeout, s.cancel)
}

// end is the stream's own.
func (s *stream) end() {
	s.isOver = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
