// SPDX-License-Identifier: Apache-2.0

// driver redsync|etcd ADDRESS pairs|hot CONCURRENCY SECONDS: locks as Go programs take them. redsync
// with its default delays (50 to 250 ms) and a pooled connection for each; etcd's concurrency.Mutex
// with a session for each.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	goredislib "github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	ttl    = 30 * time.Second
	warmUp = 500 * time.Millisecond
)

// A locker takes a lock and returns what gives it up.
type locker func(ctx context.Context, key string) (func() error, error)

func redsyncLockers(socket string, count int) []locker {
	client := goredislib.NewClient(&goredislib.Options{Network: "unix", Addr: socket, PoolSize: count + 1})
	sync := redsync.New(goredis.NewPool(client))
	one := func(ctx context.Context, key string) (func() error, error) {
		mutex := sync.NewMutex(key, redsync.WithExpiry(ttl), redsync.WithTries(1<<30))
		if err := mutex.LockContext(ctx); err != nil {
			return nil, err
		}
		return func() error { _, err := mutex.Unlock(); return err }, nil
	}
	lockers := make([]locker, count)
	for i := range lockers {
		lockers[i] = one
	}
	return lockers
}

func etcdLockers(address string, count int) []locker {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	lockers := make([]locker, count)
	for i := range lockers {
		session, err := concurrency.NewSession(client, concurrency.WithTTL(int(ttl.Seconds())))
		if err != nil {
			log.Fatal(err)
		}
		lockers[i] = func(ctx context.Context, key string) (func() error, error) {
			mutex := concurrency.NewMutex(session, "/"+key)
			if err := mutex.Lock(ctx); err != nil {
				return nil, err
			}
			return func() error { return mutex.Unlock(context.Background()) }, nil
		}
	}
	return lockers
}

type load struct {
	lockers  []locker
	mix      string
	samples  [][]float64
	owner    atomic.Int64
	handOffs atomic.Int64
}

func (l *load) work(ctx context.Context, number int) {
	key := fmt.Sprintf("bench-go-%d-%d", os.Getpid(), number)
	if l.mix == "hot" {
		key = fmt.Sprintf("bench-go-%d", os.Getpid())
	}
	for ctx.Err() == nil {
		from := time.Now()
		giveUp, err := l.lockers[number](ctx, key)
		if err != nil {
			if ctx.Err() == nil {
				log.Fatal(err)
			}
			return
		}
		took := time.Since(from)
		if l.owner.Swap(int64(number)) != int64(number) {
			l.handOffs.Add(1)
		}
		if err := giveUp(); err != nil {
			log.Fatal(err)
		}
		l.samples[number] = append(l.samples[number], float64(took.Nanoseconds())/1000)
	}
}

func (l *load) run(span time.Duration) ([]float64, time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), span)
	defer cancel()
	l.owner.Store(-1)
	l.handOffs.Store(0)
	l.samples = make([][]float64, len(l.lockers))
	started := time.Now()
	var group sync.WaitGroup
	for i := range l.lockers {
		group.Add(1)
		go func() { defer group.Done(); l.work(ctx, i) }()
	}
	<-ctx.Done()
	took := time.Since(started)
	group.Wait()
	var all []float64
	for _, some := range l.samples {
		all = append(all, some...)
	}
	sort.Float64s(all)
	return all, took
}

func at(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*part))]
}

func main() {
	library, address, mix := os.Args[1], os.Args[2], os.Args[3]
	count, _ := strconv.Atoi(os.Args[4])
	seconds, _ := strconv.ParseFloat(os.Args[5], 64)
	l := &load{mix: mix}
	if library == "etcd" {
		l.lockers = etcdLockers(address, count)
	} else {
		l.lockers = redsyncLockers(address, count)
	}
	l.run(warmUp)
	fmt.Println("ready")
	input := bufio.NewScanner(os.Stdin)
	input.Scan()
	all, took := l.run(time.Duration(seconds * float64(time.Second)))
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"operations": len(all), "hand_offs": l.handOffs.Load(), "seconds": took.Seconds(),
		"acquire_p50_us": at(all, 0.5), "acquire_p99_us": at(all, 0.99),
	})
	for input.Scan() {
	}
}
