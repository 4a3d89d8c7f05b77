// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

func ended(t *testing.T, lease *Lease) error {
	t.Helper()
	next(t, lease.Context().Done())
	if lease.ValidFor() != 0 || lease.Check() == nil {
		t.Fatal("the context ended, and the lease did not")
	}
	return context.Cause(lease.Context())
}

func TestALeaseIsHeldUntilItIsReleased(t *testing.T) {
	f := newFake(t)
	lease, hold := holding(t, f, f.client(Config{}))
	if lease.Check() != nil || lease.Context().Err() != nil || lease.ValidFor() < 30*time.Second {
		t.Fatal("not held:", lease)
	}
	if lease.Key() != "k" || lease.Fence() != 7 || lease.Fences()["k"] != 7 {
		t.Fatal("another lock:", lease)
	}
	if strings.Contains(lease.String(), string(someToken)) || string(lease.Token()) != string(someToken) {
		t.Fatal("the token:", lease)
	}
	go func() {
		hold.expectHalfClose()
		hold.acknowledge()
	}()
	if err := lease.Release(context.Background()); err != nil {
		t.Fatal(err)
	}
	expect(t, ended(t, lease), ErrNotHeld)
	expect(t, lease.Release(context.Background()), ErrNotHeld)
	expect(t, lease.Renew(context.Background()), ErrNotHeld)
}

func TestAReleaseIsOneWhateverItsContextSays(t *testing.T) {
	f := newFake(t)
	lease, hold := holding(t, f, f.client(Config{}))
	over, cancel := context.WithCancel(context.Background())
	cancel()
	expect(t, lease.Release(over), ErrCancelled, context.Canceled)
	expect(t, ended(t, lease), ErrNotHeld)
	hold.expectHalfClose()
}

func TestALossCancelsTheContext(t *testing.T) {
	for reason, loss := range map[pb.HoldLost_Reason]Loss{
		pb.HoldLost_REASON_TAKEN:            LossTaken,
		pb.HoldLost_REASON_HEARTBEAT_MISSED: LossHeartbeat,
		pb.HoldLost_REASON_SHUTDOWN:         LossShutdown,
	} {
		f := newFake(t)
		lease, hold := holding(t, f, f.client(Config{}))
		hold.lose(reason)
		expectLost(t, ended(t, lease), loss)
		expectLost(t, lease.Release(context.Background()), loss)
	}
}

func TestADroppedConnectionIsALoss(t *testing.T) {
	f := newFake(t)
	lease, _ := holding(t, f, f.client(Config{}))
	f.server.Stop()
	expectLost(t, ended(t, lease), LossConnection)
}

func TestALeaseThatIsNotConfirmedExpires(t *testing.T) {
	f := newFake(t)
	risks := make(chan time.Duration, 9)
	asked := lock(context.Background(), f.client(Config{}), WithOnAtRisk(func(left time.Duration) { risks <- left }))
	hold := next(t, f.holds)
	hold.ask()
	hold.grant(600*time.Millisecond, 600*time.Millisecond)
	lease := next(t, asked).lease
	hold.expectPing()
	expectLost(t, ended(t, lease), LossExpired)
	if left := next(t, risks); left > 100*time.Millisecond || len(risks) > 0 {
		t.Fatal("at risk", left)
	}
	hold.expectHalfClose()
}

func TestTheLongestHoldIsTold(t *testing.T) {
	f := newFake(t)
	asked := lock(context.Background(), f.client(Config{}), WithMaxHold(200*time.Millisecond))
	hold := next(t, f.holds)
	hold.ask()
	hold.grant(time.Minute, 200*time.Millisecond)
	expectLost(t, ended(t, next(t, asked).lease), LossMaxHold)
}

func TestARenewalIsConfirmed(t *testing.T) {
	f := newFake(t)
	lease, hold := holding(t, f, f.client(Config{}))
	go func() {
		hold.expectPing()
		hold.renewed(time.Hour)
	}()
	if err := lease.Renew(context.Background()); err != nil || lease.ValidFor() < 50*time.Minute {
		t.Fatal(err, lease)
	}
}

func TestAHeartbeatIsSent(t *testing.T) {
	f := newFake(t)
	_, hold := holding(t, f, f.client(Config{}), WithHeartbeat(150*time.Millisecond))
	for i := 0; i < 3; i++ {
		hold.expectPing()
		hold.renewed(time.Minute)
	}
}

