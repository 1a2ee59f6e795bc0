/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "allocator.h"
#include "answer.h"
#include "disk.h"
#include "holder.h"
#include "options.h"
#include "workers.h"

/* Everything that commands act upon. */
struct load {
	pthread_mutex_t commands;	/* one command that changes or checks something at a time */
	struct holder holder;
	struct workers workers;
	struct churn churn;
	struct disk disk;
	bool owns_machine;		/* poweroff and reboot are meant for this machine */
};

void load_init(struct load *load, bool owns_machine);

/* Carries out one line, which may take seconds, and writes the answer. README.md has the protocol. */
void load_execute(struct load *load, char *line, struct answer *answer);

#endif
