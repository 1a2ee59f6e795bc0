/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

/*
 * Marsaglia's xorshift64: no multiplication, which matters where every instruction is emulated. The state must
 * not be 0.
 */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t value = *state;

	value ^= value << 13;
	value ^= value >> 7;
	value ^= value << 17;
	return *state = value;
}

#endif
