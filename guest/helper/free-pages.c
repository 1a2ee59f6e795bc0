// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "hints.h"

#define DRIVER_VERSION 1
#define ORDER_MAX 10
#define PAGE_SHIFT 12
#define ORDER_MASK ((1 << PAGE_SHIFT) - 1)

/* As guest/driver/free-pages.c has it. */
struct driver_answer {
	uint32_t version;
	uint32_t flags;
	uint32_t minimum_order;
	uint32_t zones;
	uint64_t blocks;
	uint64_t lock_ns;
	uint64_t longest_lock_ns;
	uint64_t total_ns;
	uint64_t block[RUNS_MAX];
};

/* Only as much of it is ever touched as the largest answer has. */
static struct driver_answer driver;

static int ascending(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return a < b ? -1 : a > b;
}

/* A block may have been listed twice when it moved from a processor's list to its zone's meanwhile. */
static uint32_t merge(uint64_t *blocks, uint64_t count, struct run *runs)
{
	uint32_t length = 0;

	qsort(blocks, count, sizeof(*blocks), ascending);
	for (uint64_t index = 0; index < count; index++) {
		uint32_t first = blocks[index] >> PAGE_SHIFT, end = first + (1U << (blocks[index] & ORDER_MASK));
		struct run *last = runs + length - 1;

		if (length && first <= last->first + last->count) {
			if (end > last->first + last->count)
				last->count = end - last->first;
		} else {
			runs[length++] = (struct run){ first, end - first };
		}
	}
	return length;
}

static enum error ask(const struct free_pages_request *request, struct free_pages_answer *answer, struct run *runs)
{
	char words[96];
	long length;

	snprintf(words, sizeof(words), "minimum-order=%u maximum=%u per-cpu=%u", request->minimum_order,
		 request->runs_max, request->per_cpu);
	length = ask_driver(DRIVER_FREE_PAGES, words, &driver, sizeof(driver));
	if (length < 0)
		return errno == EOPNOTSUPP ? REFUSED : errno == ENOENT ? UNAVAILABLE : FAILED;
	if (driver.version != DRIVER_VERSION || driver.blocks > RUNS_MAX ||
	    (size_t)length != sizeof(driver) - sizeof(driver.block) + driver.blocks * sizeof(driver.block[0])) {
		errno = EPROTO;
		return FAILED;
	}
	*answer = (struct free_pages_answer){
		.source = DRIVER,
		.minimum_order = driver.minimum_order,
		.flags = driver.flags,
		.zones = driver.zones,
		.lock_ns = driver.lock_ns,
		.longest_lock_ns = driver.longest_lock_ns,
		.scan_ns = driver.total_ns,
	};
	answer->runs = merge(driver.block, driver.blocks, runs);
	return 0;
}

enum error free_pages(const struct free_pages_request *request, struct free_pages_answer *answer, struct run *runs)
{
	enum error result;

	if (request->source > KPAGEFLAGS || request->minimum_order > ORDER_MAX || request->per_cpu > 1 ||
	    request->runs_max == 0 || request->runs_max > RUNS_MAX ||
	    request->pages_first > request->pages_end) {
		errno = EINVAL;
		return MALFORMED;
	}
	if (request->source == KPAGEFLAGS)
		return free_pages_without_driver(request, answer, runs);
	result = ask(request, answer, runs);
	if (result == UNAVAILABLE && request->source == ANY_SOURCE)
		return free_pages_without_driver(request, answer, runs);
	return result;
}
