// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"time"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

func (h *hold) dropPings(err error) {
	for _, ping := range h.pings {
		ping.tell(err)
	}
	h.pings = nil
}

// ping sends one, or, when the connection is being remade, lets coming back be the answer.
func (h *hold) ping(now time.Duration, answer chan error) {
	h.pings = append(h.pings, ping{now, answer})
	if h.state != resuming {
		// Where it fails the reader hears of it, too.
		_ = h.stream.call.Send(&pb.HoldRequest{Message: &pb.HoldRequest_Ping{Ping: &pb.HoldPing{}}})
	}
}

// warn tells the application once that the lease is at risk.
func (h *hold) warn() {
	left := h.term.left(now())
	if h.state != held && h.state != resuming || h.term.isWarned {
		return
	}
	h.term.isWarned = true
	if h.ask.onAtRisk != nil && left > 0 {
		go h.ask.onAtRisk(left)
	}
}

// setTimer for what comes next.
func (h *hold) setTimer() {
	wakeAt := h.timeoutAt
	switch h.state {
	case held:
		wakeAt = min(h.term.wakesAt(), h.term.pingAt)
	case resuming:
		wakeAt = h.term.wakesAt()
	}
	h.timer.Reset(max(0, wakeAt-now()))
}

// onTimer: timers run on a clock that may stand still while the machine is suspended, and be early.
func (h *hold) onTimer() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isInTime() {
		return
	}
	now := now()
	switch h.state {
	case held, resuming:
		if h.term.mustWarn(now) {
			h.warn()
		}
		if h.state == held && now >= h.term.pingAt {
			if len(h.pings) < pingsMax {
				h.ping(now, nil)
			}
			h.term.planPing(now)
		}
	default:
		if now >= h.timeoutAt {
			h.timeOut()
			return
		}
	}
	h.setTimer()
}

func (h *hold) timeOut() {
	switch {
	case h.state == releasing:
		h.endRelease(errLate)
	case h.state == asking && (h.stream == nil || h.stream.call == nil):
		h.fail(errUnreached)
	default:
		h.fail(errLate)
	}
}
