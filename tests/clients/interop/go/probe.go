// SPDX-License-Identifier: Apache-2.0

// What grpc-go does with a server, with methods that its reflection describes: probe TARGET PROTO-DIR [CA-FILE]
// One line for each check: "name: ok", or what went wrong; the exit code tells whether all was well.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// A check that failed.
type failure struct{ text string }

func must(condition bool, format string, arguments ...any) {
	if !condition {
		panic(failure{fmt.Sprintf(format, arguments...)})
	}
}

func mustBe(code codes.Code, err error) string {
	must(status.Code(err) == code, "%v, not %v", err, code)
	return status.Convert(err).Message()
}

var factor = func() float64 {
	factor, err := strconv.ParseFloat(os.Getenv("HOLDFAST_TIME_FACTOR"), 64)
	if err != nil {
		return 1
	}
	return factor
}()

func within(seconds float64) context.Context {
	after := time.Duration(seconds * factor * float64(time.Second))
	ctx, cancel := context.WithTimeout(context.Background(), after)
	context.AfterFunc(ctx, cancel)
	return ctx
}

var input = bufio.NewReader(os.Stdin)

// Says what is to be done from outside, and waits until it is.
func tell(what string) {
	fmt.Println(what)
	_, err := input.ReadString('\n')
	must(err == nil, "%v", err)
}

func dial() *grpc.ClientConn {
	security := insecure.NewCredentials()
	if len(os.Args) > 3 {
		var err error
		security, err = credentials.NewClientTLSFromFile(os.Args[3], "")
		must(err == nil, "%v", err)
	}
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(security))
	must(err == nil, "%v", err)
	return connection
}

func reflection(api *api) {
	must(api.lists("holdfast.v1.Locks"), "Locks is not listed")
	must(api.method("Acquire") != nil && api.method("Hold") != nil, "methods are missing")
	must(strings.Contains(api.comment("Acquire"), "Losing is an answer"), "%q", api.comment("Acquire"))
}

func checkHealth(api *api) {
	answer, err := health.NewHealthClient(api.connect().channel).Check(within(20), &health.HealthCheckRequest{})
	mustBe(codes.OK, err)
	must(answer.Status == health.HealthCheckResponse_SERVING, "%v", answer.Status)
}

func unary(api *api) {
	client := api.connect()
	token := client.acquire("unary")
	must(client.inspect("unary") == "held", "free while it is held")
	client.release("unary", token)
	must(client.inspect("unary") == "free", "held after the release")
}

func watch(api *api) {
	client := api.connect()
	events := client.open("Watch", message{"key": "watch"})
	events.expect("free")
	token := client.acquire("watch")
	events.expect("held")
	client.release("watch", token)
	events.expect("free")
	events.abandon()
}

func hold(api *api) {
	client := api.connect()
	stream := client.held("hold")
	stream.send(message{"ping": message{}})
	stream.expect("renewed")
	stream.release()
	must(client.inspect("hold") == "free", "held after the end of input")
}

func cancel(api *api) {
	client := api.connect()
	client.held("cancel").abandon()
	events := client.open("Watch", message{"key": "cancel"})
	for events.next() != "free" {
	}
	events.abandon()
}

func deadline(api *api) {
	stream := api.connect().held("deadline")
	client := api.connect()
	started := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := client.call(ctx, "Acquire", message{"key": "deadline", "waitMs": 60000})
	mustBe(codes.DeadlineExceeded, err)
	passed := time.Since(started).Seconds()
	must(passed > 0.25 && passed < 3*factor, "%v s", passed)
	stream.release()
	must(client.inspect("deadline") == "free", "somebody waits still")
}

func largeRequest(api *api) {
	client := api.connect()
	large := make([]byte, 100000)
	_, err := client.call(within(20), "Acquire", message{"key": "large", "value": large})
	text := mustBe(codes.ResourceExhausted, err)
	must(strings.Contains(text, "max-message-size"), "%q", text)
	stream := client.hold(message{"key": "large", "value": make([]byte, 1000000)})
	mustBe(codes.ResourceExhausted, stream.failure())
	client.release("large", client.acquire("large"))
}

