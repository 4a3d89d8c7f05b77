/* SPDX-License-Identifier: Apache-2.0 */
/* All or none. */
#include "base/check.h"
#include "base/clock.h"
#include "lease/group.h"
#include "sim_checker_internal.h"
#include "sim_world.h"

static struct world *world_of(const struct bundle *bundle)
{
    return bundle->connection->world;
}

static void check_member(const struct bundle *bundle, size_t index, int64_t now_us)
{
    const struct client *member = bundle->members[index];
    const struct lease *lease = group_lease(bundle->group, index);
    if (lease == NULL || lease_state(lease) != LEASE_HELD) {
        world_violation(world_of(bundle), "%s was granted a bundle without lock %zu",
                        bundle->connection->name, member->lock);
        return;
    }
    if (!id128_equal(lease_token(lease), group_token(bundle->group))) {
        world_violation(world_of(bundle), "client %u: lock %zu has not the token of its bundle",
                        member->number, member->lock);
    }
    if (!lease_is_valid(lease, now_us)) {
        world_violation(world_of(bundle), "%s was granted a bundle whose lock %zu is over",
                        bundle->connection->name, member->lock);
    }
}

void checker_bundle_granted(const struct bundle *bundle)
{
    struct world *world = world_of(bundle);
    const int64_t now_us = sidecar_now_us(bundle->connection->sidecar);
    world->checker.bundles += bundle->count > 1 ? 1 : 0;
    if (!group_is_granted(bundle->group) || group_size(bundle->group) != bundle->count) {
        world_violation(world, "%s was granted another bundle", bundle->connection->name);
    }
    for (size_t i = 0; i < bundle->count; i++) {
        check_member(bundle, i, now_us);
    }
}

/* Given back, it is lost if one of its locks was. */
void checker_bundle_lost(const struct bundle *bundle, enum lease_loss loss)
{
    struct world *world = world_of(bundle);
    const int64_t now_us = sidecar_now_us(bundle->connection->sidecar);
    bool is_credible = false;
    bool is_disturbed = false;
    world->checker.losses++;
    for (size_t i = 0; i < bundle->count; i++) {
        const struct client *member = bundle->members[i];
        is_disturbed = is_disturbed || !checker_is_undisturbed(member);
        is_credible = is_credible ||
                      (loss == LEASE_LOSS_EXPIRED && now_us >= member->deadline_us) ||
                      (loss == LEASE_LOSS_TAKEN && !checker_is_still_held(world, member));
    }
    if (!is_credible || !is_disturbed) {
        world_violation(world, "%s: a bundle is lost, though none of its locks is",
                        bundle->connection->name);
    }
}

/* One of those that it had already was lost, which only a fault can do. */
static bool may_have_lost(const struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->count; i++) {
        const struct client *member = bundle->members[i];
        if (member->state == CLIENT_HOLDING && !checker_is_undisturbed(member)) {
            return true;
        }
    }
    return false;
}

static void check_result(const struct bundle *bundle, enum store_code code)
{
    const struct client *first = bundle->members[0];
    const int64_t now_us = sidecar_now_us(first->sidecar);
    const bool is_settled =
        code == STORE_BUSY || code == STORE_WRONG_TYPE || code == STORE_UNAVAILABLE;
    const bool is_early = first->wait_us != 0 && now_us < first->wait_until_us;
    const bool may_be_early =
        code == STORE_WRONG_TYPE || (code == STORE_UNAVAILABLE && may_have_lost(bundle));
    if (!is_settled || (is_early && !may_be_early)) {
        world_violation(world_of(bundle), "%s was refused with code %d", bundle->connection->name,
                        (int)code);
    }
}

void checker_bundle_refused(const struct bundle *bundle, const struct lease_report *report)
{
    struct world *world = world_of(bundle);
    if (report->problem != NULL) {
        if (report->problem->refusal == KEEPER_DEADLOCK) {
            world->checker.circles++;
            checker_told_circle(bundle, report->problem->text);
        } else if (bundle->connection->sidecar->has_room) {
            world_violation(world, "%s was refused by a limit", bundle->connection->name);
        }
        return;
    }
    check_result(bundle, report->result->code);
}

struct remains {
    const struct bundle *bundle;
    const struct id128 *token;
};

static void visit_remains(void *user, const struct lease *lease)
{
    const struct remains *remains = user;
    if (id128_equal(lease_token(lease), remains->token)) {
        world_violation(world_of(remains->bundle), "%s: a lease of a bundle that has ended is left",
                        remains->bundle->connection->name);
    }
}

/* Whichever of its members was seen to hold knows the token of all. */
void checker_bundle_ended(const struct bundle *bundle)
{
    const struct client *first = bundle->members[0];
    if (first->fence != 0) {
        struct remains remains = {bundle, &first->token};
        keeper_visit(bundle->connection->sidecar->keeper, visit_remains, &remains);
    }
}

/* It is valid as long as all of it is. */
static void check_whole(const struct bundle *bundle)
{
    const int64_t now_us = sidecar_now_us(bundle->connection->sidecar);
    int64_t deadline_us = CLOCK_NEVER;
    bool is_valid = true;
    for (size_t i = 0; i < bundle->count; i++) {
        const struct lease *lease = group_lease(bundle->group, i);
        if (lease == NULL || lease_state(lease) != LEASE_HELD) {
            return; /* a violation of its own */
        }
        is_valid = is_valid && lease_is_valid(lease, now_us);
        if (lease_deadline_us(lease) < deadline_us) {
            deadline_us = lease_deadline_us(lease);
        }
    }
    if (group_is_valid(bundle->group, now_us) != is_valid ||
        group_deadline_us(bundle->group) != deadline_us) {
        world_violation(world_of(bundle), "%s: a bundle is not as valid as its locks",
                        bundle->connection->name);
    }
}

void checker_step_bundles(struct world *world)
{
    const struct connection *connection;
    LIST_FOREACH (connection, &world->connections, link) {
        for (size_t i = 0; i < connection->count; i++) {
            if (connection->bundles[i].state == BUNDLE_HOLDING) {
                check_whole(&connection->bundles[i]);
            }
        }
    }
    checker_step_circles(world);
}
