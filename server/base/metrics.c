/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include "base/log.h"

void metrics_log(const struct metrics *metrics)
{
#define X(name, help) , LOG_INTEGER(#name, metrics->name)
    LOG_INFO("metrics", LOG_MESSAGE("counters and gauges") METRICS(X));
#undef X
}
