// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "holder.h"

/* 4 MiB under one lock: about 16 ms in an emulated guest. */
#define PAGES_PER_LOCK 1024
/* What stays free for the kernel and the other processes of a guest. */
#define SPARE_BYTES (16ull << 20)

void holder_init(struct holder *holder)
{
	memset(holder, 0, sizeof(*holder));
	pthread_mutex_init(&holder->lock, NULL);
}

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *memory, size_t bytes)
{
	if (memory)
		munmap(memory, bytes);
}

static size_t table_bytes(uint32_t pages)
{
	return (size_t)pages * sizeof(uint32_t);
}

/* All memory is overcommitted; the holder must not learn of a shortage from the kernel's OOM killer. */
static uint64_t available_bytes(void)
{
	unsigned long long kilobytes = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");

	if (!file)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1)
			break;
	}
	fclose(file);
	return kilobytes << 10;
}

/*
 * One more update. Only the owner of the lock writes the sum, status reads it any time: plain moves do, and a
 * locked instruction would cost much in an emulated guest.
 */
static void count_update(struct holder *holder)
{
	uint64_t sum = atomic_load_explicit(&holder->sum, memory_order_relaxed) + 1;

	atomic_store_explicit(&holder->sum, sum, memory_order_relaxed);
	*holder->sum_mirror = sum;
}

static void *fill(void *argument)
{
	struct holder *holder = argument;

	for (uint32_t page = 0; page < holder->pages && !atomic_load(&holder->stop_filling);) {
		pthread_mutex_lock(&holder->lock);
		for (int i = 0; i < PAGES_PER_LOCK && page < holder->pages; i++, page++) {
			page_write(&holder->kind, page, 1, holder->memory + (size_t)page * PAGE_BYTES);
			holder->generations[page] = holder->generations_mirror[page] = 1;
			count_update(holder);
		}
		atomic_store(&holder->filled, page);
		pthread_mutex_unlock(&holder->lock);
	}
	return NULL;
}

void holder_free(struct holder *holder)
{
	if (!holder->memory)
		return;
	atomic_store(&holder->stop_filling, true);
	pthread_join(holder->filler, NULL);
	pthread_mutex_lock(&holder->lock);
	atomic_store(&holder->filled, 0);
	unmap(holder->generations, table_bytes(holder->pages));
	unmap(holder->memory, (size_t)holder->pages * PAGE_BYTES);
	unmap(holder->generations_mirror, table_bytes(holder->pages));
	unmap(holder->sum_mirror, PAGE_BYTES);
	holder->memory = NULL;
	holder->pages = 0;
	pthread_mutex_unlock(&holder->lock);
}

static bool map_all(struct holder *holder, uint32_t pages)
{
	/* In this order, so that the two tables lie on either side of the memory. */
	holder->generations = map(table_bytes(pages));
	holder->memory = map((size_t)pages * PAGE_BYTES);
	holder->generations_mirror = map(table_bytes(pages));
	holder->sum_mirror = map(PAGE_BYTES);
	if (holder->generations && holder->memory && holder->generations_mirror && holder->sum_mirror)
		return true;
	unmap(holder->generations, table_bytes(pages));
	unmap(holder->memory, (size_t)pages * PAGE_BYTES);
	unmap(holder->generations_mirror, table_bytes(pages));
	unmap(holder->sum_mirror, PAGE_BYTES);
	holder->memory = NULL;
	return false;
}

const char *holder_hold(struct holder *holder, uint64_t bytes, const struct page_kind *kind)
{
	uint64_t pages = bytes / PAGE_BYTES;

	if (pages == 0 || pages >= PAGE_NUMBER_LIMIT)
		return "hold must be from 4K to 512G";
	holder_free(holder);
	if (bytes + 2 * table_bytes(pages) + SPARE_BYTES > available_bytes())
		return "not enough memory is available";
	pthread_mutex_lock(&holder->lock);
	if (!map_all(holder, pages)) {
		pthread_mutex_unlock(&holder->lock);
		return "the memory can't be mapped";
	}
	holder->kind = *kind;
	holder->sum = 0;
	holder->pages = pages;
	pthread_mutex_unlock(&holder->lock);
	atomic_store(&holder->stop_filling, false);
	if (pthread_create(&holder->filler, NULL, fill, holder)) {
		unmap(holder->memory, bytes);
		holder->memory = NULL;
		holder->pages = 0;
		return "no thread can be started";
	}
	return NULL;
}

bool holder_is_ready(const struct holder *holder)
{
	return holder->pages && atomic_load(&holder->filled) == holder->pages;
}

void holder_rewrite(struct holder *holder, uint32_t page, bool whole)
{
	uint8_t *bytes = holder->memory + (size_t)page * PAGE_BYTES;
	uint32_t generation = holder->generations[page] + 1;

	if (whole)
		page_write(&holder->kind, page, generation, bytes);
	else
		page_restamp(page, generation, bytes);
	holder->generations[page] = holder->generations_mirror[page] = generation;
	count_update(holder);
}
