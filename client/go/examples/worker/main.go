// SPDX-License-Identifier: Apache-2.0

// Works while it has the lock; until then it waits for whoever has it.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	holdfast "github.com/holdfast/holdfast-go"
)

func main() {
	name := os.Args[1]
	queued := func(position int, _ *holdfast.Holder) { fmt.Printf("%s: waits, place %d\n", name, position) }

	client, err := holdfast.NewClient(holdfast.Config{}) // $HOLDFAST_SERVER, else tcp://127.0.0.1:7420
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	lease, err := client.Lock(context.Background(), "nightly-report",
		holdfast.WithWait(time.Hour), holdfast.WithLabel(name), holdfast.WithOnQueued(queued))
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release(context.Background())

	fmt.Printf("%s: works, with fence %d\n", name, lease.Fence())
	<-lease.Context().Done() // your work, under this context
	log.Print(context.Cause(lease.Context()))
}
