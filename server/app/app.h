/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: owns and wires everything, from the loop to the listeners.
 *
 *   SIGTERM, SIGINT  drain (see app/drain.h), then end; a second one ends at once
 *   SIGHUP           read the options again (see app/reload.h) and the certificates
 *   SIGUSR1          log the metrics
 */
#ifndef HOLDFAST_APP_APP_H
#define HOLDFAST_APP_APP_H

#include "app/app_options.h"
#include "base/compiler.h"

#define APP_PROBLEM_SIZE 512

struct app;

/* Opens the listeners and begins to connect to Redis, starting a private one if none is named. NULL
 * and a sentence in `problem` when the server cannot start. Both arguments outlive the app; options
 * that can be reloaded are updated in place. */
NODISCARD struct app *app_create(struct app_options *options, const struct app_arguments *arguments,
                                 char problem[APP_PROBLEM_SIZE]);

/* Serves until a signal ends it. */
void app_run(struct app *app);

/* Closes every connection, gives up what is held, and frees everything. */
void app_destroy(struct app *app);

/* "1.2.3" */
const char *app_version(void);

#endif
