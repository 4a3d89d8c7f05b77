/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/terms.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"

static struct terms *create(const char *label, size_t label_length, const char *value,
                            size_t value_length)
{
    struct terms *terms = memory_alloc(sizeof(*terms) + label_length + value_length);
    terms->label_length = (uint16_t)label_length;
    terms->value_length = (uint16_t)value_length;
    if (label_length > 0) {
        memcpy(terms->texts, label, label_length);
    }
    if (value_length > 0) {
        memcpy(terms->texts + label_length, value, value_length);
    }
    return terms;
}

struct terms *terms_create(const struct lease_ask *ask)
{
    struct terms *terms = create(ask->label, ask->label_length, ask->value, ask->value_length);
    terms->limit = ask->limit;
    terms->grace_ms = ask->grace_ms;
    terms->lock_delay_ms = ask->lock_delay_ms;
    terms->max_hold_ms = ask->max_hold_ms;
    return ask->wait_until_us != 0 ? terms : terms_trim(terms);
}

struct terms *terms_trim(struct terms *terms)
{
    if (terms->limit == 0 && terms->grace_ms == 0 && terms->lock_delay_ms == 0 &&
        terms->max_hold_ms == 0 && !terms_have_texts(terms) && terms->place == NULL &&
        terms->bound == NULL) {
        terms_destroy(terms);
        return NULL;
    }
    return terms;
}

bool terms_have_texts(const struct terms *terms)
{
    return terms->label_length > 0 || terms->value_length > 0;
}

/* What is not text. */
static void take_numbers(struct terms *terms, struct terms *from)
{
    terms->limit = from->limit;
    terms->grace_ms = from->grace_ms;
    terms->lock_delay_ms = from->lock_delay_ms;
    terms->max_hold_ms = from->max_hold_ms;
    terms->place = from->place;
    terms->bound = from->bound;
    from->place = NULL;
    from->bound = NULL;
}

struct terms *terms_with_texts(struct terms *terms, const struct store_holder *holder)
{
    if (holder->label_length == 0 && holder->value_length == 0) {
        return terms;
    }
    struct terms *with =
        create(holder->label, holder->label_length, holder->value, holder->value_length);
    if (terms != NULL) {
        CHECK(!terms_have_texts(terms));
        take_numbers(with, terms);
        terms_destroy(terms);
    }
    return with;
}

struct terms *terms_move(struct terms *terms)
{
    struct terms *copy = create(terms->texts, terms->label_length,
                                terms->texts + terms->label_length, terms->value_length);
    take_numbers(copy, terms);
    return copy;
}

void terms_destroy(struct terms *terms)
{
    CHECK(terms == NULL || (terms->place == NULL && terms->bound == NULL));
    memory_free(terms);
}
