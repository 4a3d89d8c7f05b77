/* SPDX-License-Identifier: Apache-2.0 */
#include "app/notify.h"

void notify_ready(void)
{
}

void notify_reloading(void)
{
}

void notify_stopping(void)
{
}
