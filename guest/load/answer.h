/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>

/* Fits an unfragmented UDP datagram. */
#define ANSWER_BYTES 1400

/* One line of JSON: an object being written. What doesn't fit makes it an error object instead. */
struct answer {
	char text[ANSWER_BYTES];
	size_t length;
	bool overflow;
};

/* {"id":…,"ok":… – id may be NULL. */
void answer_begin(struct answer *answer, const char *id, bool ok);

/* Appends printf-formatted text as it is; starts with a comma where one is needed. */
void answer_add(struct answer *answer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Closes the object and the line. */
void answer_end(struct answer *answer, const char *id);

/* A complete answer that says what is wrong. */
void answer_error(struct answer *answer, const char *id, const char *wrong);

#endif
