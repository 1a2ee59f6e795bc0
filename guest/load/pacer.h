/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PACER_H
#define PACER_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * Spreads work over time: a thread asks in a loop how many units it may do now and does them. Work comes in
 * slices of 5 ms; at rate 0 a thread looks ten times a second whether there is a rate, so that an idle guest is
 * idle. After a pause, of the guest or of the thread, what was missed is not made up for, so that a migrated
 * guest doesn't start with a burst.
 */
struct pacer {
	int64_t last_ns;
	uint64_t credit;		/* bytes not worked off yet, times 10^9 */
	int64_t window_ns;		/* start of the second that is being counted */
	uint64_t window_bytes;
	_Atomic uint64_t achieved;	/* bytes per second in the last full second; any thread may read it */
};

void pacer_start(struct pacer *pacer);

/* Sleeps until the next slice and returns how many units of that many bytes are due, at rate bytes per second. */
uint64_t pacer_next(struct pacer *pacer, uint64_t rate, uint64_t unit_bytes);

/* Counts what was really done. */
void pacer_done(struct pacer *pacer, uint64_t bytes);

#endif
