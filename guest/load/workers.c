// SPDX-License-Identifier: Apache-2.0
#include <err.h>

#include "random.h"
#include "workers.h"

/* How many of the held pages the area has; 0 while nothing may be touched. The lock must be held. */
static uint32_t area_pages(const struct holder *holder, uint64_t bytes)
{
	uint64_t pages = bytes / PAGE_BYTES;

	if (!holder_is_ready(holder))
		return 0;
	return pages < holder->pages ? pages : holder->pages;
}

static void *dirty(void *argument)
{
	struct workers *workers = argument;
	struct workers_settings *settings = &workers->settings;
	struct holder *holder = workers->holder;
	uint64_t random = 88172645463325252ull;
	uint32_t cursor = 0;

	pacer_start(&workers->dirtier);
	for (;;) {
		uint64_t due = pacer_next(&workers->dirtier, atomic_load(&settings->dirty_rate), PAGE_BYTES);
		bool whole = atomic_load(&settings->whole_pages);
		bool at_random = atomic_load(&settings->random_order);
		uint64_t done = 0;
		uint32_t pages;

		pthread_mutex_lock(&holder->lock);
		pages = area_pages(holder, atomic_load(&settings->hot_bytes));
		for (; pages && done < due; done++) {
			cursor = at_random ? random_next(&random) % pages : cursor + 1;
			if (cursor >= pages)
				cursor = 0;
			holder_rewrite(holder, cursor, whole);
		}
		pthread_mutex_unlock(&holder->lock);
		pacer_done(&workers->dirtier, done * PAGE_BYTES);
	}
	return NULL;
}

static void *read_pages(void *argument)
{
	struct workers *workers = argument;
	struct holder *holder = workers->holder;
	uint32_t cursor = 0;

	pacer_start(&workers->reader);
	for (;;) {
		uint64_t due = pacer_next(&workers->reader, atomic_load(&workers->settings.read_rate), PAGE_BYTES);
		uint64_t done = 0;
		uint32_t pages;

		pthread_mutex_lock(&holder->lock);
		pages = area_pages(holder, atomic_load(&workers->settings.read_hot_bytes));
		for (; pages && done < due; done++) {
			cursor = cursor + 1 < pages ? cursor + 1 : 0;
			(void)*(volatile uint8_t *)(holder->memory + (size_t)cursor * PAGE_BYTES);
		}
		pthread_mutex_unlock(&holder->lock);
		pacer_done(&workers->reader, done * PAGE_BYTES);
	}
	return NULL;
}

void workers_start(struct workers *workers, struct holder *holder)
{
	pthread_t thread;

	workers->holder = holder;
	if (pthread_create(&thread, NULL, dirty, workers) || pthread_create(&thread, NULL, read_pages, workers))
		errx(1, "no thread can be started");
}
