/* SPDX-License-Identifier: Apache-2.0 */
/* sim: random walks of the lease core through a simulated world. Prints the seed of a failure;
 * "--first SEED --seeds 1 --verbose" tells its story. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "sim_world.h"

#define FAILURES_MAX 5

struct options {
    uint64_t seeds;
    uint64_t first;
    struct world_config world;
    bool expects_violation;
};

static const char *const mistake_names[] = {
    [MISTAKE_NONE] = "none",
    [MISTAKE_LATE_CREDIT] = "late-credit",
    [MISTAKE_NO_OWNER] = "no-owner",
    [MISTAKE_NO_RECOVERY] = "no-recovery",
    [MISTAKE_RECREATE_ALL] = "recreate-all",
    [MISTAKE_LOW_FENCE] = "low-fence",
};

static int usage(void)
{
    (void)fprintf(stderr, "usage: sim [--seeds N] [--first SEED] [--steps N] [--verbose]\n"
                          "           [--mistake NAME] [--expect-violation]\n"
                          "mistakes:");
    for (size_t i = 0; i < COUNT_OF(mistake_names); i++) {
        (void)fprintf(stderr, " %s", mistake_names[i]);
    }
    (void)fprintf(stderr, "\n");
    return 2;
}

static bool parse_number(const char *text, uint64_t *number)
{
    char *end = NULL;
    *number = text == NULL ? 0 : strtoull(text, &end, 10);
    return text != NULL && *text != '\0' && *end == '\0';
}

static bool parse_mistake(const char *text, enum mistake *mistake)
{
    for (size_t i = 0; text != NULL && i < COUNT_OF(mistake_names); i++) {
        if (strcmp(text, mistake_names[i]) == 0) {
            *mistake = (enum mistake)i;
            return true;
        }
    }
    return false;
}

static bool parse(struct options *options, char **arguments)
{
    *options = (struct options){.seeds = 100, .first = 1};
    for (char **argument = arguments + 1; *argument != NULL; argument++) {
        if (strcmp(*argument, "--verbose") == 0) {
            options->world.is_verbose = true;
        } else if (strcmp(*argument, "--expect-violation") == 0) {
            options->expects_violation = true;
        } else if (strcmp(*argument, "--seeds") == 0) {
            if (!parse_number(*++argument, &options->seeds)) {
                return false;
            }
        } else if (strcmp(*argument, "--first") == 0) {
            if (!parse_number(*++argument, &options->first)) {
                return false;
            }
        } else if (strcmp(*argument, "--steps") == 0) {
            if (!parse_number(*++argument, &options->world.steps)) {
                return false;
            }
        } else if (strcmp(*argument, "--mistake") == 0) {
            if (!parse_mistake(*++argument, &options->world.mistake)) {
                return false;
            }
        } else {
            return false;
        }
    }
    return true;
}

int main(int count, char **arguments)
{
    (void)count;
    struct options options;
    if (!parse(&options, arguments)) {
        return usage();
    }
    uint64_t grants = 0;
    uint64_t losses = 0;
    uint64_t ran = 0;
    int failures = 0;
    const int failures_max = options.expects_violation ? 1 : FAILURES_MAX;
    for (; ran < options.seeds && failures < failures_max; ran++) {
        struct world world;
        options.world.seed = options.first + ran;
        world_init(&world, &options.world);
        if (!world_run(&world)) {
            printf("seed %" PRIu64 ": %s\n", options.world.seed, world.problem);
            failures++;
        }
        grants += world.checker.grants;
        losses += world.checker.losses;
        world_release(&world);
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " grants, %" PRIu64 " losses, %d failed\n", ran, grants,
           losses, failures);
    return (failures > 0) == options.expects_violation ? 0 : 1;
}
