// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "page.h"

#define MAGIC 0x656761704d44574full /* "OWDMpage" */
#define STAMP_DISTANCE 256
#define LAST_STAMP (PAGE_BYTES - 8)
#define PAGE_BITS 27

struct header {
	uint64_t magic;
	uint32_t page;
	uint32_t body_generation;
	uint32_t generation;
};

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

static void write_version(const struct page_kind *kind, uint32_t page, uint32_t body_generation,
			  uint32_t generation, uint8_t *bytes)
{
	struct header *header = (struct header *)bytes;

	content_fill(kind->content, kind->seed, page, body_generation, bytes);
	header->magic = MAGIC ^ kind->seed;
	header->page = page;
	header->body_generation = body_generation;
	put_stamps(page, generation, bytes);
}

void page_write(const struct page_kind *kind, uint32_t page, uint32_t generation, uint8_t *bytes)
{
	write_version(kind, page, generation, generation, bytes);
}

void page_restamp(uint32_t page, uint32_t generation, uint8_t *bytes)
{
	put_stamps(page, generation, bytes);
}

static bool has_stamp(uint32_t page, const uint8_t *bytes)
{
	uint32_t place = 1;

	for (uint32_t offset = STAMP_DISTANCE; offset < PAGE_BYTES; offset += STAMP_DISTANCE, place++) {
		if ((*(const uint64_t *)(bytes + offset) ^ stamp(page, place, 0)) <= UINT32_MAX)
			return true;
	}
	return false;
}

enum page_state page_check(const struct page_kind *kind, uint32_t page, uint32_t generation,
			   const uint8_t *bytes, uint8_t *scratch, uint32_t *found)
{
	const struct header *header = (const struct header *)bytes;

	*found = 0;
	if (header->magic != (MAGIC ^ kind->seed) || header->page != page)
		return has_stamp(page, bytes) ? PAGE_TORN : PAGE_LOST;
	*found = header->generation;
	write_version(kind, page, header->body_generation, header->generation, scratch);
	if (memcmp(bytes, scratch, PAGE_BYTES))
		return PAGE_TORN;
	return generation && header->generation != generation ? PAGE_STALE : PAGE_GOOD;
}

const char *page_state_name(enum page_state state)
{
	static const char *const names[] = { "good", "torn", "stale", "lost" };

	return names[state];
}
