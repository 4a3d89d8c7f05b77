// SPDX-License-Identifier: Apache-2.0

// Package holdfast holds a lock for exactly as long as you are alive: it is the client of the Holdfast lock
// coordinator.
//
//	client, err := holdfast.NewClient(holdfast.Config{})
//	...
//	defer client.Close()
//	lease, err := client.Lock(ctx, "nightly-report", holdfast.WithWait(time.Minute))
//	...
//	defer lease.Release(ctx)
//	write(lease.Context(), report, lease.Fence())
//
// A lease is valid until a deadline that only moves while the server confirms it. When the connection drops, its leases
// are lost at that moment: their contexts are cancelled, and context.Cause tells why.
package holdfast
