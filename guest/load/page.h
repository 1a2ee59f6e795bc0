/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAGE_H
#define PAGE_H

#include "content.h"

/*
 * A page that knows what it is. It is made of a body, which only page number and body generation decide, and
 * of stamps laid over the body: every 256 bytes and at the very end, each saying page, place and generation.
 * The first stamp is longer and is the header.
 *
 *	0	magic, page number, body generation, generation, sum of the body
 *	256, 512 … 3840, 4088	stamp: place (5 bits), page number (27 bits), generation (32 bits)
 *
 * A copy that was taken while the page was rewritten, or that was put together from two versions, has stamps
 * of different generations or a body that hasn't the sum its header names. The sum begins with page, generation and
 * seed; making the body anew to compare would say no more, and takes an emulated guest ten times as long.
 */
#define PAGE_NUMBER_LIMIT (1u << 27)

enum page_state {
	PAGE_GOOD,
	PAGE_TORN,	/* a mixture */
	PAGE_STALE,	/* whole, but not of the expected generation */
	PAGE_LOST,	/* zero, or not this page at all */
};

struct page_kind {
	enum content content;
	uint64_t seed;
};

/* Rewrites the whole page. */
void page_write(const struct page_kind *kind, uint32_t page, uint32_t generation, uint8_t *bytes);

/* Rewrites the stamps only: cheap, and still every mixture shows. The page must be good. */
void page_restamp(uint32_t page, uint32_t generation, uint8_t *bytes);

/*
 * Compares a page with what it must be; generation 0 stands for "any". *found is the header's generation,
 * as far as there is one.
 */
enum page_state page_check(const struct page_kind *kind, uint32_t page, uint32_t generation,
			   const uint8_t *bytes, uint32_t *found);

const char *page_state_name(enum page_state state);

#endif
