/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_CLI_HELP_H
#define HOLDFAST_CLI_HELP_H

#include <stdio.h>

#include "arguments.h"

/* Everything about one command, or for COMMAND_NONE and COMMAND_HELP about all of them. */
void help_write(enum command command, FILE *out);

#endif
