// SPDX-License-Identifier: Apache-2.0
#include <err.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "allocator.h"

#define BLOCK_PAGES 64
#define BLOCK_BYTES (BLOCK_PAGES * PAGE_BYTES)
/* 16 GiB in use at most: the ring of blocks has a fixed size. */
#define BLOCKS_MAX 65536

static const struct page_kind churned = { .content = CONTENT_RANDOM, .seed = 0x636875726e };
static const struct page_kind freed = { .content = CONTENT_RANDOM, .seed = 0x66726565 };

static uint8_t *map(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

const char *allocator_fill_and_free(uint64_t bytes)
{
	static uint32_t generation;
	uint64_t pages = bytes / PAGE_BYTES;
	uint8_t *memory;

	if (pages == 0 || pages >= PAGE_NUMBER_LIMIT)
		return "size must be from 4K to 512G";
	memory = map(bytes);
	if (!memory)
		return "the memory can't be mapped";
	generation++;
	for (uint64_t page = 0; page < pages; page++)
		page_write(&freed, page, generation, memory + page * PAGE_BYTES);
	munmap(memory, bytes);
	return NULL;
}

static uint8_t *allocate_block(uint32_t number)
{
	uint8_t *block = map(BLOCK_BYTES);

	for (uint32_t page = 0; block && page < BLOCK_PAGES; page++)
		page_write(&churned, page, number, block + page * PAGE_BYTES);
	return block;
}

static void free_block(struct churn *churn, uint32_t number, uint8_t *block)
{
	uint32_t found;

	for (uint32_t page = 0; page < BLOCK_PAGES; page++) {
		if (page_check(&churned, page, number, block + page * PAGE_BYTES, &found) != PAGE_GOOD)
			atomic_fetch_add(&churn->damaged, 1);
	}
	atomic_fetch_add(&churn->checked, BLOCK_PAGES);
	munmap(block, BLOCK_BYTES);
}

static void *run(void *argument)
{
	struct churn *churn = argument;
	/* Blocks oldest .. newest - 1 are in use; block n is at n modulo the ring's size, of generation n. */
	uint8_t **ring = calloc(BLOCKS_MAX, sizeof(*ring));
	uint32_t oldest = 1, newest = 1;

	if (!ring)
		errx(1, "no memory for the churn");
	pacer_start(&churn->pacer);
	for (;;) {
		uint64_t due = pacer_next(&churn->pacer, atomic_load(&churn->rate), BLOCK_BYTES);
		uint64_t wanted = atomic_load(&churn->bytes) / BLOCK_BYTES;
		uint64_t done = 0;

		if (wanted > BLOCKS_MAX - 1)
			wanted = BLOCKS_MAX - 1;
		while (newest - oldest > wanted) {
			free_block(churn, oldest, ring[oldest % BLOCKS_MAX]);
			oldest++;
		}
		for (; wanted && done < due; done++) {
			uint8_t *block;

			if (newest - oldest == wanted) {
				free_block(churn, oldest, ring[oldest % BLOCKS_MAX]);
				oldest++;
			}
			block = allocate_block(newest);
			if (!block)
				break;
			ring[newest++ % BLOCKS_MAX] = block;
		}
		pacer_done(&churn->pacer, done * BLOCK_BYTES);
	}
	return NULL;
}

void churn_start(struct churn *churn)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, churn))
		errx(1, "no thread can be started");
}
