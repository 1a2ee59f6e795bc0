/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STARTUP_H
#define STARTUP_H

#include "commands.h"

/* All keys that "load serve" takes, NULL-ended. */
extern const char *const startup_keys[];

/* Does what the program's arguments ask for, by the commands of the same meaning. Returns NULL or what is wrong. */
const char *startup_run(struct load *load, const struct options *options);

#endif
