// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "holder.h"

/* Where the page lies in the guest's physical memory; only root may know. */
static uint64_t frame_of(const void *address)
{
	uint64_t entry = 0;
	FILE *file = fopen("/proc/self/pagemap", "r");

	if (!file)
		return 0;
	if (fseeko(file, (off_t)((uintptr_t)address / PAGE_BYTES * sizeof(entry)), SEEK_SET) ||
	    fread(&entry, sizeof(entry), 1, file) != 1)
		entry = 0;
	fclose(file);
	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

static void verify_page(struct holder *holder, uint32_t page, struct verdict *verdict)
{
	const uint8_t *bytes = holder->memory + (size_t)page * PAGE_BYTES;
	uint32_t first = holder->generations[page], second = holder->generations_mirror[page];
	uint32_t expected = first > second ? first : second;
	uint32_t found;
	enum page_state state = page_check(&holder->kind, page, expected, bytes, &found);

	verdict->updates += first;
	verdict->tracker += first != second;
	if (expected > verdict->highest_generation)
		verdict->highest_generation = expected;
	if (state == PAGE_GOOD)
		return;
	verdict->torn += state == PAGE_TORN;
	verdict->stale += state == PAGE_STALE;
	verdict->lost += state == PAGE_LOST;
	if (verdict->listed < BAD_PAGES_LISTED) {
		verdict->first[verdict->listed++] = (struct bad_page){
			.page = page, .expected = expected, .found = found,
			.state = state, .frame = frame_of(bytes),
		};
	}
}

const char *holder_verify(struct holder *holder, struct verdict *verdict)
{

	memset(verdict, 0, sizeof(*verdict));
	pthread_mutex_lock(&holder->lock);
	if (!holder_is_ready(holder)) {
		pthread_mutex_unlock(&holder->lock);
		return holder->pages ? "still filling" : "nothing is held";
	}
	verdict->pages = holder->pages;
	for (uint32_t page = 0; page < holder->pages; page++)
		verify_page(holder, page, verdict);
	verdict->tracker += verdict->updates != atomic_load(&holder->sum);
	verdict->tracker += verdict->updates != *holder->sum_mirror;
	pthread_mutex_unlock(&holder->lock);
	return NULL;
}

const char *holder_corrupt(struct holder *holder, uint32_t page, const char *how)
{
	const char *wrong = NULL;
	uint8_t *bytes;

	pthread_mutex_lock(&holder->lock);
	if (page >= holder->pages || !holder_is_ready(holder)) {
		pthread_mutex_unlock(&holder->lock);
		return "no such page";
	}
	bytes = holder->memory + (size_t)page * PAGE_BYTES;
	if (!strcmp(how, "torn")) {
		/* The first half of the next generation, the second half of this one. */
		uint8_t half[PAGE_BYTES / 2];

		memcpy(half, bytes + sizeof(half), sizeof(half));
		holder_rewrite(holder, page, true);
		memcpy(bytes + sizeof(half), half, sizeof(half));
	} else if (!strcmp(how, "stale")) {
		uint8_t whole[PAGE_BYTES];

		memcpy(whole, bytes, sizeof(whole));
		holder_rewrite(holder, page, false);
		memcpy(bytes, whole, sizeof(whole));
	} else if (!strcmp(how, "lost")) {
		memset(bytes, 0, PAGE_BYTES);
	} else if (!strcmp(how, "tracker")) {
		holder->generations_mirror[page]--;
	} else {
		wrong = "kind must be torn, stale, lost or tracker";
	}
	pthread_mutex_unlock(&holder->lock);
	return wrong;
}
