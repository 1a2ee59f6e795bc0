/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

/* A bound socket (a listening one for SOCK_STREAM), or -1. With *port 0 the kernel chooses and *port says. */
int network_bind(int type, const char *address, uint16_t *port);

/* Runs thread(argument) detached. False when there can't be another. */
int network_thread(void *(*thread)(void *), void *argument);

#endif
