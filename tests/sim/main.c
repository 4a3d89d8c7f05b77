/* SPDX-License-Identifier: Apache-2.0 */
/* sim: random walks of the lease core through a simulated world. Says first which seeds, then the
 * seed of each failure; "--first SEED --seeds 1 --verbose" tells its story. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "sim_world.h"

#define FAILURES_MAX 5

struct options {
    uint64_t seeds;
    uint64_t first;
    struct world_config world;
    bool expects_violation;
};

static int usage(void)
{
    (void)fprintf(stderr, "usage: sim [--seeds N] [--first SEED] [--steps N] [--verbose]\n"
                          "           [--mistake NAME] [--expect-violation]\n");
    mistakes_print(stderr);
    return 2;
}

static bool parse_number(const char *text, uint64_t *number)
{
    char *end = NULL;
    *number = text == NULL ? 0 : strtoull(text, &end, 10);
    return text != NULL && *text != '\0' && *end == '\0';
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
            if (!mistakes_parse(*++argument, &options->world.mistake)) {
                return false;
            }
        } else {
            return false;
        }
    }
    return true;
}

static volatile uint64_t running_seed;

/* A failed CHECK in the lease core, or worse: which seed it was is all there is to know. */
static void on_crash(int number)
{
    (void)fprintf(stderr, "seed %" PRIu64 ": crashed\n", running_seed);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

int main(int count, char **arguments)
{
    (void)count;
    struct options options;
    if (!parse(&options, arguments)) {
        return usage();
    }
    printf("seeds from %" PRIu64 " on, %" PRIu64 " of them\n", options.first, options.seeds);
    (void)fflush(stdout);
    (void)table_hash("", 0); /* draws its key now, whichever seed comes first */
    (void)signal(SIGABRT, on_crash);
    (void)signal(SIGSEGV, on_crash);
    uint64_t grants = 0;
    uint64_t losses = 0;
    uint64_t handed_on = 0;
    uint64_t passed_on = 0;
    uint64_t bundles = 0;
    uint64_t circles = 0;
    uint64_t ran = 0;
    int failures = 0;
    const int failures_max = options.expects_violation ? 1 : FAILURES_MAX;
    for (; ran < options.seeds && failures < failures_max; ran++) {
        struct world world;
        options.world.seed = options.first + ran;
        running_seed = options.world.seed;
        world_init(&world, &options.world);
        if (!world_run(&world)) {
            printf("seed %" PRIu64 ": %s\n", options.world.seed, world.problem);
            failures++;
        }
        grants += world.checker.grants;
        losses += world.checker.losses;
        bundles += world.checker.bundles;
        circles += world.checker.circles;
        handed_on += world_handed_on(&world);
        passed_on += world.redis.passes;
        world_release(&world);
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " grants (%" PRIu64 " handed on, %" PRIu64
           " passed on), %" PRIu64 " losses, %" PRIu64 " bundles, %" PRIu64
           " circles refused, %d failed\n",
           ran, grants, handed_on, passed_on, losses, bundles, circles, failures);
    return (failures > 0) == options.expects_violation ? 0 : 1;
}
