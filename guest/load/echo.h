/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ECHO_H
#define ECHO_H

#include "options.h"

/*
 * What a client outside measures a pause and a connection with: every datagram is sent back at once, and every
 * TCP connection gets an endless, known stream of bytes. Runs in a process of its own, before everything
 * else, so that nothing of the load holds it up.
 *
 * Never returns, unless something is wrong; then says what.
 */
const char *echo_run(const struct options *options);

#endif
