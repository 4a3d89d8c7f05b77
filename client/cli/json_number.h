/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as proto3's JSON has them: also as text, and with what is no number. */
#ifndef HOLDFAST_CLI_JSON_NUMBER_H
#define HOLDFAST_CLI_JSON_NUMBER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* False when it is no whole number, or does not fit into 64 bits. */
bool json_number_signed(const json_t *json, int64_t *value);
bool json_number_unsigned(const json_t *json, uint64_t *value);

/* Finite, but for "NaN", "Infinity" and "-Infinity". */
bool json_number_real(const json_t *json, double *value);

#endif
