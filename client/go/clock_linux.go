// SPDX-License-Identifier: Apache-2.0

package holdfast

import (
	"time"

	"golang.org/x/sys/unix"
)

// now is the time of the clock that deadlines are measured with: it goes on while the machine is suspended.
func now() time.Duration {
	var told unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &told); err != nil {
		panic(err) // every Linux that Go runs on has it
	}
	return time.Duration(told.Nano())
}
