/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HANDLERS_H
#define HANDLERS_H

#include "commands.h"

/*
 * A handler carries out one command. It returns NULL and may have added members to the answer, or it returns
 * what is wrong and the answer then says only that.
 */
typedef const char *handler(struct load *load, const struct options *options, struct answer *answer);

/* Keys of the commands set and load. */
#define WORKER_KEYS "hot", "dirty", "order", "rewrite", "readhot", "read"
#define LOAD_KEYS "hold", "content", "seed", WORKER_KEYS

/* Far above what any emulated or real guest does; keeps the pacer's arithmetic in range. */
#define RATE_MAX 10000000000ull

/* Like options_size(), and bounded. */
static inline bool options_rate(const struct options *options, const char *key, uint64_t *rate)
{
	return options_size(options, key, rate) && *rate <= RATE_MAX;
}

/* memory-commands.c */
handler command_load, command_set, command_stop, command_free, command_verify, command_corrupt;
handler command_fill_and_free, command_churn;

/* disk-commands.c */
handler command_disk, command_disk_verify, command_disk_close;

/* machine-commands.c */
handler command_ping, command_status, command_poweroff, command_reboot;

#endif
