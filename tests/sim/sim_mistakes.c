/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_mistakes.h"

#include <string.h>

#include "base/compiler.h"

static const char *const names[] = {
    [MISTAKE_NONE] = "none",
    [MISTAKE_LATE_CREDIT] = "late-credit",
    [MISTAKE_NO_OWNER] = "no-owner",
    [MISTAKE_NO_RECOVERY] = "no-recovery",
    [MISTAKE_RECREATE_ALL] = "recreate-all",
    [MISTAKE_LOW_FENCE] = "low-fence",
    [MISTAKE_LATE_COMMAND] = "late-command",
    [MISTAKE_DOUBLE_PASS] = "double-pass",
    [MISTAKE_STALE_WRITE] = "stale-write",
    [MISTAKE_SHORTER_LIFE] = "shorter-life",
    [MISTAKE_EARLY_RESUME] = "early-resume",
    [MISTAKE_SILENT_QUEUE] = "silent-queue",
    [MISTAKE_ONE_WINDOW] = "one-window",
    [MISTAKE_LOST_RESUBSCRIBE] = "lost-resubscribe",
    [MISTAKE_BELIEVE_HINT] = "believe-hint",
    [MISTAKE_UNRESERVED_FENCE] = "unreserved-fence",
    [MISTAKE_EARLY_SENT] = "early-sent",
    [MISTAKE_DEAF_FLUSH] = "deaf-flush",
    [MISTAKE_SILENT_WINDOW] = "silent-window",
    [MISTAKE_DEAF_RENEWAL] = "deaf-renewal",
};

bool mistakes_parse(const char *name, enum mistake *mistake)
{
    for (size_t i = 0; name != NULL && i < COUNT_OF(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *mistake = (enum mistake)i;
            return true;
        }
    }
    return false;
}

void mistakes_print(FILE *file)
{
    (void)fprintf(file, "mistakes:");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)fprintf(file, " %s", names[i]);
    }
    (void)fprintf(file, "\n");
}

void mistakes_spoil_result(enum mistake mistake, const struct store_op *op,
                           struct store_result *result, int64_t now_us)
{
    if (mistake == MISTAKE_LATE_CREDIT || mistake == MISTAKE_EARLY_SENT) {
        result->sent_us = now_us;
    } else if (mistake == MISTAKE_DEAF_RENEWAL && op->verb == STORE_RENEW && op->fence != 0 &&
               result->code == STORE_NOT_HELD) {
        *result = (struct store_result){.code = STORE_OK, .sent_us = result->sent_us};
    }
}
