// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/**
 * An answer to a question.
 *
 * @param sentAt when the question was sent at the earliest
 */
record Answer<R>(long sentAt, R message) {}
