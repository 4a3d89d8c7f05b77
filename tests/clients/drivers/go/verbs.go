// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	holdfast "github.com/holdfast/holdfast-go"
)

var background = context.Background()

var verbs = map[string]func(*driver, request) (fields, error){
	"open": func(d *driver, r request) (_ fields, err error) {
		timeout := time.Duration(r.TimeoutMs) * time.Millisecond
		d.client, err = holdfast.NewClient(holdfast.Config{Server: r.Server, CAFile: r.CAFile, Timeout: timeout})
		return nil, err
	},
	"close":            func(d *driver, r request) (fields, error) { return nil, d.client.Close() },
	"hold":             hold,
	"acquire_detached": acquireDetached,
	"resume":           resume,
	"cancel": func(d *driver, r request) (fields, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.waits[r.Request]()
		return nil, nil
	},
	"release": func(d *driver, r request) (fields, error) { return nil, d.lease(r.Lease).Release(background) },
	"renew":   renew,
	"release_token": func(d *driver, r request) (fields, error) {
		return nil, d.client.Release(background, r.Key, token(r))
	},
	"renew_token": func(d *driver, r request) (fields, error) {
		renewed, err := d.client.Renew(background, r.Key, token(r), ms(r.TTLMs))
		if err != nil {
			return nil, err
		}
		return validFor(renewed), nil
	},
	"lease": func(d *driver, r request) (fields, error) { return leaseFields(d.lease(r.Lease)), nil },
	"inspect": func(d *driver, r request) (fields, error) {
		holder, err := d.client.Inspect(background, r.Key)
		return fields{"holder": holderFields(holder)}, err
	},
	"watch": watch,
	"unwatch": func(d *driver, r request) (fields, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stops[r.Watch]()
		return nil, nil
	},
	"elect":  elect,
	"resign": resign,
	"health": func(d *driver, r request) (fields, error) { return nil, d.client.CheckHealth(background) },
}

func token(r request) []byte {
	if r.Token == nil {
		return nil
	}
	bytes, err := hex.DecodeString(*r.Token)
	if err != nil {
		panic(err)
	}
	return bytes
}

func ms(given *int) time.Duration {
	if given == nil {
		return 0
	}
	return time.Duration(*given) * time.Millisecond
}

func options(r request) []holdfast.Option {
	var made []holdfast.Option
	for _, one := range []struct {
		given  *int
		option func(time.Duration) holdfast.Option
	}{
		{r.WaitMs, holdfast.WithWait}, {r.TTLMs, holdfast.WithTTL}, {r.GraceMs, holdfast.WithGrace},
		{r.LockDelayMs, holdfast.WithLockDelay}, {r.MaxHoldMs, holdfast.WithMaxHold},
		{r.HeartbeatMs, holdfast.WithHeartbeat},
	} {
		if one.given != nil {
			made = append(made, one.option(ms(one.given)))
		}
	}
	if r.Label != nil {
		made = append(made, holdfast.WithLabel(*r.Label))
	}
	if r.Value != nil {
		made = append(made, holdfast.WithValue([]byte(*r.Value)))
	}
	if r.Mode == "shared" {
		made = append(made, holdfast.WithShared())
	}
	if r.Limit != nil {
		made = append(made, holdfast.WithLimit(*r.Limit))
	}
	return made
}

func (d *driver) atRisk(r request) holdfast.Option {
	return holdfast.WithOnAtRisk(func(time.Duration) { d.say(fields{"event": "at_risk", "lease": r.Lease}) })
}

// tellLost says why the lease ended, unless it was released.
func (d *driver) tellLost(name string, held *holdfast.Lease) {
	<-held.Context().Done()
	if lost := (*holdfast.LostError)(nil); errors.As(context.Cause(held.Context()), &lost) {
		d.say(fields{"event": "lost", "lease": name, "reason": lost.Reason})
	}
}

func (d *driver) adopt(r request, held *holdfast.Lease) fields {
	d.keep(r.Lease, held)
	go d.tellLost(r.Lease, held)
	answer := leaseFields(held)
	answer["fences"] = held.Fences()
	return answer
}

