// SPDX-License-Identifier: Apache-2.0
#include "clock.h"
#include "pacer.h"

#define SECOND_NS 1000000000ll
#define SLICE_NS (5 * 1000000ll)
/* While there is nothing to do; a rate that is set then takes effect this much later at most. */
#define IDLE_NS (100 * 1000000ll)
/* Four slices: a late wake-up is made up for, a pause is not. */
#define CATCH_UP_NS (4 * SLICE_NS)

void pacer_start(struct pacer *pacer)
{
	pacer->last_ns = pacer->window_ns = clock_ns();
	pacer->credit = 0;
	pacer->window_bytes = 0;
	atomic_store(&pacer->achieved, 0);
}

uint64_t pacer_next(struct pacer *pacer, uint64_t rate, uint64_t unit_bytes)
{
	int64_t now, elapsed;
	uint64_t units;

	clock_sleep_until(pacer->last_ns + (rate ? SLICE_NS : IDLE_NS));
	now = clock_ns();
	elapsed = now - pacer->last_ns;
	pacer->last_ns = now;
	if (elapsed > CATCH_UP_NS)
		elapsed = CATCH_UP_NS;
	/* At most 20 ms at 10^10 bytes per second: far from an overflow. */
	pacer->credit += elapsed * rate;
	units = pacer->credit / (unit_bytes * SECOND_NS);
	pacer->credit -= units * unit_bytes * SECOND_NS;
	return units;
}

void pacer_done(struct pacer *pacer, uint64_t bytes)
{
	int64_t now = clock_ns();

	pacer->window_bytes += bytes;
	if (now - pacer->window_ns < SECOND_NS)
		return;
	atomic_store(&pacer->achieved, pacer->window_bytes * SECOND_NS / (now - pacer->window_ns));
	pacer->window_ns = now;
	pacer->window_bytes = 0;
}
