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

var ctx = context.Background()

func acquired(request *pb.AcquireRequest, validFor time.Duration) *pb.AcquireResponse {
	lease := leaseOf(request.GetKey(), 7, time.Minute, validFor)
	lease.Token = request.GetToken()
	return &pb.AcquireResponse{Result: &pb.AcquireResponse_Lease{Lease: lease}}
}

func TestADetachedAcquireWhoseAnswerWasLostIsAskedAgain(t *testing.T) {
	f := newFake(t)
	asked, again := make(chan string, 2), make(chan struct{})
	f.acquire = func(ctx context.Context, request *pb.AcquireRequest) (*pb.AcquireResponse, error) {
		asked <- string(request.GetToken())
		select {
		case <-again:
			return acquired(request, time.Minute), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	client := f.client(Config{})
	got := make(chan *DetachedLease, 1)
	go func() {
		lease, err := client.AcquireDetached(ctx, "k")
		if err != nil {
			t.Error(err)
		}
		got <- lease
	}()
	token := next(t, asked)
	f.server.Stop()
	close(again)
	f.start()
	if next(t, asked) != token {
		t.Fatal("asked with another token")
	}
	if lease := next(t, got); string(lease.Token()) != token || lease.Check() != nil || lease.Fence() != 7 {
		t.Fatal(lease)
	}
}

func TestADetachedAcquireThatFailedIsGivenUp(t *testing.T) {
	f := newFake(t)
	f.acquire = func(context.Context, *pb.AcquireRequest) (*pb.AcquireResponse, error) {
		return nil, status.Error(codes.Unavailable, "Redis is away")
	}
	client := f.client(Config{})
	_, err := client.AcquireDetached(ctx, "k")
	expect(t, err, ErrAway)
	if request := next(t, f.released); request.GetKey() != "k" || len(request.GetToken()) != tokenSize {
		t.Fatal(request)
	}
	_, err = client.AcquireDetached(ctx, "k", WithToken(someToken))
	if expect(t, err, ErrAway); len(f.released) > 0 {
		t.Fatal("a token of one's own was given up")
	}
}

func TestADetachedLeaseIsConfirmedAfterAWait(t *testing.T) {
	f := newFake(t)
	f.acquire = func(_ context.Context, request *pb.AcquireRequest) (*pb.AcquireResponse, error) {
		return acquired(request, time.Millisecond), nil
	}
	f.renew = func(request *pb.RenewRequest) (*pb.RenewResponse, error) {
		lease := acquired(&pb.AcquireRequest{Key: request.GetKey(), Token: request.GetToken()}, time.Minute).GetLease()
		lease.Fence = 0
		return &pb.RenewResponse{Result: &pb.RenewResponse_Lease{Lease: lease}}, nil
	}
	lease, err := f.client(Config{}).AcquireDetached(ctx, "k", WithWait(time.Second))
	if err != nil || lease.Fence() != 7 || lease.ValidFor() < 30*time.Second {
		t.Fatal(lease, err)
	}
	if err := lease.Release(ctx); err != nil {
		t.Fatal(err)
	}
	expect(t, lease.Renew(ctx, time.Minute), ErrNotHeld)
}

func TestADetachedLeaseThatIsGoneIsLost(t *testing.T) {
	f := newFake(t)
	f.acquire = func(_ context.Context, request *pb.AcquireRequest) (*pb.AcquireResponse, error) {
		return acquired(request, time.Minute), nil
	}
	f.renew = func(*pb.RenewRequest) (*pb.RenewResponse, error) {
		return &pb.RenewResponse{Result: &pb.RenewResponse_NotHeld{NotHeld: &pb.NotHeld{}}}, nil
	}
	lease, err := f.client(Config{}).AcquireDetached(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lease.Renew(ctx, time.Minute), ErrNotHeld)
	expectLost(t, lease.Check(), LossTaken)
}

func TestAServerThatIsNotThereIsAway(t *testing.T) {
	client, err := NewClient(Config{Server: "unix:///nonexistent/s", Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.Inspect(ctx, "k")
	if expect(t, err, ErrAway); !strings.Contains(err.Error(), "no such file") {
		t.Fatal("it does not say why:", err)
	}
	_, err = client.Lock(ctx, "k", WithWait(time.Hour))
	expect(t, err, ErrAway)
	expect(t, client.CheckHealth(ctx), ErrAway)
}

func TestACallEndsWithItsContext(t *testing.T) {
	client, err := NewClient(Config{Server: "unix:///nonexistent/s"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = client.Inspect(short, "k")
	expect(t, err, ErrCancelled, context.DeadlineExceeded)
	_, err = client.Lock(short, "k")
	expect(t, err, ErrCancelled, context.DeadlineExceeded)
}

func TestTheTokenIsSentWithEachCall(t *testing.T) {
	f := newFake(t)
	secrets := make(chan string, 2)
	secrets <- "one"
	secrets <- "two"
	client := f.client(Config{BearerToken: func() string { return <-secrets }})
	for _, secret := range []string{"one", "two"} {
		if _, err := client.Inspect(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		if sent := next(t, f.metadata).Get("authorization"); len(sent) != 1 || sent[0] != "Bearer "+secret {
			t.Fatal(sent)
		}
	}
}

func TestWorkIsDoneUnderTheLease(t *testing.T) {
	f := newFake(t)
	client := f.client(Config{})
	failed := errors.New("the work failed")
	for _, work := range []struct {
		end  func(hold *fakeHold, ctx context.Context) error
		want error
	}{
		{func(*fakeHold, context.Context) error { return nil }, nil},
		{func(*fakeHold, context.Context) error { return failed }, failed},
		{func(hold *fakeHold, ctx context.Context) error {
			hold.lose(pb.HoldLost_REASON_TAKEN)
			<-ctx.Done()
			return failed
		}, ErrNotHeld},
	} {
		work, holds := work, make(chan *fakeHold, 1)
		go func() {
			hold := <-f.holds
			hold.ask()
			hold.grant(time.Minute, time.Minute)
			holds <- hold
			if work.want != ErrNotHeld {
				hold.expectHalfClose()
				hold.acknowledge()
			}
		}()
		err := client.WithLock(ctx, "k", func(ctx context.Context, lease *Lease) error {
			return work.end(<-holds, ctx)
		})
		if !errors.Is(err, work.want) {
			t.Fatalf("expected %v, not %v", work.want, err)
		}
	}
}

func TestALeaderStandsAgainUntilItResigns(t *testing.T) {
	f := newFake(t)
	client := f.client(Config{})
	standing, resign := context.WithCancel(ctx)
	began, terms, over := make(chan bool, 9), make(chan error, 9), make(chan error, 1)
	go func() {
		over <- client.Lead(standing, "k", func(ctx context.Context, _ *Lease) error {
			began <- true
			<-ctx.Done()
			terms <- context.Cause(ctx)
			return nil
		}, WithValue([]byte("here")))
	}()
	first := next(t, f.holds)
	if ask := first.ask(); string(ask.GetValue()) != "here" || ask.GetWaitMs() < 80000000 {
		t.Fatal(ask)
	}
	first.grant(time.Minute, time.Minute)
	next(t, began)
	first.lose(pb.HoldLost_REASON_TAKEN)
	expectLost(t, next(t, terms), LossTaken)
	second := next(t, f.holds)
	second.ask()
	second.end <- status.Error(codes.Unavailable, "Redis is away")
	third := next(t, f.holds)
	third.ask()
	third.grant(time.Minute, time.Minute)
	third.expectPing()
	third.renewed(time.Minute)
	next(t, began) // or it would be the question that is taken back, without an answer
	go func() {
		third.expectHalfClose()
		third.acknowledge()
	}()
	resign()
	expect(t, next(t, over), ErrCancelled, context.Canceled)
}

func TestALeaderThatIsDoneStandsNoMore(t *testing.T) {
	f := newFake(t)
	done := errors.New("done")
	go func() {
		hold := <-f.holds
		hold.ask()
		hold.grant(time.Minute, time.Minute)
		hold.expectHalfClose()
		hold.acknowledge()
	}()
	expect(t, f.client(Config{}).Lead(ctx, "k", func(context.Context, *Lease) error { return done }), done)
}

// watching collects what is told: a label, or "?".
func watching(ctx context.Context, f *fake, told chan<- string) <-chan error {
	client, over := f.client(Config{}), make(chan error, 1)
	go func() {
		over <- client.Watch(ctx, "k", func(state WatchState) {
			if state.Unknown != nil {
				told <- "?"
			} else {
				told <- state.Holder.Label
			}
		})
	}()
	return over
}

func TestAWatchGoesOnAfterALostConnection(t *testing.T) {
	f := newFake(t)
	told := make(chan string)
	untilStopped, stop := context.WithCancel(ctx)
	over := watching(untilStopped, f, told)
	next(t, f.watches).tell("one")
	if state := next(t, told); state != "one" {
		t.Fatal(state)
	}
	f.server.Stop()
	if state := next(t, told); state != "?" {
		t.Fatal(state)
	}
	f.start()
	next(t, f.watches).tell("two")
	if state := next(t, told); state != "two" {
		t.Fatal(state)
	}
	stop()
	expect(t, next(t, over), ErrCancelled)
}

func TestAWatchThatIsRefusedEnds(t *testing.T) {
	f := newFake(t)
	told := make(chan string, 1)
	over := watching(ctx, f, told)
	watch := next(t, f.watches)
	watch.tell("one")
	watch.end <- status.Error(codes.FailedPrecondition, "another type")
	expect(t, next(t, over), ErrRefused)
	if state := next(t, told); state != "one" {
		t.Fatal(state)
	}
}

func TestWhoIsSlowHearsTheNewest(t *testing.T) {
	w := &watch{news: make(chan WatchState, 1)}
	w.tellUnknown(ErrAway)
	w.tell(WatchState{Holder: &Holder{Label: "one"}})
	w.tell(WatchState{Holder: &Holder{Label: "two"}})
	if state := <-w.news; state.Holder.Label != "two" {
		t.Fatal(state)
	}
	w.tellUnknown(ErrAway)
	<-w.news
	if w.tellUnknown(ErrAway); len(w.news) > 0 {
		t.Fatal("told twice")
	}
}
