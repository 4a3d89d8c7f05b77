// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** What ends with the client. */
interface Living {
    void close();
}
