/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP: the options are read again and those that can change while the server runs are applied.
 */
#ifndef HOLDFAST_APP_RELOAD_H
#define HOLDFAST_APP_RELOAD_H

#include "app/app_options.h"

#include <stdbool.h>

/* Reads all layers again and applies to `options` what is reloadable; logs what would need a
 * restart. When the new options are wrong, logs why and changes nothing. Returns whether they were
 * read. */
bool reload_options(struct app_options *options, const struct app_arguments *arguments);

#endif
