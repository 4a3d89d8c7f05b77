/* SPDX-License-Identifier: Apache-2.0 */
/* hold KEY: holds a lock until Enter is pressed. cc hold.c $(pkg-config --cflags --libs holdfast)
 */
#include <holdfast/holdfast.h>

#include <inttypes.h>
#include <stdio.h>

static void on_lost(struct holdfast_lease *lease, enum holdfast_loss loss, void *user)
{
    (void)user;
    fprintf(stderr, "%s is lost: %s\n", holdfast_lease_key(lease), holdfast_loss_text(loss));
}

int main(int argc, char **argv)
{
    char error[HOLDFAST_ERROR_SIZE];
    struct holdfast *holdfast = holdfast_open(NULL, error);
    if (holdfast == NULL) {
        fprintf(stderr, "%s\n", error);
        return 69;
    }
    struct holdfast_ask ask = {
        .key = argc > 1 ? argv[1] : "example",
        .label = "the hold example",
        .events = {.on_lost = on_lost},
    };
    struct holdfast_lease *lease;
    struct holdfast_holder holder;
    enum holdfast_result result = holdfast_hold(holdfast, &ask, &lease, &holder);
    if (result == HOLDFAST_OK) {
        printf("%s is yours, fence %" PRIu64 ", valid for %" PRId64 " ms\n", ask.key,
               holdfast_lease_fence(lease), holdfast_lease_valid_for_ms(lease));
        fflush(stdout);
        (void)getchar(); /* here the work is done, with the fence shown to whoever keeps the data */
        result = holdfast_release(holdfast, lease);
        printf("release: %s\n", holdfast_result_text(result));
        holdfast_lease_free(lease);
    } else if (result == HOLDFAST_BUSY) {
        printf("%s is held by %s\n", ask.key, holder.label);
    } else {
        fprintf(stderr, "%s: %s\n", holdfast_result_text(result), holdfast_last_error());
    }
    holdfast_close(holdfast);
    return result == HOLDFAST_OK ? 0 : 75;
}
