// SPDX-License-Identifier: Apache-2.0

// The driver of the Go library: see ../README.md. It is built with the library, see client/go/module.cmake.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"sync"
	"time"

	holdfast "github.com/holdfast/holdfast-go"
)

type request struct {
	ID          int      `json:"id"`
	Do          string   `json:"do"`
	Server      string   `json:"server"`
	CAFile      string   `json:"ca_file"`
	TimeoutMs   int      `json:"timeout_ms"`
	Key         string   `json:"key"`
	Keys        []string `json:"keys"`
	Lease       string   `json:"lease"`
	Watch       string   `json:"watch"`
	Election    string   `json:"election"`
	Request     int      `json:"request"`
	Token       *string  `json:"token"`
	Label       *string  `json:"label"`
	Value       *string  `json:"value"`
	Mode        string   `json:"mode"`
	Limit       *int     `json:"limit"`
	WaitMs      *int     `json:"wait_ms"`
	TTLMs       *int     `json:"ttl_ms"`
	GraceMs     *int     `json:"grace_ms"`
	LockDelayMs *int     `json:"lock_delay_ms"`
	MaxHoldMs   *int     `json:"max_hold_ms"`
	HeartbeatMs *int     `json:"heartbeat_ms"`
}

// lease is what both kinds have.
type lease interface {
	Key() string
	Fence() uint64
	Token() []byte
	ValidFor() time.Duration
	Release(context.Context) error
}

type election struct {
	resign context.CancelFunc
	ended  chan struct{}
}

type driver struct {
	client    *holdfast.Client
	output    sync.Mutex
	mu        sync.Mutex
	leases    map[string]lease
	stops     map[string]context.CancelFunc // watches
	waits     map[int]context.CancelFunc
	elections map[string]election
}

type fields map[string]any

func (d *driver) say(line fields) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	d.output.Lock()
	defer d.output.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

var kinds = []struct {
	err  error
	name string
}{
	{holdfast.ErrBusy, "busy"},
	{holdfast.ErrNotHeld, "not_held"},
	{holdfast.ErrInvalid, "invalid"},
	{holdfast.ErrAway, "away"},
	{holdfast.ErrTimeout, "timeout"},
	{holdfast.ErrLimit, "limit"},
	{holdfast.ErrDeadlock, "deadlock"},
	{holdfast.ErrCancelled, "cancelled"},
	{holdfast.ErrRefused, "refused"},
}

func (d *driver) answer(r request, extra fields, err error) {
	line := fields{"id": r.ID, "result": "ok"}
	for name, value := range extra {
		line[name] = value
	}
	if err != nil {
		line["result"], line["error"] = "unknown", err.Error()
	}
	for _, kind := range kinds {
		if errors.Is(err, kind.err) {
			line["result"] = kind.name
		}
	}
	if busy := (*holdfast.BusyError)(nil); errors.As(err, &busy) {
		line["holder"] = holderFields(&busy.Holder)
	}
	d.say(line)
}

func (d *driver) do(r request) {
	run, isKnown := verbs[r.Do]
	if !isKnown {
		d.answer(r, nil, errors.New("cannot do "+r.Do))
		return
	}
	extra, err := run(d, r)
	d.answer(r, extra, err)
}

func (d *driver) lease(name string) lease {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leases[name]
}

func (d *driver) keep(name string, kept lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leases[name] = kept
}

func main() {
	d := &driver{
		leases: map[string]lease{}, stops: map[string]context.CancelFunc{}, waits: map[int]context.CancelFunc{},
		elections: map[string]election{},
	}
	d.say(fields{"event": "ready", "library": "go " + runtime.Version(), "features": []string{"election", "health", "closing"}})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			panic(err)
		}
		if r.Do == "open" {
			d.do(r) // the others need it
		} else {
			go d.do(r)
		}
	}
	if d.client != nil {
		d.client.Close()
	}
}
