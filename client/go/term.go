// SPDX-License-Identifier: Apache-2.0

package holdfast

import "time"

const (
	// A ping each third of the time that counts leaves two more chances.
	pingsATerm = 3

	// Pings come faster while the server confirms little, but not much faster.
	pingHurryMax = 8

	// The application is warned when this part of the ttl is left; a healthy lease stays above a third.
	atRiskPart = 6

	// From a grant to our reading of it, where it matters for no more than the name of a loss.
	grantDelayMax = 10 * time.Millisecond
)

// A term is how long a lease is certainly valid, and when something must be done about it. It only counts: it is
// told the time, by now().
type term struct {
	ttl          time.Duration
	heartbeat    time.Duration // 0: none
	maxHoldUntil time.Duration // 0: for ever
	deadline     time.Duration
	pingAt       time.Duration
	isWarned     bool
	isLast       bool // max_hold ends it, if nothing else does
}

func (t *term) left(now time.Duration) time.Duration {
	return t.deadline - now
}

func (t *term) atRisk() time.Duration {
	return t.ttl / atRiskPart
}

// confirm notes the server's answer to what was sent at `sent`. The server never confirms more than the longest hold
// leaves, which was now-sent less when we heard of it than when it was counted.
func (t *term) confirm(sent, validFor, now time.Duration) {
	t.deadline = sent + validFor
	t.isLast = t.maxHoldUntil != 0 && t.deadline+(now-sent)+grantDelayMax >= t.maxHoldUntil
	t.isWarned = t.isWarned && t.left(now) <= 2*t.atRisk()
}

func (t *term) limit(until time.Duration) {
	t.deadline = min(t.deadline, until)
}

func (t *term) end() {
	t.deadline = 0
}

func (t *term) lossByTime() Loss {
	if t.isLast {
		return LossMaxHold
	}
	return LossExpired
}

// planPing plans it halfway to the end at the latest: what is left may be less than the ttl.
func (t *term) planPing(now time.Duration) {
	interval := t.ttl
	if t.heartbeat != 0 {
		interval = min(interval, t.heartbeat)
	}
	interval /= pingsATerm
	t.pingAt = now + min(interval, max(t.left(now)/2, interval/pingHurryMax))
}

// wakesAt tells when to warn, or when it ends.
func (t *term) wakesAt() time.Duration {
	if t.isWarned {
		return t.deadline
	}
	return t.deadline - t.atRisk()
}

// mustWarn is true once, and again after a recovery.
func (t *term) mustWarn(now time.Duration) bool {
	return !t.isWarned && t.left(now) <= t.atRisk()
}
