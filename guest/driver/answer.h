/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GODWIT_ANSWER_H
#define GODWIT_ANSWER_H

#include <linux/types.h>

/* What a request left behind for the reads that follow it. */
struct answer {
	void *bytes; /* from kvmalloc() */
	size_t length;
};

/* What a request may say; README.md has keys and bounds. Keys of the other file are refused. */
struct request {
	u32 minimum_order;
	u32 maximum;
	bool per_cpu;
	u32 scans;
	u32 interval_ms;
	bool fresh;
};

/* Each fills *answer and returns 0, or a negative error and leaves it empty. One runs at a time. */
int free_pages_answer(const struct request *request, struct answer *answer);
int working_set_answer(const struct request *request, struct answer *answer);

/* The driver of the doorbell device, by which the host asks for free pages while locks are held. */
int held_locks_begin(void);
void held_locks_end(void);

#endif
