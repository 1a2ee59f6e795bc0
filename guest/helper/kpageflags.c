// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernel tells root of every page: which are free, and which are its own. It looks without a lock, so that one
 * answer may be wrong while a block is taken apart; only pages that are free by two answers count as free.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hints.h"

#define LRU (1ULL << 5)
#define BUDDY (1ULL << 10)
#define MAPPED (1ULL << 11)
#define ANONYMOUS (1ULL << 12)
#define HUGE (1ULL << 17)
#define POISONED (1ULL << 19)
#define ABSENT (1ULL << 20)
#define TRANSPARENT_HUGE (1ULL << 22)
#define OFFLINE (1ULL << 23)
#define PAGE_TABLE (1ULL << 26)

/* Free, a program's, page cache, or nothing at all: what is left is the kernel's own. */
#define NOT_THE_KERNELS \
	(BUDDY | LRU | MAPPED | ANONYMOUS | HUGE | TRANSPARENT_HUGE | POISONED | ABSENT | OFFLINE)

#define PAGES_AT_ONCE 8192

struct run_list {
	struct run *runs;
	uint32_t length;
	uint32_t room;
	bool truncated;
};

typedef bool wanted_page(uint64_t flags);

static uint64_t flags[PAGES_AT_ONCE];

static bool is_free(uint64_t page)
{
	return page & BUDDY;
}

static bool is_page_table(uint64_t page)
{
	return page & PAGE_TABLE;
}

static bool is_kernels(uint64_t page)
{
	return !(page & NOT_THE_KERNELS) || is_page_table(page);
}

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

/* Appends the wanted pages of [from, to) to a list. Returns how many pages the kernel spoke of, or -1. */
static long look(int file, uint32_t from, uint32_t to, wanted_page *wanted, struct run_list *list)
{
	uint32_t page = from;

	while (page < to) {
		size_t count = to - page < PAGES_AT_ONCE ? to - page : PAGES_AT_ONCE;
		ssize_t bytes = pread(file, flags, count * sizeof(flags[0]), (off_t)page * sizeof(flags[0]));

		if (bytes < 0)
			return -1;
		if (bytes == 0)
			break;
		for (size_t index = 0; index < bytes / sizeof(flags[0]); index++, page++) {
			struct run *last = list->runs + list->length - 1;

			if (!wanted(flags[index]))
				continue;
			if (list->length && last->first + last->count == page)
				last->count++;
			else if (list->length < list->room)
				list->runs[list->length++] = (struct run){ page, 1 };
			else
				list->truncated = true;
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
	struct run_list found = { .runs = first_look, .room = request->runs_max };
	struct run_list confirmed = { .runs = runs, .room = request->runs_max };
	uint64_t since = now_ns();
	int file, reason;

	if (poisons_free_pages()) {
		errno = EOPNOTSUPP;
		return REFUSED;
	}
	file = open(KPAGEFLAGS_FILE, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return UNAVAILABLE;
	if (look(file, request->pages_first, request->pages_end, is_free, &found) < 0)
		goto failed;
	found.length = without_short_ones(first_look, found.length, 1U << request->minimum_order);
	for (uint32_t index = 0; index < found.length; index++) {
		struct run *run = first_look + index;

		if (look(file, run->first, run->first + run->count, is_free, &confirmed) < 0)
			goto failed;
	}
	close(file);
	*answer = (struct free_pages_answer){
		.source = KPAGEFLAGS,
		.minimum_order = request->minimum_order,
		.flags = found.truncated || confirmed.truncated ? FLAG_TRUNCATED : 0,
		.runs = confirmed.length,
		.scan_ns = now_ns() - since,
	};
	return 0;
failed:
	reason = errno;
	close(file);
	errno = reason;
	return FAILED;
}

enum error kernel_pages(const struct kernel_pages_request *request, struct kernel_pages_answer *answer, struct run *runs)
{
	struct run_list list = { .runs = runs, .room = request->runs_max };
	uint64_t since = now_ns();
	int file, reason;
	long pages;

	if (request->tables_only > 1 || request->runs_max == 0 || request->runs_max > RUNS_MAX) {
		errno = EINVAL;
		return MALFORMED;
	}
	file = open(KPAGEFLAGS_FILE, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return UNAVAILABLE;
	pages = look(file, request->pages_first, request->pages_end, request->tables_only ? is_page_table : is_kernels, &list);
	reason = errno;
	close(file);
	errno = reason;
	if (pages < 0)
		return FAILED;
	*answer = (struct kernel_pages_answer){
		.flags = list.truncated ? 1 : 0,
		.runs = list.length,
		.scan_ns = now_ns() - since,
	};
	return 0;
}
