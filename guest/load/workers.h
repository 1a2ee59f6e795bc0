/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORKERS_H
#define WORKERS_H

#include "holder.h"
#include "pacer.h"

/* What the dirtier and the reader do with the held memory; any thread may set it at any time. */
struct workers_settings {
	_Atomic uint64_t hot_bytes;		/* the dirtier's area, from the start of the held memory */
	_Atomic uint64_t dirty_rate;		/* bytes of pages per second */
	_Atomic bool random_order;		/* else round robin */
	_Atomic bool whole_pages;		/* rewrite whole pages, not stamps only */
	_Atomic uint64_t read_hot_bytes;
	_Atomic uint64_t read_rate;
};

struct workers {
	struct holder *holder;
	struct workers_settings settings;
	struct pacer dirtier;
	struct pacer reader;
};

/* Starts both threads for good; they do nothing as long as the rates are 0 or the memory isn't ready. */
void workers_start(struct workers *workers, struct holder *holder);

#endif
