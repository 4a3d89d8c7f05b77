// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

// Between the end of a stream and the next one: the channel takes a moment to know that its connection dropped.
const openPause = 100 * time.Millisecond

func ofMs(ms uint32) time.Duration {
	return time.Duration(ms) * time.Millisecond
}

// isDisconnected tells whether the connection may have ended the call. gRPC uses the same status when the server itself
// says that it, or its Redis, is not available.
func isDisconnected(err error) bool {
	return status.Code(err) == codes.Unavailable
}

// ofEnd is the error of a stream that ended before it told what was to be heard.
func ofEnd(err error) error {
	if err == io.EOF {
		return errorf(ErrRefused, "the server ended the stream without an answer")
	}
	return ofStatus(err)
}

// firstMessage is asked for when the stream has a connection. The wait began when the server heard of it first.
func (h *hold) firstMessage() *pb.HoldAsk {
	h.askedAt = now()
	if h.state == resuming {
		return h.ask.resumeMessage(h.grant.token)
	}
	wait := ofMs(h.ask.waitMs)
	if h.waitUntil != 0 {
		wait = max(0, h.waitUntil-h.askedAt)
	}
	h.waitUntil = h.askedAt + wait
	h.timeoutAt = h.waitUntil + h.client.connection.timeout
	h.setTimer()
	if h.ask.token != nil {
		return h.ask.resumeMessage(h.ask.token)
	}
	return h.ask.holdMessage(wait)
}

// takeEvent is what the stream tells.
func (h *hold) takeEvent(s *stream, event *pb.HoldEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stream != s || !h.isInTime() {
		return
	}
	switch told := event.GetEvent().(type) {
	case *pb.HoldEvent_Queued:
		h.takeQueued(told.Queued)
	case *pb.HoldEvent_Granted:
		h.takeGranted(told.Granted)
	case *pb.HoldEvent_Busy:
		h.takeBusy(told.Busy)
	case *pb.HoldEvent_Renewed:
		h.takeRenewed(told.Renewed)
	case *pb.HoldEvent_AtRisk:
		h.warn()
	case *pb.HoldEvent_Lost:
		h.takeLost(told.Lost)
	case *pb.HoldEvent_Released:
		h.endRelease(nil)
	}
}

func (h *hold) takeQueued(queued *pb.HoldQueued) {
	if h.state != asking {
		return
	}
	h.wasQueued = true
	h.place = place{int(queued.GetPosition()), holderOf(queued.GetHolder())}
	if h.ask.onQueued == nil {
		return
	}
	select {
	case h.placed <- struct{}{}:
	default: // who waits has not looked at the last one yet
	}
}

func (h *hold) takeBusy(holder *pb.Holder) {
	if h.state == asking {
		h.fail(&BusyError{Holder: *holderOf(holder)})
	}
}

// startTerm counts the lease from our question, and its longest hold from the grant.
func (h *hold) startTerm(message *pb.Lease, granted, now time.Duration) {
	h.term = term{ttl: ofMs(message.GetTtlMs()), heartbeat: ofMs(h.ask.heartbeatMs)}
	if h.ask.maxHoldMs != 0 {
		h.term.maxHoldUntil = granted + ofMs(h.ask.maxHoldMs)
	}
	h.term.confirm(h.askedAt, ofMs(message.GetValidForMs()), now)
}

func (h *hold) takeGranted(message *pb.Lease) {
	if h.state == resuming {
		h.takeResumed(message)
		return
	}
	if h.state != asking {
		return // resumed just when we gave it up
	}
	granted, err := grantOf(message, h.ask.keys, h.ask.token)
	if err != nil || !granted.isFenced() {
		h.fail(errNonsense)
		return
	}
	now := now()
	h.grant = granted
	h.startTerm(message, now, now)
	switch {
	case h.ask.waitMs > 0:
		h.confirm(now)
	case h.term.left(now) > 0:
		h.settle(now)
	default:
		h.fail(errorf(ErrTimeout, "the lease had expired when its grant was read"))
	}
}

