// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"strings"
	"testing"
	"time"
)

func TestOptionsAreForWhatTheyAreFor(t *testing.T) {
	client, err := NewClient(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, option := range []Option{
		WithToken(someToken), WithWait(-1), WithTTL(25 * time.Hour), WithLimit(0), WithLimit(1000001),
	} {
		_, err := client.Lock(ctx, "k", option)
		expect(t, err, ErrInvalid)
	}
	_, err = client.LockAll(ctx, nil)
	expect(t, err, ErrInvalid)
	for _, option := range []Option{WithWait(1), WithLabel("me"), WithValue(nil), WithShared(), WithLimit(1)} {
		_, err := client.Resume(ctx, "k", someToken, option)
		if expect(t, err, ErrInvalid); !strings.Contains(err.Error(), option.name+" is not for Resume") {
			t.Fatal(err)
		}
	}
	_, err = client.Resume(ctx, "k", []byte("short"))
	expect(t, err, ErrInvalid)
	for _, option := range []Option{WithGrace(1), WithHeartbeat(1), WithMaxHold(1), WithToken(nil)} {
		_, err := client.AcquireDetached(ctx, "k", option)
		expect(t, err, ErrInvalid)
	}
	expect(t, client.Lead(ctx, "k", nil, WithWait(1)), ErrInvalid)
	expect(t, client.Release(ctx, "k", nil), ErrInvalid)
	_, err = NewClient(Config{Timeout: -1})
	expect(t, err, ErrInvalid)
}

func TestTimesAreRoundedUp(t *testing.T) {
	made, err := newAsk(forLock, "Lock", []string{"a", "b"}, []Option{WithWait(1), WithTTL(1500 * time.Microsecond)})
	if err != nil || made.waitMs != 1 || made.ttlMs != 2 {
		t.Fatal(made, err)
	}
	if message := made.holdMessage(0); message.GetKey() != "" || len(message.GetKeys()) != 2 {
		t.Fatal(message)
	}
}

func TestAddresses(t *testing.T) {
	t.Setenv("HOLDFAST_SERVER", "")
	for text, target := range map[string]string{
		"":                         "dns:///127.0.0.1:7420",
		"tcp://locks.example":      "dns:///locks.example:7420",
		"tls://[::1]:7421":         "dns:///[::1]:7421",
		"unix:///run/holdfast/s":   "unix:///run/holdfast/s",
		"unix:///with a space?%/s": "unix:///with%20a%20space%3F%25/s",
	} {
		if parsed, err := parseAddress(text); err != nil || parsed.target != target {
			t.Errorf("%q: %v, %v", text, parsed, err)
		}
	}
	for _, text := range []string{
		"127.0.0.1:7420", "http://x", "tcp://", "tcp://a:0", "tcp://a:65536", "tcp://::1:7420", "tcp://a/b", "tcp://u@h",
		"unix://relative", "unix:///", "unix:///" + strings.Repeat("x", pathMax),
	} {
		if parsed, err := parseAddress(text); err == nil {
			t.Errorf("%q: %v", text, parsed)
		}
	}
	t.Setenv("HOLDFAST_SERVER", "tcp://elsewhere:1")
	if parsed, err := parseAddress(""); err != nil || parsed.target != "dns:///elsewhere:1" {
		t.Error(parsed, err)
	}
}

func TestCertificatesAreForTLS(t *testing.T) {
	for _, config := range []Config{
		{Server: "tcp://x", CAFile: "ca.pem"},
		{Server: "tls://x", CAFile: "/nonexistent.pem"},
		{Server: "tls://x", CAFile: "go.mod"},
		{Server: "tls://x", CertFile: "/nonexistent.pem"},
	} {
		_, err := NewClient(config)
		expect(t, err, ErrInvalid)
	}
}

func TestATermPlansItsPings(t *testing.T) {
	const second = time.Second
	counted := term{ttl: 12 * second}
	counted.confirm(100*second, 12*second, 101*second)
	if counted.planPing(101 * second); counted.pingAt != 105*second {
		t.Error("a third of the ttl:", counted.pingAt)
	}
	counted.confirm(100*second, 3*second, 101*second)
	if counted.planPing(101 * second); counted.pingAt != 102*second {
		t.Error("halfway to the end:", counted.pingAt)
	}
	counted.heartbeat = 3 * second
	counted.confirm(101*second, 12*second, 101*second)
	if counted.planPing(101 * second); counted.pingAt != 102*second {
		t.Error("a third of the heartbeat:", counted.pingAt)
	}
}

func TestATermWarnsOnceAndAgainAfterARecovery(t *testing.T) {
	const second = time.Second
	counted := term{ttl: 12 * second}
	counted.confirm(0, 12*second, 0)
	if counted.mustWarn(9*second) || counted.wakesAt() != 10*second || !counted.mustWarn(10*second) {
		t.Error("a sixth is left")
	}
	counted.isWarned = true
	if counted.mustWarn(11*second) || counted.wakesAt() != 12*second {
		t.Error("warned twice")
	}
	counted.confirm(11*second, 4*second, 11*second)
	if counted.mustWarn(14 * second) {
		t.Error("that is no recovery")
	}
	counted.confirm(14*second, 12*second, 14*second)
	if !counted.mustWarn(25 * second) {
		t.Error("not warned again")
	}
}

func TestATermKnowsItsLastOne(t *testing.T) {
	const second = time.Second
	counted := term{ttl: 10 * second, maxHoldUntil: 12 * second}
	if counted.confirm(0, 10*second, 0); counted.lossByTime() != LossExpired {
		t.Error("the ttl ends it")
	}
	if counted.confirm(4*second, 8*second, 4*second); counted.lossByTime() != LossMaxHold {
		t.Error("the longest hold ends it")
	}
}
