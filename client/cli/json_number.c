/* SPDX-License-Identifier: Apache-2.0 */
#include "json_number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Decimal digits, with a sign if that is allowed, and nothing else: one number is written one way,
 * so that different keys of a map stay different. */
static bool is_integer_text(const char *text, bool may_be_negative)
{
    const char *digits = text + (may_be_negative && text[0] == '-');
    const bool is_padded = digits[0] == '0' && (digits[1] != '\0' || digits != text);
    return digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits) && !is_padded;
}

/* Of JSON's numbers with a fraction or an exponent those count that are whole: 1e3, 5.0. */
static bool is_whole(double real)
{
    return real >= -0x1p63 && real < 0x1p63 && trunc(real) == real;
}

bool json_number_signed(const json_t *json, int64_t *value)
{
    char *end = NULL;
    if (json_is_integer(json)) {
        *value = json_integer_value(json);
        return true;
    }
    if (json_is_real(json)) {
        const double real = json_real_value(json);
        if (is_whole(real)) {
            *value = (int64_t)real;
            return true;
        }
        return false;
    }
    if (!json_is_string(json) || !is_integer_text(json_string_value(json), true)) {
        return false;
    }
    errno = 0;
    *value = strtoll(json_string_value(json), &end, 10);
    return errno == 0;
}

bool json_number_unsigned(const json_t *json, uint64_t *value)
{
    int64_t number = 0;
    char *end = NULL;
    if (!json_is_string(json)) {
        const bool is_taken = json_number_signed(json, &number) && number >= 0;
        *value = (uint64_t)number;
        return is_taken;
    }
    if (!is_integer_text(json_string_value(json), false)) {
        return false;
    }
    errno = 0;
    *value = strtoull(json_string_value(json), &end, 10);
    return errno == 0;
}

static bool real_of_text(const char *text, double *value)
{
    static const struct {
        const char *name;
        double value;
    } names[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    char *end = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i].name) == 0) {
            *value = names[i].value;
            return true;
        }
    }
    /* strtod knows more than JSON does. */
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    *value = strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

bool json_number_real(const json_t *json, double *value)
{
    if (json_is_number(json)) {
        *value = json_number_value(json);
        return true;
    }
    return json_is_string(json) && real_of_text(json_string_value(json), value);
}