// confirm is for a grant after a wait, which may be as old as the question, for a process that was frozen reads what
// came long ago: a ping tells. Where enough is left to go on with, nobody has to wait for its answer.
func (h *hold) confirm(now time.Duration) {
	h.state = confirming
	h.ping(now, nil)
	if h.term.left(now) > 2*h.term.atRisk() {
		h.settle(now)
		return
	}
	h.timeoutAt = now + h.client.connection.timeout
	h.setTimer()
}

// takeRenewed: answers come in the order of the pings. One that crossed our release says nothing new.
func (h *hold) takeRenewed(renewed *pb.HoldRenewed) {
	if (h.state != held && h.state != confirming) || len(h.pings) == 0 {
		return
	}
	now, ping := now(), h.pings[0]
	h.term.confirm(ping.sent, ofMs(renewed.GetValidForMs()), now)
	if h.term.left(now) <= 0 && h.state == confirming {
		h.fail(errorf(ErrTimeout, "the lease had expired when its grant was confirmed"))
		return
	}
	if !h.isInTime() {
		return
	}
	h.pings = h.pings[1:]
	ping.tell(nil)
	if h.state == confirming {
		h.settle(now)
		return
	}
	h.term.planPing(now)
	h.setTimer()
}

func (h *hold) takeLost(lost *pb.HoldLost) {
	switch h.state {
	case asking:
		h.fail(errorf(ErrNotHeld, "the lease has ended meanwhile"))
	case confirming:
		h.fail(errorf(ErrNotHeld, "the lease was lost before it could be used"))
	case releasing:
		h.endRelease(&LostError{Reason: lossOf(lost)})
	case resuming:
		h.lose(LossConnection)
	case held:
		h.lose(lossOf(lost))
	}
}

func (h *hold) endRelease(err error) {
	if h.state == releasing {
		h.released <- err
		h.end(h.err)
	}
}

// beginResuming: the server began to count the grace when it noticed, which may have been before us; but it cannot have
// let the lock go before the deadline that it confirmed itself, unless the grace is shorter. Renewals that somebody
// waits for wait on: coming back answers them as well.
func (h *hold) beginResuming() {
	h.state = resuming
	h.term.limit(now() + ofMs(h.ask.graceMs))
	var awaited []ping
	for _, ping := range h.pings {
		if ping.answer != nil {
			awaited = append(awaited, ping)
		}
	}
	h.pings = awaited
	h.open(0)
	h.setTimer()
}

// takeResumed: ours again, with the fence it had; whoever waited for news of it has them.
func (h *hold) takeResumed(message *pb.Lease) {
	granted, err := grantOf(message, h.ask.keys, h.grant.token)
	if err != nil || granted.fences[h.grant.keys[0]] != h.grant.fences[h.grant.keys[0]] {
		h.lose(LossConnection)
		return
	}
	now := now()
	h.startTerm(message, h.askedAt, now)
	if h.isInTime() {
		h.state = held
		h.dropPings(nil)
		h.term.planPing(now)
		h.setTimer()
	}
}

// takeEnd is the end of the stream. A question whose wait is not over is asked anew, for nothing is held.
func (h *hold) takeEnd(s *stream, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.end()
	if h.stream != s {
		return
	}
	isDisconnected := isDisconnected(err)
	switch {
	case h.state == asking && isDisconnected && h.wasQueued && now() < h.waitUntil:
		h.wasQueued = false
		h.timeoutAt = now() + h.client.connection.timeout
		h.open(openPause)
		h.setTimer()
	case h.state == asking:
		h.fail(ofEnd(err))
	case h.state == confirming || h.state == releasing:
		h.endUnheld(err, isDisconnected)
	case !h.isInTime():
	case h.state == held && isDisconnected && h.ask.graceMs > 0:
		h.beginResuming()
	case h.state == resuming && (err == io.EOF || isPassing(ofStatus(err))):
		h.open(openPause)
	default:
		h.lose(LossConnection)
	}
}

// endUnheld: a lease with a grace outlives the connection, also one that the application does not want.
func (h *hold) endUnheld(err error, isDisconnected bool) {
	if isDisconnected && h.ask.graceMs > 0 {
		h.client.giveUp(h.ask.keys[0], h.grant.token)
	}
	if h.state == confirming {
		h.fail(ofEnd(err))
	} else {
		h.endRelease(ofEnd(err))
	}
}
