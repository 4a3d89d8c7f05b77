// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"time"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

// Loss is why a lease ended.
type Loss string

const (
	LossExpired    Loss = "expired"    // no renewal was confirmed before its deadline
	LossTaken      Loss = "taken"      // somebody else has the lock, or deleted or released it
	LossHeartbeat  Loss = "heartbeat"  // the server missed our heartbeat
	LossShutdown   Loss = "shutdown"   // the server shut down
	LossConnection Loss = "connection" // the connection dropped, and within a grace did not come back
	LossMaxHold    Loss = "max_hold"   // it was held for its longest hold
	LossResumed    Loss = "resumed"    // somebody resumed it with its token
)

var reasons = map[pb.HoldLost_Reason]Loss{
	pb.HoldLost_REASON_EXPIRED:          LossExpired,
	pb.HoldLost_REASON_TAKEN:            LossTaken,
	pb.HoldLost_REASON_HEARTBEAT_MISSED: LossHeartbeat,
	pb.HoldLost_REASON_SHUTDOWN:         LossShutdown,
	pb.HoldLost_REASON_MAX_HOLD:         LossMaxHold,
	pb.HoldLost_REASON_RESUMED:          LossResumed,
}

func lossOf(message *pb.HoldLost) Loss {
	if loss, isKnown := reasons[message.GetReason()]; isKnown {
		return loss
	}
	return LossConnection
}

// Holder is who holds a lock, for people and for deciding when to ask again.
type Holder struct {
	Key       string        // which lock, where several were asked for; else ""
	Label     string        // "" when there is none
	Value     []byte        // only Inspect and Watch tell it
	Fence     uint64        // 0 when foreign
	Shared    bool          // with others, perhaps
	Holders   int           // how many hold it; the rest tells of one of them
	Foreign   bool          // another program's key
	Closed    bool          // nobody has it, but its lock delay is not over
	Since     time.Time     // zero when unknown
	Remaining time.Duration // until Redis lets go unless renewed; negative: never
}

func holderOf(message *pb.Holder) *Holder {
	if message == nil {
		return nil
	}
	holder := &Holder{
		Key:       message.GetKey(),
		Label:     message.GetLabel(),
		Value:     message.GetValue(),
		Fence:     message.GetFence(),
		Shared:    message.GetMode() == pb.Mode_MODE_SHARED,
		Holders:   int(message.GetHolders()),
		Foreign:   message.GetForeign(),
		Closed:    message.GetClosed(),
		Remaining: time.Duration(message.GetRemainingMs()) * time.Millisecond,
	}
	if since := message.GetSinceMs(); since != 0 {
		holder.Since = time.UnixMilli(since)
	}
	return holder
}

// A grant is what the server gave, as far as it makes sense.
type grant struct {
	keys   []string // in the order in which they were taken
	fences map[string]uint64
	token  []byte
}

// grantOf checks the lease against what was asked for. A token that is not empty must be the lease's.
func grantOf(message *pb.Lease, keys []string, token []byte) (*grant, error) {
	granted := &grant{fences: map[string]uint64{}, token: message.GetToken()}
	locks := message.GetLocks()
	if len(locks) == 0 {
		locks = []*pb.LockFence{{Key: message.GetKey(), Fence: message.GetFence()}}
	}
	for _, lock := range locks {
		granted.keys = append(granted.keys, lock.GetKey())
		granted.fences[lock.GetKey()] = lock.GetFence()
	}
	isRight := len(granted.token) == tokenSize && message.GetTtlMs() > 0 && len(granted.fences) == len(keys)
	for _, key := range keys {
		_, isThere := granted.fences[key]
		isRight = isRight && isThere
	}
	if !isRight || (len(token) > 0 && string(token) != string(granted.token)) {
		return nil, errNonsense
	}
	return granted, nil
}

// isFenced tells whether each lock has a fence. Only where a token is renewed it may be unknown.
func (g *grant) isFenced() bool {
	for _, fence := range g.fences {
		if fence == 0 {
			return false
		}
	}
	return true
}
