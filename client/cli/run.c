/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "term.h"

int command_run(const struct arguments *arguments)
{
    struct term_end end;
    const struct term_events events = {.on_open = NULL};
    return term_run(arguments, &events, &end);
}
