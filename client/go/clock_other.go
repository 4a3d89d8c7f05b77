// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package holdfast

import "time"

var start = time.Now()

// now is the time of the clock that deadlines are measured with. Here it stands still while the machine is
// suspended: a lease looks valid for longer by that time, until the server is heard.
func now() time.Duration {
	return time.Since(start)
}
