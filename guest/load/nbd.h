/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NBD_H
#define NBD_H

#include "options.h"

/*
 * Joins the kernel's NBD device to a server's default export: storage that stays where it is while the machine moves
 * (protocol: doc/proto.md of the NetworkBlockDevice project). A process of its own, which the kernel then keeps for as
 * long as the device is there.
 *
 * Never returns, unless something is wrong; then says what.
 */
const char *nbd_run(const struct options *options);

#endif
