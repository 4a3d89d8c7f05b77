/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "output.h"
#include "session.h"
#include "view.h"

#define PAGE_SIZE 1000

struct ls {
    struct session session;
    bool has_head;
};

static void ask(struct ls *ls, const char *page);

static void print_lock(struct ls *ls, const struct holdfast_lock_state *lock)
{
    char row[VIEW_ROW_SIZE];
    const int64_t now_ms = view_now_ms();
    if (ls->session.arguments->is_json) {
        output_json(view_lock_json(lock));
        return;
    }
    if (!ls->has_head && !ls->session.arguments->is_quiet) {
        view_head(row);
        output_line("%s", row);
    }
    ls->has_head = true;
    for (size_t i = 0; i < view_rows(lock); i++) {
        view_lock(lock, i, now_ms, row);
        output_line("%s", row);
    }
}

static void on_locks(enum holdfast_result result, const struct holdfast_lock_state *locks,
                     size_t count, const char *next, const char *error, void *user)
{
    struct ls *ls = (struct ls *)user;
    if (ls->session.is_ended) {
        return;
    }
    if (result != HOLDFAST_OK) {
        session_fail(&ls->session, result, NULL, error);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        print_lock(ls, &locks[i]);
    }
    if (next[0] != '\0') {
        ask(ls, next);
    } else {
        session_end(&ls->session, EXIT_OK);
    }
}

static void ask(struct ls *ls, const char *page)
{
    const struct arguments *arguments = ls->session.arguments;
    const struct holdfast_list list = {.prefix = arguments->key,
                                       .page_size = PAGE_SIZE,
                                       .page = page,
                                       .fleet = arguments->is_fleet};
    holdfast_async_list_locks(ls->session.async, &list, on_locks, ls);
}

int command_ls(const struct arguments *arguments)
{
    struct ls ls = {.has_head = false};
    if (session_open(&ls.session, arguments)) {
        ask(&ls, NULL);
        session_run(&ls.session);
    }
    return session_close(&ls.session);
}
