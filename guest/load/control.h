/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdint.h>

#include "commands.h"

/* The virtio-serial port on which commands arrive without a network. */
#define CONTROL_PORT_NAME "org.godwit.lab.0"

/*
 * Starts a thread that answers datagrams and one that takes TCP connections. With port 0 the kernel chooses
 * one; the result is the port, the same for both, or 0 when it can't be had.
 */
uint16_t control_start_network(struct load *load, const char *address, uint16_t port);

/* Starts a thread that answers on the virtio-serial port, if there is one. */
void control_start_serial(struct load *load);

#endif
