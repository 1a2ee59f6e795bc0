// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "page.h"

#define MAGIC 0x656761704d44574full /* "OWDMpage" */
#define STAMP_DISTANCE 256
#define LAST_STAMP (PAGE_BYTES - 8)
#define STAMPS (PAGE_BYTES / STAMP_DISTANCE)
#define PAGE_BITS 27

struct header {
	uint64_t magic;
	uint32_t page;
	uint32_t body_generation;
	uint32_t generation;
	uint32_t unused;
	uint64_t body_sum;
};

/*
 * Of all that is neither header nor stamp, in order, begun with what the body must be: a body of another page,
 * generation or seed has another sum, and so has any mixture. Each step is a bijection of the word and of the sum so
 * far, so that a change of one word never goes unnoticed.
 */
static uint64_t body_sum(uint64_t seed, const uint8_t *bytes)
{
	const struct header *header = (const struct header *)bytes;
	const uint64_t *words = (const uint64_t *)bytes;
	uint64_t sum = seed ^ ((uint64_t)header->page << 32 | header->body_generation);

	for (uint32_t place = 0; place < PAGE_BYTES / STAMP_DISTANCE; place++) {
		const uint64_t *word = words + place * (STAMP_DISTANCE / 8);
		const uint64_t *end = word + STAMP_DISTANCE / 8;

		word += place == 0 ? sizeof(struct header) / 8 : 1;
		if (place == PAGE_BYTES / STAMP_DISTANCE - 1)
			end--;
		while (word < end) {
			sum = (sum ^ *word++) * 0x9e3779b97f4a7c15;
			sum = sum << 31 | sum >> 33;
		}
	}
	return sum;
}

static uint64_t stamp(uint32_t page, uint32_t place, uint32_t generation)
{
	return (uint64_t)(place << PAGE_BITS | page) << 32 | generation;
}

/* Volatile, so that the stores are made one by one and in this order. */
static void put_stamp(uint8_t *bytes, uint32_t offset, uint32_t page, uint32_t place, uint32_t generation)
{
	*(volatile uint64_t *)(bytes + offset) = stamp(page, place, generation);
}

static void put_stamps(uint32_t page, uint32_t generation, uint8_t *bytes)
{
	uint32_t place = 1;

	((volatile struct header *)bytes)->generation = generation;
	for (uint32_t offset = STAMP_DISTANCE; offset < PAGE_BYTES; offset += STAMP_DISTANCE)
		put_stamp(bytes, offset, page, place++, generation);
	put_stamp(bytes, LAST_STAMP, page, place, generation);
}

void page_write(const struct page_kind *kind, uint32_t page, uint32_t generation, uint8_t *bytes)
{
	struct header *header = (struct header *)bytes;

	content_fill(kind->content, kind->seed, page, generation, bytes);
	header->magic = MAGIC ^ kind->seed;
	header->page = page;
	header->body_generation = generation;
	header->unused = 0;
	header->body_sum = body_sum(kind->seed, bytes);
	put_stamps(page, generation, bytes);
}

void page_restamp(uint32_t page, uint32_t generation, uint8_t *bytes)
{
	put_stamps(page, generation, bytes);
}

/* How many of the stamps are this page's, and of this generation; generation 0 stands for "any". */
static uint32_t stamps_of(uint32_t page, uint32_t generation, const uint8_t *bytes)
{
	uint32_t place = 1, found = 0;

	for (uint32_t offset = STAMP_DISTANCE; offset <= PAGE_BYTES; offset += STAMP_DISTANCE, place++) {
		uint32_t at = offset < PAGE_BYTES ? offset : LAST_STAMP;
		uint64_t difference = *(const uint64_t *)(bytes + at) ^ stamp(page, place, generation);

		found += generation ? difference == 0 : difference <= UINT32_MAX;
	}
	return found;
}

enum page_state page_check(const struct page_kind *kind, uint32_t page, uint32_t generation,
			   const uint8_t *bytes, uint32_t *found)
{
	const struct header *header = (const struct header *)bytes;

	*found = 0;
	if (header->magic != (MAGIC ^ kind->seed) || header->page != page)
		return stamps_of(page, 0, bytes) ? PAGE_TORN : PAGE_LOST;
	*found = header->generation;
	if (header->unused || header->generation == 0 ||
	    stamps_of(page, header->generation, bytes) < STAMPS ||
	    header->body_sum != body_sum(kind->seed, bytes))
		return PAGE_TORN;
	return generation && header->generation != generation ? PAGE_STALE : PAGE_GOOD;
}

const char *page_state_name(enum page_state state)
{
	static const char *const names[] = { "good", "torn", "stale", "lost" };

	return names[state];
}
