/* SPDX-License-Identifier: Apache-2.0 */
#include "service/services.h"

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
    };
    TAILQ_INIT(&services->session_list);
}
