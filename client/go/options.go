// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"time"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

const (
	day       = 24 * time.Hour
	tokenSize = 16
)

// What an option is for.
const (
	forLock = 1 << iota
	forResume
	forDetached
	forLead
	forHold = forLock | forResume | forLead
	forAll  = forHold | forDetached
)

// An ask is a lock or several, how to hold them, and who wants to hear of it; in the server's terms.
type ask struct {
	keys        []string
	waitMs      uint32
	ttlMs       uint32
	label       string
	value       []byte
	mode        pb.Mode
	limit       uint32
	graceMs     uint32
	lockDelayMs uint32
	maxHoldMs   uint32
	heartbeatMs uint32
	onQueued    func(position int, holder *Holder)
	onAtRisk    func(left time.Duration)
	token       []byte // of the lease to resume, or for a detached one
}

// An Option says how a lock is to be held.
type Option struct {
	name  string
	where int
	set   func(*ask) error
}

func newAsk(where int, method string, keys []string, options []Option) (*ask, error) {
	made := &ask{keys: append([]string(nil), keys...), mode: pb.Mode_MODE_EXCLUSIVE}
	if len(keys) == 0 {
		return nil, errorf(ErrInvalid, "key: missing")
	}
	for _, option := range options {
		if option.where&where == 0 {
			return nil, errorf(ErrInvalid, "%s is not for %s", option.name, method)
		}
		if err := option.set(made); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// milliseconds rounds up: a short time must not become 0, which means something else.
func milliseconds(name string, value time.Duration) (uint32, error) {
	if value < 0 || value > day {
		return 0, errorf(ErrInvalid, "%s: must be 0 to %v, not %v", name, day, value)
	}
	return uint32((value + time.Millisecond - 1) / time.Millisecond), nil
}

func duration(name string, where int, value time.Duration, field func(*ask) *uint32) Option {
	return Option{name, where, func(a *ask) (err error) {
		*field(a), err = milliseconds(name, value)
		return err
	}}
}

func setting(name string, where int, set func(*ask)) Option {
	return Option{name, where, func(a *ask) error {
		set(a)
		return nil
	}}
}

// WithWait stands in line for the lock for that long. Default: not at all.
func WithWait(wait time.Duration) Option {
	return duration("WithWait", forLock|forDetached, wait, func(a *ask) *uint32 { return &a.waitMs })
}

// WithTTL is how long the lock stays taken when nobody renews it, which the server does. Default: the server's.
func WithTTL(ttl time.Duration) Option {
	return duration("WithTTL", forAll, ttl, func(a *ask) *uint32 { return &a.ttlMs })
}

// WithLabel tells people who is asking: it is shown to whoever finds the lock busy. At most 128 bytes.
func WithLabel(label string) Option {
	return setting("WithLabel", forAll&^forResume, func(a *ask) { a.label = label })
}

// WithValue is shown to whoever inspects or watches the lock. At most 4096 bytes.
func WithValue(value []byte) Option {
	return setting("WithValue", forAll&^forResume, func(a *ask) { a.value = value })
}

// WithShared holds the lock together with others who ask so: readers.
func WithShared() Option {
	return setting("WithShared", forLock|forDetached, func(a *ask) { a.mode = pb.Mode_MODE_SHARED })
}

// WithLimit holds the lock together with others, at most so many in all, as this holder sees it: a semaphore.
func WithLimit(limit int) Option {
	return Option{"WithLimit", forLock | forDetached, func(a *ask) error {
		if limit < 1 || limit > 1000000 {
			return errorf(ErrInvalid, "WithLimit: must be 1 to 1000000, not %d", limit)
		}
		a.mode, a.limit = pb.Mode_MODE_SHARED, uint32(limit)
		return nil
	}}
}

// WithGrace keeps the lease for that long when the connection drops; the library comes back and resumes it. With one
// lock only.
func WithGrace(grace time.Duration) Option {
	return duration("WithGrace", forHold, grace, func(a *ask) *uint32 { return &a.graceMs })
}

// WithLockDelay keeps the lock closed for that long after the lease was lost: time for its last effects to arrive.
func WithLockDelay(delay time.Duration) Option {
	return duration("WithLockDelay", forAll, delay, func(a *ask) *uint32 { return &a.lockDelayMs })
}

// WithMaxHold ends the lease that long after it was granted, however alive its holder is.
func WithMaxHold(bound time.Duration) Option {
	return duration("WithMaxHold", forHold, bound, func(a *ask) *uint32 { return &a.maxHoldMs })
}

// WithHeartbeat loses the lease when this process is not heard for that long, as when it is frozen. The library sees
// to it otherwise.
func WithHeartbeat(interval time.Duration) Option {
	return duration("WithHeartbeat", forHold, interval, func(a *ask) *uint32 { return &a.heartbeatMs })
}

// WithOnQueued hears the place in the queue (1: next) and who is in the way, if known; in the goroutine that waits.
func WithOnQueued(hear func(position int, holder *Holder)) Option {
	return setting("WithOnQueued", forLock|forLead, func(a *ask) { a.onQueued = hear })
}

// WithOnAtRisk hears, in a goroutine of its own, that renewals are not confirmed and how long the lease is left: once,
// and again after a recovery.
func WithOnAtRisk(hear func(left time.Duration)) Option {
	return setting("WithOnAtRisk", forHold, func(a *ask) { a.onAtRisk = hear })
}

// WithToken acquires with 16 random bytes of one's own: asking again with the same ones is the same acquire.
func WithToken(token []byte) Option {
	return Option{"WithToken", forDetached, func(a *ask) (err error) {
		a.token, err = checkToken(token)
		return err
	}}
}

func checkToken(token []byte) ([]byte, error) {
	if len(token) != tokenSize {
		return nil, errorf(ErrInvalid, "token: must be %d bytes", tokenSize)
	}
	return append([]byte(nil), token...), nil
}

func (a *ask) holdMessage(wait time.Duration) *pb.HoldAsk {
	message := &pb.HoldAsk{
		TtlMs: a.ttlMs, Label: a.label, HeartbeatMs: a.heartbeatMs, WaitMs: uint32(wait / time.Millisecond),
		Mode: a.mode, Limit: a.limit, Value: a.value, GraceMs: a.graceMs, LockDelayMs: a.lockDelayMs,
		MaxHoldMs: a.maxHoldMs,
	}
	if len(a.keys) == 1 {
		message.Key = a.keys[0]
	} else {
		message.Keys = a.keys
	}
	return message
}

func (a *ask) resumeMessage(token []byte) *pb.HoldAsk {
	return &pb.HoldAsk{
		Key: a.keys[0], ResumeToken: token, TtlMs: a.ttlMs, HeartbeatMs: a.heartbeatMs, GraceMs: a.graceMs,
		LockDelayMs: a.lockDelayMs, MaxHoldMs: a.maxHoldMs,
	}
}

func (a *ask) acquireMessage(token []byte, wait time.Duration) *pb.AcquireRequest {
	return &pb.AcquireRequest{
		Key: a.keys[0], Detached: true, Token: token, TtlMs: a.ttlMs, Label: a.label,
		WaitMs: uint32(wait / time.Millisecond), Mode: a.mode, Limit: a.limit, Value: a.value,
		LockDelayMs: a.lockDelayMs,
	}
}
