// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Pings the server has not answered. More would not wake it.
const pingsMax = 64

// The question never got a connection; why, takes a moment to learn.
var errUnreached = errors.New("no connection")

type state int

const (
	asking     state = iota
	confirming       // granted; a ping must tell whether it still counts
	held
	resuming // the connection dropped, and its grace is not over
	releasing
	over
)

// A hold is a lease from its question to its end. Whatever happens to it does under its lock: its stream tells, a timer
// fires, somebody asks something of it. Nothing under the lock waits, and no callback is called there.
type hold struct {
	client *Client
	ask    *ask
	parent context.Context
	ctx    context.Context // the lease's
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	state     state
	stream    *stream // nil between two
	grant     *grant  // does not change once the lease is the application's
	term      term
	pings     []ping
	timer     *time.Timer
	timeoutAt time.Duration // of the question, and of the release
	askedAt   time.Duration // at the earliest, by this stream
	waitUntil time.Duration
	wasQueued bool
	err       error         // why it is not valid any more
	settled   chan error    // nil: the lease is the application's
	released  chan error    // the answer to release
	placed    chan struct{} // there is a new place
	place     place
}

// A place is where the question stands in the queue.
type place struct {
	position int
	holder   *Holder
}

// A ping has been sent; whoever waits for the answer hears it.
type ping struct {
	sent   time.Duration
	answer chan error // nil: nobody
}

func (p ping) tell(err error) {
	if p.answer != nil {
		p.answer <- err
	}
}

// hold asks for a lease and waits for it.
func (c *Client) hold(ctx context.Context, ask *ask) (*Lease, error) {
	if ctx.Err() != nil {
		return nil, cancelled(ctx)
	}
	made := &hold{
		client: c, ask: ask, parent: ctx,
		settled: make(chan error, 1), released: make(chan error, 1), placed: make(chan struct{}, 1),
	}
	if !c.remember(made) {
		return nil, errClosed
	}
	made.start()
	for {
		select {
		case err := <-made.settled:
			return made.lease(err)
		case <-ctx.Done():
			made.takeBack(cancelled(ctx))
			return nil, cancelled(ctx)
		case <-made.placed:
			made.tellPlace()
		}
	}
}

func (h *hold) start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(h.client.connection.timeout, h.onTimer)
	if h.state == asking { // Close may have ended it
		h.timeoutAt = now() + h.client.connection.timeout
		h.open(0)
		h.setTimer()
	}
}

func (h *hold) lease(err error) (*Lease, error) {
	if err == errUnreached {
		return nil, h.client.connection.away()
	}
	if err != nil {
		return nil, err
	}
	return &Lease{hold: h}, nil
}

func (h *hold) tellPlace() {
	h.mu.Lock()
	told := h.place
	h.mu.Unlock()
	h.ask.onQueued(told.position, told.holder)
}

// settle makes the lease the application's. The hold is locked, as in everything below that does not lock it.
func (h *hold) settle(now time.Duration) {
	h.state = held
	h.ctx, h.cancel = context.WithCancelCause(h.parent)
	h.term.planPing(now)
	h.setTimer()
	h.settled <- nil
}

// fail answers the question with an error. Whatever was granted is given up.
func (h *hold) fail(err error) {
	h.settled <- err
	h.end(err)
}

// takeBack is for a question whose answer nobody hears any more, even if it has been given just now.
func (h *hold) takeBack(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == resuming {
		h.client.giveUp(h.ask.keys[0], h.grant.token)
	}
	if h.state != over {
		h.end(err)
	}
}

// close is the client's.
func (h *hold) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.state {
	case asking, confirming:
		h.fail(errClosed)
	case over:
	default:
		h.end(errClosed)
	}
}

func (h *hold) end(err error) {
	h.state = over
	h.err = err
	h.term.end()
	if h.cancel != nil {
		h.cancel(err)
	}
	if h.timer != nil {
		h.timer.Stop()
	}
	h.dropPings(err)
	h.leave()
	h.client.forget(h)
}

func (h *hold) lose(loss Loss) {
	h.end(&LostError{Reason: loss})
}

// check tells whether the lease is valid now, by the clock.
func (h *hold) check() error {
	if h.isInTime() && (h.state == held || h.state == resuming) {
		return nil
	}
	return h.err
}

// isInTime ends a lease that is over by our own clock. False: there is nothing to be done with it any more.
func (h *hold) isInTime() bool {
	isHeld := h.state == held || h.state == resuming
	if isHeld && h.term.left(now()) <= 0 {
		h.lose(h.lossByTime())
	}
	return h.state != over
}

func (h *hold) lossByTime() Loss {
	if h.state == resuming {
		return LossConnection
	}
	return h.term.lossByTime()
}

func (h *hold) beginRenewal() (chan error, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.check(); err != nil {
		return nil, err
	}
	if len(h.pings) >= pingsMax {
		return nil, errorf(ErrLimit, "too many renewals wait for the server")
	}
	answer := make(chan error, 1)
	h.ping(now(), answer)
	return answer, nil
}

func (h *hold) renew(ctx context.Context) error {
	answer, err := h.beginRenewal()
	if err != nil {
		return err
	}
	late := time.NewTimer(h.client.connection.timeout)
	defer late.Stop()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return cancelled(ctx)
	case <-late.C:
		return errLate
	}
}

// beginRelease tells whether the stream is to answer; otherwise the token gives the lease up.
func (h *hold) beginRelease() (isStreaming bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.check(); err != nil {
		return false, err
	}
	h.err = errorf(ErrNotHeld, "the lease was released")
	if h.state == resuming && (h.stream == nil || h.stream.call == nil) {
		h.end(h.err)
		return false, nil
	}
	h.state = releasing
	h.term.end()
	h.cancel(h.err)
	h.dropPings(h.err)
	_ = h.stream.call.CloseSend()
	h.timeoutAt = now() + h.client.connection.timeout
	h.setTimer()
	return true, nil
}

func (h *hold) release(ctx context.Context) error {
	isStreaming, err := h.beginRelease()
	if err != nil {
		return err
	}
	if !isStreaming {
		h.client.spawn(func() {
			h.released <- h.client.releaseToken(context.Background(), h.ask.keys[0], h.grant.token)
		})
	}
	select {
	case err := <-h.released:
		return err
	case <-ctx.Done():
		return cancelled(ctx)
	case <-h.client.ctx.Done():
		return errClosed
	}
}