func hold(d *driver, r request) (fields, error) {
	ctx, cancel := context.WithCancel(background)
	d.mu.Lock()
	d.waits[r.ID] = cancel
	d.mu.Unlock()
	queued := func(position int, holder *holdfast.Holder) {
		d.say(fields{"event": "queued", "id": r.ID, "position": position, "holder": holderFields(holder)})
	}
	keys := r.Keys
	if keys == nil {
		keys = []string{r.Key}
	}
	held, err := d.client.LockAll(ctx, keys, append(options(r), holdfast.WithOnQueued(queued), d.atRisk(r))...)
	if err != nil {
		return nil, err
	}
	return d.adopt(r, held), nil
}

func resume(d *driver, r request) (fields, error) {
	held, err := d.client.Resume(background, r.Key, token(r), append(options(r), d.atRisk(r))...)
	if err != nil {
		return nil, err
	}
	return d.adopt(r, held), nil
}

func acquireDetached(d *driver, r request) (fields, error) {
	made := options(r)
	if r.Token != nil {
		made = append(made, holdfast.WithToken(token(r)))
	}
	held, err := d.client.AcquireDetached(background, r.Key, made...)
	if err != nil {
		return nil, err
	}
	d.keep(r.Lease, held)
	return leaseFields(held), nil
}

func renew(d *driver, r request) (_ fields, err error) {
	kept := d.lease(r.Lease)
	switch held := kept.(type) {
	case *holdfast.Lease:
		err = held.Renew(background)
	case *holdfast.DetachedLease:
		err = held.Renew(background, ms(r.TTLMs))
	}
	return validFor(kept), err
}

func watch(d *driver, r request) (fields, error) {
	ctx, cancel := context.WithCancel(background)
	d.mu.Lock()
	d.stops[r.Watch] = cancel
	d.mu.Unlock()
	go d.client.Watch(ctx, r.Key, func(state holdfast.WatchState) {
		line := fields{"event": "state", "watch": r.Watch}
		if state.Unknown != nil {
			line["unknown"] = true
		} else {
			line["holder"] = holderFields(state.Holder)
		}
		d.say(line)
	})
	return nil, nil
}

func elect(d *driver, r request) (fields, error) {
	ctx, cancel := context.WithCancel(background)
	made := election{cancel, make(chan struct{})}
	d.mu.Lock()
	d.elections[r.Election] = made
	d.mu.Unlock()
	term := func(ctx context.Context, lease *holdfast.Lease) error {
		d.say(fields{"event": "elected", "election": r.Election, "fence": lease.Fence()})
		<-ctx.Done()
		if lost := (*holdfast.LostError)(nil); errors.As(context.Cause(ctx), &lost) {
			d.say(fields{"event": "deposed", "election": r.Election})
		}
		return nil
	}
	go func() {
		defer close(made.ended)
		d.client.Lead(ctx, r.Key, term, options(r)...)
	}()
	return nil, nil
}

func resign(d *driver, r request) (fields, error) {
	d.mu.Lock()
	made := d.elections[r.Election]
	d.mu.Unlock()
	made.resign()
	<-made.ended
	return nil, nil
}

func validFor(kept lease) fields {
	return fields{"valid_for_ms": kept.ValidFor().Milliseconds()}
}

func leaseFields(kept lease) fields {
	return fields{
		"valid_for_ms": kept.ValidFor().Milliseconds(), "token": hex.EncodeToString(kept.Token()),
		"fence": kept.Fence(), "fences": map[string]uint64{kept.Key(): kept.Fence()},
	}
}

func holderFields(holder *holdfast.Holder) fields {
	if holder == nil {
		return nil
	}
	mode := "exclusive"
	if holder.Shared {
		mode = "shared"
	}
	return fields{
		"label": holder.Label, "fence": holder.Fence, "mode": mode, "holders": holder.Holders,
		"foreign": holder.Foreign, "closed": holder.Closed, "value": string(holder.Value),
	}
}
