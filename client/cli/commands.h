/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, one file each: they do their work and return the exit code. */
#ifndef HOLDFAST_CLI_COMMANDS_H
#define HOLDFAST_CLI_COMMANDS_H

#include "arguments.h"

int command_run(const struct arguments *arguments);
int command_hold(const struct arguments *arguments);
int command_try(const struct arguments *arguments);
int command_resume(const struct arguments *arguments);
int command_release(const struct arguments *arguments);
int command_renew(const struct arguments *arguments);
int command_inspect(const struct arguments *arguments);
int command_watch(const struct arguments *arguments);
int command_ls(const struct arguments *arguments);
int command_top(const struct arguments *arguments);
int command_elect(const struct arguments *arguments);
int command_list(const struct arguments *arguments);
int command_describe(const struct arguments *arguments);
int command_call(const struct arguments *arguments);
int command_completion(const struct arguments *arguments);
int command_bench(const struct arguments *arguments);

#endif