func errorText(api *api) {
	const name = "zoë 100% — 鎖\n2nd line"
	first, second := api.connect(), api.connect()
	holds := []*stream{first.held(name), second.held("other")}
	wait := first.hold(message{"key": "other", "waitMs": 60000})
	wait.expect("queued")
	refused := second.hold(message{"key": name, "waitMs": 60000})
	text := mustBe(codes.Aborted, refused.failure())
	must(strings.Contains(text, name), "%q", text)
	wait.abandon()
	for _, stream := range holds {
		stream.release()
	}
}

func twoThousandCalls(api *api) {
	const calls = 2000
	gate := api.connect().held("many")
	client := api.connect()
	leases := make(chan any, calls)
	for range calls {
		go func() {
			request := message{"key": "many", "mode": "MODE_SHARED", "waitMs": 60000}
			answer, err := client.call(within(60), "Acquire", request)
			if lease, isLease := answer["lease"].(message); isLease {
				leases <- lease["fence"]
			} else {
				leases <- fmt.Errorf("%v, %v", answer, err)
			}
		}()
	}
	tell("calls?")
	gate.release()
	fences := map[any]bool{}
	for range calls {
		fence := <-leases
		err, isError := fence.(error)
		must(!isError, "%v", err)
		fences[fence] = true
	}
	must(len(fences) == calls, "%d fences", len(fences))
}

func slowReader(api *api) {
	const pings = 20000
	client := api.connect()
	slow := client.held("slow")
	sent := make(chan any)
	go func() {
		defer func() { sent <- recover() }()
		for range pings {
			slow.send(message{"ping": message{}})
		}
	}()
	for range 50 {
		client.release("quick", client.acquire("quick"))
	}
	for range pings {
		slow.expect("renewed")
	}
	problem := <-sent
	must(problem == nil, "%v", problem)
	slow.release()
}

func drain(api *api) {
	client := api.connect()
	held := client.held("drain")
	waits := api.connect().hold(message{"key": "drain", "waitMs": 60000})
	waits.expect("queued")
	prober := health.NewHealthClient(api.connect().channel)
	statuses, err := prober.Watch(within(30), &health.HealthCheckRequest{})
	mustBe(codes.OK, err)
	answer, err := statuses.Recv()
	mustBe(codes.OK, err)
	must(answer.Status == health.HealthCheckResponse_SERVING, "%v", answer.Status)
	tell("drain?")
	answer, err = statuses.Recv()
	mustBe(codes.OK, err)
	must(answer.Status == health.HealthCheckResponse_NOT_SERVING, "%v", answer.Status)
	_, err = statuses.Recv()
	mustBe(codes.Unavailable, err)
	held.send(message{"ping": message{}})
	held.expect("renewed")
	_, err = client.call(within(20), "Acquire", message{"key": "another"})
	mustBe(codes.Unavailable, err)
	held.release()
	waits.expect("granted")
	waits.release()
}

func passes(name string, check func(*api), api *api) (passed bool) {
	defer api.closeAll()
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Printf("%s: %q\n", name, fmt.Sprint(problem))
		}
	}()
	check(api)
	fmt.Printf("%s: ok\n", name)
	return true
}

func main() {
	checks := []struct {
		name  string
		check func(*api)
	}{
		{"reflection", reflection}, {"health", checkHealth}, {"unary", unary}, {"watch", watch}, {"hold", hold},
		{"cancel", cancel}, {"deadline", deadline}, {"large request", largeRequest}, {"error text", errorText},
		{"two thousand calls", twoThousandCalls}, {"slow reader", slowReader}, {"drain", drain},
	}
	failed := 0
	api := discover(dial())
	for _, check := range checks {
		if !passes(check.name, check.check, api) {
			failed = 1
		}
	}
	os.Exit(failed)
}
