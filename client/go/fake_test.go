// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/holdfast/holdfast-go/internal/locks"
)

const patience = 20 * time.Second

var someToken = []byte("0123456789abcdef")

// A fake server says what a test wants it to say.
type fake struct {
	pb.UnimplementedLocksServer
	t        *testing.T
	path     string
	server   *grpc.Server
	holds    chan *fakeHold
	watches  chan *fakeWatch
	acquire  func(context.Context, *pb.AcquireRequest) (*pb.AcquireResponse, error)
	renew    func(*pb.RenewRequest) (*pb.RenewResponse, error)
	released chan *pb.ReleaseRequest
	metadata chan metadata.MD // of Inspect
}

func newFake(t *testing.T) *fake {
	f := &fake{
		t: t, path: filepath.Join(t.TempDir(), "s"), holds: make(chan *fakeHold, 16), watches: make(chan *fakeWatch, 16),
		released: make(chan *pb.ReleaseRequest, 16), metadata: make(chan metadata.MD, 16),
	}
	f.start()
	return f
}

func (f *fake) start() {
	f.t.Helper()
	listener, err := net.Listen("unix", f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	f.server = grpc.NewServer()
	pb.RegisterLocksServer(f.server, f)
	go f.server.Serve(listener)
}

func (f *fake) client(config Config) *Client {
	f.t.Helper()
	config.Server = "unix://" + f.path
	client, err := NewClient(config)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		f.server.Stop() // or the client would wait for answers
		client.Close()
	})
	return client
}

func (f *fake) Acquire(ctx context.Context, request *pb.AcquireRequest) (*pb.AcquireResponse, error) {
	return f.acquire(ctx, request)
}

func (f *fake) Renew(_ context.Context, request *pb.RenewRequest) (*pb.RenewResponse, error) {
	return f.renew(request)
}

func (f *fake) Release(_ context.Context, request *pb.ReleaseRequest) (*pb.ReleaseResponse, error) {
	f.released <- request
	return &pb.ReleaseResponse{Outcome: pb.ReleaseResponse_OUTCOME_RELEASED}, nil
}

func (f *fake) Inspect(ctx context.Context, _ *pb.InspectRequest) (*pb.InspectResponse, error) {
	told, _ := metadata.FromIncomingContext(ctx)
	f.metadata <- told
	return &pb.InspectResponse{State: &pb.InspectResponse_Free{Free: &pb.Free{}}}, nil
}