func TestAWaitTellsItsPlaceAndLeavesTheQueueWhenCancelled(t *testing.T) {
	f := newFake(t)
	why := errors.New("no more time")
	ctx, cancel := context.WithCancelCause(context.Background())
	places := make(chan string, 9)
	asked := lock(ctx, f.client(Config{}), WithWait(time.Minute), WithOnQueued(func(position int, holder *Holder) {
		places <- strings.Repeat(holder.Label, position)
	}))
	hold := next(t, f.holds)
	if wait := hold.ask().GetWaitMs(); wait < 50000 || wait > 60000 {
		t.Fatal(wait)
	}
	hold.queue(2)
	if told := next(t, places); told != "firstfirst" {
		t.Fatal(told)
	}
	cancel(why)
	expect(t, next(t, asked).err, ErrCancelled, context.Canceled, why)
	hold.expectHalfClose()
}

func TestAWaitGoesOnAtAServerThatCameBack(t *testing.T) {
	f := newFake(t)
	queued := make(chan int, 1)
	hear := WithOnQueued(func(position int, _ *Holder) { queued <- position })
	asked := lock(context.Background(), f.client(Config{}), WithWait(time.Minute), hear)
	hold := next(t, f.holds)
	hold.ask()
	hold.queue(1)
	next(t, queued)
	f.server.Stop()
	f.start()
	again := next(t, f.holds)
	if wait := again.ask().GetWaitMs(); wait < 30000 || wait >= 60000 {
		t.Fatal(wait)
	}
	again.grant(time.Minute, time.Minute)
	if got := next(t, asked); got.err != nil {
		t.Fatal(got.err)
	}
}

func TestALateGrantIsConfirmedBeforeItIsTheApplications(t *testing.T) {
	f := newFake(t)
	asked := lock(context.Background(), f.client(Config{}), WithWait(time.Minute))
	hold := next(t, f.holds)
	hold.ask()
	hold.grant(time.Minute, time.Second)
	hold.expectPing()
	if len(asked) > 0 {
		t.Fatal("not confirmed yet")
	}
	hold.renewed(time.Minute)
	if got := next(t, asked); got.err != nil || got.lease.ValidFor() < 30*time.Second {
		t.Fatal(got)
	}
}

func TestAGrantAfterAWaitIsCountedFromTheQuestion(t *testing.T) {
	f := newFake(t)
	queued := make(chan int, 1)
	hear := WithOnQueued(func(position int, _ *Holder) { queued <- position })
	client := f.client(Config{})
	asked := lock(context.Background(), client, WithWait(time.Minute), hear)
	hold := next(t, f.holds)
	hold.ask()
	hold.queue(1)
	next(t, queued)
	for asking := range client.holds {
		asking.mu.Lock()
		asking.askedAt -= 50 * time.Second // it was frozen, say
		asking.mu.Unlock()
	}
	hold.grant(time.Minute, time.Minute)
	hold.expectPing()
	hold.renewed(0)
	expect(t, next(t, asked).err, ErrTimeout)
}

func TestWhoHasTheLockIsInTheError(t *testing.T) {
	f := newFake(t)
	asked := lock(context.Background(), f.client(Config{}))
	hold := next(t, f.holds)
	hold.ask()
	hold.say(&pb.HoldEvent{Event: &pb.HoldEvent_Busy{Busy: &pb.Holder{Label: "nightly", Holders: 1}}})
	err := next(t, asked).err
	var busy *BusyError
	if expect(t, err, ErrBusy); !errors.As(err, &busy) || busy.Holder.Label != "nightly" {
		t.Fatal(err)
	}
}

func TestAGrantThatMakesNoSenseIsRefusedAndGivenUp(t *testing.T) {
	for _, lease := range []*pb.Lease{
		leaseOf("other", 7, time.Minute, time.Minute),
		leaseOf("k", 0, time.Minute, time.Minute),
		{Key: "k", Token: []byte("short"), Fence: 7, TtlMs: 1000, ValidForMs: 1000},
	} {
		f := newFake(t)
		asked := lock(context.Background(), f.client(Config{}))
		hold := next(t, f.holds)
		hold.ask()
		hold.say(&pb.HoldEvent{Event: &pb.HoldEvent_Granted{Granted: lease}})
		expect(t, next(t, asked).err, ErrRefused)
		hold.expectHalfClose()
	}
}

func TestAServersRefusalIsItsKind(t *testing.T) {
	for code, kind := range map[codes.Code]error{
		codes.InvalidArgument: ErrInvalid, codes.ResourceExhausted: ErrLimit, codes.Aborted: ErrDeadlock,
		codes.Unavailable: ErrAway, codes.FailedPrecondition: ErrRefused,
	} {
		f := newFake(t)
		asked := lock(context.Background(), f.client(Config{}))
		hold := next(t, f.holds)
		hold.ask()
		hold.end <- status.Error(code, "ask.ttl_ms: because")
		err := next(t, asked).err
		if expect(t, err, kind); err.Error() != "holdfast: ttl_ms: because" {
			t.Fatal(err)
		}
	}
}

