/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include <holdfast/holdfast.h>

#include "arguments.h"
#include "commands.h"
#include "help.h"
#include "output.h"

static int command_help(const struct arguments *arguments)
{
    help_write(arguments->topic, stdout);
    return EXIT_OK;
}

static int (*const commands[COMMAND_COUNT])(const struct arguments *arguments) = {
    [COMMAND_RUN] = command_run,
    [COMMAND_HOLD] = command_hold,
    [COMMAND_TRY] = command_try,
    [COMMAND_RESUME] = command_resume,
    [COMMAND_RELEASE] = command_release,
    [COMMAND_RENEW] = command_renew,
    [COMMAND_INSPECT] = command_inspect,
    [COMMAND_WATCH] = command_watch,
    [COMMAND_LS] = command_ls,
    [COMMAND_TOP] = command_top,
    [COMMAND_ELECT] = command_elect,
    [COMMAND_LIST] = command_list,
    [COMMAND_DESCRIBE] = command_describe,
    [COMMAND_CALL] = command_call,
    [COMMAND_COMPLETION] = command_completion,
    [COMMAND_BENCH] = command_bench,
    [COMMAND_HELP] = command_help,
};

static int act(const struct arguments *arguments)
{
    if (arguments->wants_help) {
        help_write(arguments->command, stdout);
        return EXIT_OK;
    }
    if (arguments->wants_version) {
        output_line("holdfast %s", holdfast_version());
        return EXIT_OK;
    }
    return commands[arguments->command](arguments);
}

int main(int argc, char **argv)
{
    char error[ARGUMENTS_ERROR_SIZE];
    struct arguments arguments;
    if (!arguments_parse(&arguments, argc, argv, error)) {
        output_error("%s", error);
        return EXIT_USAGE;
    }
    const int exit_code = act(&arguments);
    return output_finish() || exit_code != EXIT_OK ? exit_code : EXIT_UNEXPECTED;
}