func (f *fake) Hold(stream pb.Locks_HoldServer) error {
	hold := &fakeHold{Locks_HoldServer: stream, t: f.t, end: make(chan error, 1)}
	f.holds <- hold
	select {
	case err := <-hold.end:
		return err
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

func (f *fake) Watch(request *pb.WatchRequest, stream pb.Locks_WatchServer) error {
	watch := &fakeWatch{stream, f.t, make(chan error, 1)}
	f.watches <- watch
	select {
	case err := <-watch.end:
		return err
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
}

type fakeHold struct {
	pb.Locks_HoldServer
	t   *testing.T
	end chan error
}

func (h *fakeHold) ask() *pb.HoldAsk {
	h.t.Helper()
	message, err := h.Recv()
	if err != nil || message.GetAsk() == nil {
		h.t.Fatalf("expected an ask, not %v, %v", message, err)
	}
	return message.GetAsk()
}

func (h *fakeHold) expectPing() {
	h.t.Helper()
	if message, err := h.Recv(); err != nil || message.GetPing() == nil {
		h.t.Fatalf("expected a ping, not %v, %v", message, err)
	}
}

func (h *fakeHold) expectHalfClose() {
	h.t.Helper()
	for {
		message, err := h.Recv()
		if err == io.EOF {
			return
		}
		if message.GetPing() == nil {
			h.t.Fatalf("expected the end of input, not %v, %v", message, err)
		}
	}
}

func (h *fakeHold) say(event *pb.HoldEvent) {
	h.t.Helper()
	if err := h.Send(event); err != nil {
		h.t.Fatal(err)
	}
}

func leaseOf(key string, fence uint64, ttl, validFor time.Duration) *pb.Lease {
	return &pb.Lease{
		Key: key, Token: someToken, Fence: fence, TtlMs: uint32(ttl / time.Millisecond),
		ValidForMs: uint32(validFor / time.Millisecond),
	}
}

func (h *fakeHold) grant(ttl, validFor time.Duration) {
	h.t.Helper()
	h.say(&pb.HoldEvent{Event: &pb.HoldEvent_Granted{Granted: leaseOf("k", 7, ttl, validFor)}})
}

func (h *fakeHold) queue(position uint32) {
	h.t.Helper()
	queued := &pb.HoldQueued{Position: position, Holder: &pb.Holder{Label: "first"}}
	h.say(&pb.HoldEvent{Event: &pb.HoldEvent_Queued{Queued: queued}})
}

func (h *fakeHold) renewed(validFor time.Duration) {
	h.t.Helper()
	renewed := &pb.HoldRenewed{ValidForMs: uint32(validFor / time.Millisecond)}
	h.say(&pb.HoldEvent{Event: &pb.HoldEvent_Renewed{Renewed: renewed}})
}

func (h *fakeHold) lose(reason pb.HoldLost_Reason) {
	h.t.Helper()
	h.say(&pb.HoldEvent{Event: &pb.HoldEvent_Lost{Lost: &pb.HoldLost{Reason: reason}}})
	h.end <- nil
}

func (h *fakeHold) acknowledge() {
	h.t.Helper()
	h.say(&pb.HoldEvent{Event: &pb.HoldEvent_Released{Released: &pb.HoldReleased{}}})
	h.end <- nil
}

type fakeWatch struct {
	pb.Locks_WatchServer
	t   *testing.T
	end chan error
}

func (w *fakeWatch) tell(label string) {
	w.t.Helper()
	if err := w.Send(&pb.WatchEvent{State: &pb.WatchEvent_Held{Held: &pb.Holder{Label: label}}}); err != nil {
		w.t.Fatal(err)
	}
}

// next waits for what comes through a channel.
func next[T any](t *testing.T, channel <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-channel:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return value
}

// eventually waits until it is so.
func eventually(t *testing.T, isSo func() bool) {
	t.Helper()
	late := time.After(patience)
	for !isSo() {
		select {
		case <-time.After(time.Millisecond):
		case <-late:
			t.Fatal("it never was so")
		}
	}
}

func expect(t *testing.T, err error, kinds ...error) {
	t.Helper()
	for _, kind := range kinds {
		if !errors.Is(err, kind) {
			t.Fatalf("expected %v, not %v", kind, err)
		}
	}
}

func expectLost(t *testing.T, err error, reason Loss) {
	t.Helper()
	var lost *LostError
	if !errors.As(err, &lost) || lost.Reason != reason {
		t.Fatalf("expected a loss by %v, not %v", reason, err)
	}
	expect(t, err, ErrNotHeld)
}

// An outcome is that of a Lock that goes on in the background.
type outcome struct {
	lease *Lease
	err   error
}

func lock(ctx context.Context, client *Client, options ...Option) <-chan outcome {
	ended := make(chan outcome, 1)
	go func() {
		lease, err := client.Lock(ctx, "k", options...)
		ended <- outcome{lease, err}
	}()
	return ended
}

// holding is a lease for a minute, and the server's end of it.
func holding(t *testing.T, f *fake, client *Client, options ...Option) (*Lease, *fakeHold) {
	t.Helper()
	ended := lock(context.Background(), client, options...)
	hold := next(t, f.holds)
	hold.ask()
	hold.grant(time.Minute, time.Minute)
	got := next(t, ended)
	if got.err != nil {
		t.Fatal(got.err)
	}
	return got.lease, hold
}
