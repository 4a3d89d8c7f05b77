/* SPDX-License-Identifier: Apache-2.0 */
#include "app/reload.h"

#include "base/log.h"

static void warn_about_fixed(const struct app_options *options, const struct app_options *fresh)
{
    for (const struct option *row = app_options_table; row->name != NULL; row++) {
        if (!row->is_reloadable && app_options_differ(row, options, fresh)) {
            LOG_WARN("reload.ignored",
                     LOG_MESSAGE("this option has changed and needs a restart to take effect"),
                     LOG_TEXT("option", row->name));
        }
    }
}

static void apply(struct app_options *options, const struct app_options *fresh)
{
    options->log_level = fresh->log_level;
    log_set_level((enum log_level)options->log_level);
}

bool reload_options(struct app_options *options, const struct app_arguments *arguments)
{
    struct app_options fresh = {.config = NULL};
    char error[OPTIONS_ERROR_SIZE];
    bool is_read = app_options_read(&fresh, arguments, error);
    if (is_read) {
        warn_about_fixed(options, &fresh);
        apply(options, &fresh);
    } else {
        LOG_ERROR("reload.failed", LOG_MESSAGE("the options are wrong; the old ones stay in use"),
                  LOG_TEXT("reason", error));
    }
    app_options_release(&fresh);
    return is_read;
}
