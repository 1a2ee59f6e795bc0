/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALLOCATOR_H
#define ALLOCATOR_H

#include "pacer.h"
#include "page.h"

/*
 * Memory that comes and goes. Fresh guests have zero pages wherever nothing was used yet, which flatters every
 * migration; and a free page that is taken into use during a migration is the hard case of free-page hints.
 */

/* Fills that many bytes with random content and frees them again. Returns NULL or what is wrong. */
const char *allocator_fill_and_free(uint64_t bytes);

/* Allocates, fills, checks and frees blocks of 256 KiB all the time, a given amount of memory being in use. */
struct churn {
	_Atomic uint64_t bytes;		/* in use at a time; 0: none */
	_Atomic uint64_t rate;		/* bytes allocated per second */
	_Atomic uint64_t damaged;	/* pages that weren't as they should be when they were freed */
	_Atomic uint64_t checked;	/* pages */
	struct pacer pacer;
};

void churn_start(struct churn *churn);

#endif
