/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDER_H
#define HOLDER_H

#include <pthread.h>
#include <stdatomic.h>

#include "page.h"

/*
 * The held memory: pages of known content, and a table of the generation that each must have.
 *
 * The table lies in guest memory itself and can be damaged with everything else. So there are two tables, in
 * different places, and the sum of all generations is kept twice besides: if a page and its entry in one
 * table went back in time together, the other table tells, and if all three did, the sums tell.
 */
struct holder {
	pthread_mutex_t lock;		/* pages, tables and sums agree whenever it is free */
	struct page_kind kind;
	uint8_t *memory;
	_Atomic uint32_t pages;		/* 0: nothing is held; set after everything else */
	_Atomic uint32_t filled;	/* pages below this are written; all of them: ready */
	uint32_t *generations;
	uint32_t *generations_mirror;
	_Atomic uint64_t sum;
	uint64_t *sum_mirror;
	pthread_t filler;
	_Atomic bool stop_filling;
};

/* How far back a bad page's report goes; more don't tell more. */
#define BAD_PAGES_LISTED 8

struct bad_page {
	uint32_t page;
	uint32_t expected;	/* generation */
	uint32_t found;		/* generation */
	enum page_state state;
	uint64_t frame;		/* guest page number, 0 when unknown */
};

struct verdict {
	uint32_t pages;
	uint32_t torn;
	uint32_t stale;
	uint32_t lost;
	uint32_t tracker;	/* entries in which the tables differ, and sums that don't fit */
	uint32_t highest_generation;
	uint64_t updates;
	int listed;
	struct bad_page first[BAD_PAGES_LISTED];
};

void holder_init(struct holder *holder);

/*
 * Takes new memory, in place of what was held, and fills it in the background. Returns NULL or what is wrong.
 * No two threads may call this or holder_free() at the same time.
 */
const char *holder_hold(struct holder *holder, uint64_t bytes, const struct page_kind *kind);

void holder_free(struct holder *holder);

bool holder_is_ready(const struct holder *holder);

/* Brings a page to its next generation, whole or by its stamps only. The lock must be held. */
void holder_rewrite(struct holder *holder, uint32_t page, bool whole);

/* Checks everything, with the lock held all the time. Returns NULL or what is wrong. */
const char *holder_verify(struct holder *holder, struct verdict *verdict);

/* Damages a page on purpose: "torn", "stale", "lost" or "tracker". Returns NULL or what is wrong. */
const char *holder_corrupt(struct holder *holder, uint32_t page, const char *how);

#endif
