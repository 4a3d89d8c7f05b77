/* SPDX-License-Identifier: Apache-2.0 */
/* holdfastd: reads the options, answers the flags that only print, and runs the server. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/app_options.h"

enum { EXIT_OK = 0, EXIT_CANNOT_START = 1, EXIT_CONFIGURATION = 2 };

enum action { ACTION_RUN, ACTION_HELP, ACTION_VERSION, ACTION_CHECK, ACTION_SAMPLE, ACTION_DOCS };

static const struct {
    const char *flag;
    enum action action;
} actions[] = {
    {"--help", ACTION_HELP},
    {"-h", ACTION_HELP},
    {"--version", ACTION_VERSION},
    {"--check-config", ACTION_CHECK},
    {"--sample-config", ACTION_SAMPLE},
    {"--markdown-options", ACTION_DOCS},
};

static enum action action_of(const char *argument)
{
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(argument, actions[i].flag) == 0) {
            return actions[i].action;
        }
    }
    return ACTION_RUN;
}

/* Takes the flags above out of the arguments, so that the option table sees only its own. The last
 * one wins. */
static enum action take_action(struct app_arguments *arguments)
{
    enum action action = ACTION_RUN;
    int kept = 1;
    for (int i = 1; i < arguments->argc; i++) {
        enum action found = action_of(arguments->argv[i]);
        if (found == ACTION_RUN) {
            arguments->argv[kept++] = arguments->argv[i];
        } else {
            action = found;
        }
    }
    arguments->argc = kept;
    arguments->argv[kept] = NULL;
    return action;
}

static const char *flag_of(enum action action)
{
    size_t i = 0;
    while (actions[i].action != action) {
        i++;
    }
    return actions[i].flag;
}

/* --help may end any command line; what else only prints reads no options. */
static int print(enum action action, const struct app_arguments *arguments)
{
    if (action != ACTION_HELP && arguments->argc > 1) {
        fprintf(stderr, "holdfastd: %s: no other argument is allowed beside it\n", flag_of(action));
        return EXIT_CONFIGURATION;
    }
    if (action == ACTION_HELP) {
        app_options_write_help(stdout);
    } else if (action == ACTION_VERSION) {
        printf("holdfastd %s\n", app_version());
    } else if (action == ACTION_SAMPLE) {
        app_options_write_sample(stdout);
    } else {
        app_options_write_markdown(stdout);
    }
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_CANNOT_START;
}

static int run(struct app_options *options, const struct app_arguments *arguments)
{
    char problem[APP_PROBLEM_SIZE];
    struct app *app = app_create(options, arguments, problem);
    if (app == NULL) {
        fprintf(stderr, "holdfastd: %s\n", problem);
        return EXIT_CANNOT_START;
    }
    app_run(app);
    app_destroy(app);
    return EXIT_OK;
}

static int check_or_run(enum action action, const struct app_arguments *arguments)
{
    struct app_options options;
    char problem[OPTIONS_ERROR_SIZE];
    int code = EXIT_OK;
    memset(&options, 0, sizeof(options));
    if (!app_options_read(&options, arguments, problem)) {
        fprintf(stderr, "holdfastd: %s\n", problem);
        code = EXIT_CONFIGURATION;
    } else if (action == ACTION_CHECK) {
        printf("configuration is valid\n");
    } else {
        code = run(&options, arguments);
    }
    app_options_release(&options);
    return code;
}

int main(int argc, char **argv)
{
    struct app_arguments arguments = {.argc = argc, .argv = argv, .environment = environ};
    enum action action = take_action(&arguments);
    if (action == ACTION_RUN || action == ACTION_CHECK) {
        return check_or_run(action, &arguments);
    }
    return print(action, &arguments);
}
