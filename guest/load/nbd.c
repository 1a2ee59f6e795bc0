// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nbd.h"

#define SERVER_MAGIC 0x4e42444d41474943ull
#define OPTION_MAGIC 0x49484156454f5054ull
#define FIXED_NEWSTYLE 1
#define NO_ZEROES 2
#define EXPORT_NAME 1
#define BLOCK_BYTES 4096
#define ZEROES_BYTES 124

struct greeting {
	uint64_t magic;
	uint64_t option_magic;
	uint16_t flags;
} __attribute__((packed));

struct choice {
	uint32_t client_flags;
	uint64_t option_magic;
	uint32_t option;
	uint32_t name_length;
} __attribute__((packed));

struct exported {
	uint64_t bytes;
	uint16_t flags;
} __attribute__((packed));

static bool receive(int server, void *to, size_t bytes)
{
	return recv(server, to, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static int dial(const char *address, uint16_t port)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(port) };
	int server = socket(AF_INET, SOCK_STREAM, 0);

	if (server < 0 || inet_pton(AF_INET, address, &peer.sin_addr) != 1)
		return -1;
	return connect(server, (struct sockaddr *)&peer, sizeof(peer)) ? -1 : server;
}

static bool choose_default_export(int server, struct exported *export)
{
	struct greeting greeting;
	uint16_t flags;
	char zeroes[ZEROES_BYTES];

	if (!receive(server, &greeting, sizeof(greeting)) || be64toh(greeting.magic) != SERVER_MAGIC ||
	    be64toh(greeting.option_magic) != OPTION_MAGIC)
		return false;
	flags = be16toh(greeting.flags) & (FIXED_NEWSTYLE | NO_ZEROES);
	const struct choice choice = {
		.client_flags = htobe32(flags),
		.option_magic = htobe64(OPTION_MAGIC),
		.option = htobe32(EXPORT_NAME),
	};
	if (send(server, &choice, sizeof(choice), MSG_NOSIGNAL) != sizeof(choice) ||
	    !receive(server, export, sizeof(*export)))
		return false;
	return (flags & NO_ZEROES) || receive(server, zeroes, sizeof(zeroes));
}

const char *nbd_run(const struct options *options)
{
	struct exported export;
	uint64_t port = 10809;
	int device, server;

	if (!options_size(options, "port", &port) || port > UINT16_MAX)
		return "port must be a port number";
	device = open(options_text(options, "device", "/dev/nbd0"), O_RDWR);
	if (device < 0)
		return "there is no such NBD device";
	server = dial(options_text(options, "server", ""), port);
	if (server < 0)
		return "the NBD server can't be reached";
	if (!choose_default_export(server, &export))
		return "the NBD server has no default export";
	if (ioctl(device, NBD_SET_BLKSIZE, BLOCK_BYTES) ||
	    ioctl(device, NBD_SET_SIZE_BLOCKS, be64toh(export.bytes) / BLOCK_BYTES) ||
	    ioctl(device, NBD_SET_FLAGS, be16toh(export.flags)) || ioctl(device, NBD_SET_SOCK, server))
		return "the kernel does not take the connection";
	ioctl(device, NBD_DO_IT);
	return "the NBD device was disconnected";
}
