/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LINES_H
#define LINES_H

#include <stdbool.h>
#include <stddef.h>

/* Lines of a byte stream. A line that is too long is passed over to its end and comes out as "line-too-long". */
#define LINE_BYTES_MAX 512

struct lines {
	char bytes[LINE_BYTES_MAX + 1];
	size_t filled;
	size_t taken;
	bool too_long;
};

/* Where the next bytes go; *room is at least 1 once lines_next() has returned NULL. */
char *lines_room(struct lines *lines, size_t *room);

void lines_filled(struct lines *lines, size_t bytes);

/* The next whole line without its end, valid until the next call, or NULL. */
char *lines_next(struct lines *lines);

#endif
