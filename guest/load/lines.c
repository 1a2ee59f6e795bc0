// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "lines.h"

char *lines_room(struct lines *lines, size_t *room)
{
	*room = LINE_BYTES_MAX - lines->filled;
	return lines->bytes + lines->filled;
}

void lines_filled(struct lines *lines, size_t bytes)
{
	lines->filled += bytes;
}

char *lines_next(struct lines *lines)
{
	static char too_long[] = "line-too-long";
	char *line, *end;

	lines->filled -= lines->taken;
	memmove(lines->bytes, lines->bytes + lines->taken, lines->filled);
	lines->taken = 0;
	end = memchr(lines->bytes, '\n', lines->filled);
	if (!end) {
		if (lines->filled == LINE_BYTES_MAX) {
			lines->too_long = true;
			lines->filled = 0;
		}
		return NULL;
	}
	*end = '\0';
	lines->taken = end + 1 - lines->bytes;
	line = lines->too_long ? too_long : lines->bytes;
	lines->too_long = false;
	return line;
}
