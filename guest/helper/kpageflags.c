// SPDX-License-Identifier: Apache-2.0
/*
 * Free pages by what the kernel tells root of every page. It looks without a lock, so that one answer may be wrong while
 * a block is taken apart; only pages that are free by two answers count.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hints.h"

#define BUDDY (1ULL << 10)
#define PAGES_AT_ONCE 8192

static uint64_t flags[PAGES_AT_ONCE];

/* The kernel would look for the poison in free pages. */
static bool poisons_free_pages(void)
{
	char words[4096] = "";
	FILE *file = fopen("/proc/cmdline", "r");
	bool found;

	if (!file)
		return false;
	if (!fgets(words, sizeof(words), file))
		words[0] = '\0';
	fclose(file);
	found = strstr(words, "page_poison=1") || strstr(words, "page_poison=on") || strstr(words, "page_poison=y");
	return found;
}

/* Appends the free pages of [from, to) to runs. Returns how many pages the kernel spoke of, or -1. */
static long look(int file, uint32_t from, uint32_t to, struct run *runs, uint32_t *length, uint32_t room, bool *truncated)
{
	uint32_t page = from;

	while (page < to) {
		size_t wanted = to - page < PAGES_AT_ONCE ? to - page : PAGES_AT_ONCE;
		ssize_t bytes = pread(file, flags, wanted * sizeof(flags[0]), (off_t)page * sizeof(flags[0]));

		if (bytes < 0)
			return -1;
		if (bytes == 0)
			break;
		for (size_t index = 0; index < bytes / sizeof(flags[0]); index++, page++) {
			struct run *last = runs + *length - 1;

			if (!(flags[index] & BUDDY))
				continue;
			if (*length && last->first + last->count == page)
				last->count++;
			else if (*length < room)
				runs[(*length)++] = (struct run){ page, 1 };
			else
				*truncated = true;
		}
	}
	return page - from;
}

static uint32_t without_short_ones(struct run *runs, uint32_t length, uint32_t least)
{
	uint32_t kept = 0;

	for (uint32_t index = 0; index < length; index++)
		if (runs[index].count >= least)
			runs[kept++] = runs[index];
	return kept;
}

enum error free_pages_without_driver(const struct free_pages_request *request, struct free_pages_answer *answer,
				     struct run *runs)
{
	static struct run first_look[RUNS_MAX];
	uint64_t since = now_ns();
	uint32_t found = 0, confirmed = 0;
	bool truncated = false;
	int file, reason;

	if (poisons_free_pages()) {
		errno = EOPNOTSUPP;
		return REFUSED;
	}
	file = open(KPAGEFLAGS_FILE, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return UNAVAILABLE;
	if (look(file, 0, UINT32_MAX, first_look, &found, request->runs_max, &truncated) < 0)
		goto failed;
	found = without_short_ones(first_look, found, 1U << request->minimum_order);
	for (uint32_t index = 0; index < found; index++) {
		struct run *run = first_look + index;

		if (look(file, run->first, run->first + run->count, runs, &confirmed, request->runs_max, &truncated) < 0)
			goto failed;
	}
	close(file);
	*answer = (struct free_pages_answer){
		.source = KPAGEFLAGS,
		.minimum_order = request->minimum_order,
		.flags = truncated ? FLAG_TRUNCATED : 0,
		.runs = confirmed,
		.scan_ns = now_ns() - since,
	};
	return 0;
failed:
	reason = errno;
	close(file);
	errno = reason;
	return FAILED;
}
