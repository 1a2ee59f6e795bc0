// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "echo.h"
#include "network.h"

#define DATAGRAM_BYTES 2048

/* Line n is its number in 16 hexadecimal digits, a blank, 46 letters that run on from line to line, a newline. */
#define LINE_BYTES 64
/* 16 lines each 10 ms: 102 kB/s, so that a tear within a pause of a few milliseconds shows. */
#define LINES_PER_SLICE 16
#define SLICE_NS 10000000ll

static void make_line(char line[LINE_BYTES + 1], unsigned long long number)
{
	snprintf(line, LINE_BYTES + 1, "%016llx ", number);
	for (int i = 17; i < LINE_BYTES - 1; i++)
		line[i] = 'a' + (number + i) % 26;
	line[LINE_BYTES - 1] = '\n';
}

static void *stream_lines(void *argument)
{
	int connection = (int)(intptr_t)argument;
	char block[LINES_PER_SLICE * LINE_BYTES + 1];
	unsigned long long number = 0;
	int64_t next = clock_ns();

	for (;;) {
		for (int i = 0; i < LINES_PER_SLICE; i++)
			make_line(block + i * LINE_BYTES, number++);
		/* Blocks while the client's window is closed, and then catches up with nothing. */
		for (size_t sent = 0; sent < sizeof(block) - 1;) {
			ssize_t result = send(connection, block + sent, sizeof(block) - 1 - sent, MSG_NOSIGNAL);

			if (result <= 0) {
				close(connection);
				return NULL;
			}
			sent += result;
		}
		next += SLICE_NS;
		if (next < clock_ns())
			next = clock_ns();
		clock_sleep_until(next);
	}
}

static void *accept_streams(void *argument)
{
	int listener = (int)(intptr_t)argument;

	for (;;) {
		int connection = accept(listener, NULL, NULL);

		if (connection >= 0 && !network_thread(stream_lines, (void *)(intptr_t)connection))
			close(connection);
	}
	return NULL;
}

static void echo_datagrams(int file)
{
	for (;;) {
		char bytes[DATAGRAM_BYTES];
		struct sockaddr_in peer;
		socklen_t peer_length = sizeof(peer);
		ssize_t length = recvfrom(file, bytes, sizeof(bytes), 0, (struct sockaddr *)&peer, &peer_length);

		if (length >= 0)
			sendto(file, bytes, length, 0, (struct sockaddr *)&peer, peer_length);
	}
}

const char *echo_run(const struct options *options)
{
	const struct sched_param first = { .sched_priority = 50 };
	const char *address = options_text(options, "bind", "0.0.0.0");
	uint64_t echo_port = 7, stream_port = 7001;
	uint16_t port;
	int datagrams, listener;

	if (!options_size(options, "echo-port", &echo_port) || !options_size(options, "stream-port", &stream_port) ||
	    echo_port > UINT16_MAX || stream_port > UINT16_MAX)
		return "echo-port and stream-port must be port numbers";
	port = echo_port;
	datagrams = network_bind(SOCK_DGRAM, address, &port);
	if (datagrams < 0)
		return "the echo port can't be had";
	echo_port = port;
	port = stream_port;
	listener = network_bind(SOCK_STREAM, address, &port);
	if (listener < 0 || !network_thread(accept_streams, (void *)(intptr_t)listener))
		return "the stream port can't be had";
	printf("{\"ready\":\"echo\",\"echoPort\":%u,\"streamPort\":%u}\n", (unsigned int)echo_port, port);
	fflush(stdout);
	/* Both are a matter of privilege, and of quality only. */
	mlockall(MCL_CURRENT);
	sched_setscheduler(0, SCHED_FIFO, &first);
	echo_datagrams(datagrams);
	return NULL;
}
