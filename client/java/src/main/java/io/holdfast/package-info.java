// SPDX-License-Identifier: Apache-2.0
/**
 * Holdfast: hold a lock for exactly as long as you are alive.
 *
 * <pre>{@code
 * try (HoldfastClient client = HoldfastClient.connect();
 *         Lease lease = client.lock("nightly-report").wait(Duration.ofMinutes(1)).acquire()) {
 *     write(report, lease.fence());
 * }
 * }</pre>
 */
package io.holdfast;
