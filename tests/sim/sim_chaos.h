/* SPDX-License-Identifier: Apache-2.0 */
/* Random faults, one after the other, until the world is calm. */
#ifndef SIM_CHAOS_H
#define SIM_CHAOS_H

struct world;

void chaos_start(struct world *world);

#endif
