/* SPDX-License-Identifier: Apache-2.0 */
#include "service/services.h"

#include "base/check.h"
#include "base/pool.h"
#include "service/descriptors.h"
#include "service/methods.h"

void services_init(struct services *services, const struct services_config *config,
                   struct loop *loop, struct keeper *keeper, struct metrics *metrics)
{
    methods_init();
    *services = (struct services){
        .config = *config,
        .loop = loop,
        .keeper = keeper,
        .metrics = metrics,
        .descriptors = descriptors_create(),
        .bindings = pool_create(),
    };
    TAILQ_INIT(&services->session_list);
    health_init(&services->health);
}

void services_release(struct services *services)
{
    CHECK(services->sessions == 0);
    descriptors_destroy(services->descriptors);
    pool_destroy(services->bindings);
}

void services_drain(struct services *services)
{
    services->is_draining = true;
    health_set_draining(&services->health);
}