func TestAServerThatSaysNothingIsLate(t *testing.T) {
	f := newFake(t)
	asked := lock(context.Background(), f.client(Config{Timeout: 300 * time.Millisecond}))
	hold := next(t, f.holds)
	hold.ask()
	expect(t, next(t, asked).err, ErrTimeout)
	hold.expectHalfClose()
}

// dropped is a lease with a grace whose server has gone and come back, with a renewal under way.
func dropped(t *testing.T, f *fake) (*Lease, *fakeHold, <-chan error) {
	t.Helper()
	lease, hold := holding(t, f, f.client(Config{}), WithGrace(30*time.Second))
	renewed := make(chan error, 1)
	go func() { renewed <- lease.Renew(context.Background()) }()
	hold.expectPing()
	f.server.Stop()
	f.start()
	again := next(t, f.holds)
	if ask := again.ask(); string(ask.GetResumeToken()) != string(someToken) || ask.GetGraceMs() != 30000 {
		t.Fatal(ask)
	}
	if left := lease.ValidFor(); left <= 0 || left > 30*time.Second {
		t.Fatal("the grace bounds it", left)
	}
	return lease, again, renewed
}

func TestALeaseWithAGraceIsResumed(t *testing.T) {
	f := newFake(t)
	lease, again, renewed := dropped(t, f)
	again.grant(time.Minute, time.Minute)
	if err := next(t, renewed); err != nil || lease.ValidFor() < 40*time.Second {
		t.Fatal(err, lease)
	}
	again.lose(pb.HoldLost_REASON_RESUMED)
	expectLost(t, ended(t, lease), LossResumed)
}

func TestALeaseThatCannotBeResumedIsLost(t *testing.T) {
	f := newFake(t)
	lease, again, renewed := dropped(t, f)
	again.lose(pb.HoldLost_REASON_TAKEN)
	expectLost(t, next(t, renewed), LossConnection)
	expectLost(t, ended(t, lease), LossConnection)
}

func TestAResumedLeaseHasTheFenceItHad(t *testing.T) {
	f := newFake(t)
	lease, again, _ := dropped(t, f)
	again.say(&pb.HoldEvent{Event: &pb.HoldEvent_Granted{Granted: leaseOf("k", 8, time.Minute, time.Minute)}})
	expectLost(t, ended(t, lease), LossConnection)
}

func TestAReleaseWithoutAConnectionIsByToken(t *testing.T) {
	f := newFake(t)
	lease, _ := holding(t, f, f.client(Config{}), WithGrace(30*time.Second))
	f.server.Stop()
	released := make(chan error, 1)
	eventually(t, func() bool { return lease.ValidFor() <= 30*time.Second }) // the grace bounds it
	go func() { released <- lease.Release(context.Background()) }()
	expect(t, ended(t, lease), ErrNotHeld)
	f.start()
	if request := next(t, f.released); string(request.GetToken()) != string(someToken) {
		t.Fatal(request)
	}
	if err := next(t, released); err != nil {
		t.Fatal(err)
	}
}

func TestAReleaseThatCrossesAResumptionIsTheStreams(t *testing.T) {
	f := newFake(t)
	lease, again, _ := dropped(t, f)
	go func() {
		again.expectHalfClose()
		again.acknowledge()
	}()
	if err := lease.Release(context.Background()); err != nil || len(f.released) > 0 {
		t.Fatal(err, len(f.released))
	}
}

func TestClosingTheClientEndsEverything(t *testing.T) {
	f := newFake(t)
	client := f.client(Config{})
	lease, hold := holding(t, f, client)
	waits := lock(context.Background(), client, WithWait(time.Minute))
	other := next(t, f.holds)
	other.ask()
	go func() {
		hold.expectHalfClose()
		hold.acknowledge()
		other.expectHalfClose()
		other.acknowledge()
	}()
	if client.Close() != nil || client.Close() != nil {
		t.Fatal("it minds being closed twice")
	}
	expect(t, next(t, waits).err, ErrCancelled)
	expect(t, ended(t, lease), ErrCancelled)
	expect(t, next(t, lock(context.Background(), client)).err, ErrCancelled)
	_, err := client.Inspect(context.Background(), "k")
	expect(t, err, ErrCancelled)
}
