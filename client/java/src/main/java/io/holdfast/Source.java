// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

/** Where a lease has its validity from. Any thread may ask. */
interface Source {
    Grant grant();

    Term term();

    /** Throws when it is not valid. */
    void check();
}
