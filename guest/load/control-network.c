// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "lines.h"
#include "network.h"

/*
 * A client repeats a datagram when no answer comes. Commands with an id are therefore carried out once, and
 * repetitions get the same answer again; so many answers are remembered.
 */
#define REMEMBERED 8

struct listener {
	struct load *load;
	int file;
};

struct remembered {
	char id[64];
	struct sockaddr_in peer;
	struct answer answer;
};

static struct remembered *recall(struct remembered *answers, const char *id, const struct sockaddr_in *peer)
{
	for (int i = 0; i < REMEMBERED; i++) {
		if (!strcmp(answers[i].id, id) && answers[i].peer.sin_port == peer->sin_port &&
		    answers[i].peer.sin_addr.s_addr == peer->sin_addr.s_addr)
			return &answers[i];
	}
	return NULL;
}

static void *answer_datagrams(void *argument)
{
	static struct remembered answers[REMEMBERED];
	struct listener *listener = argument;
	unsigned int next = 0;

	for (;;) {
		char line[LINE_BYTES_MAX + 1], id[64] = "";
		struct sockaddr_in peer;
		socklen_t peer_length = sizeof(peer);
		struct remembered *known;
		ssize_t length = recvfrom(listener->file, line, sizeof(line) - 1, 0,
					  (struct sockaddr *)&peer, &peer_length);

		if (length < 0)
			continue;
		line[length] = '\0';
		sscanf(line, "id=%63s", id);
		known = *id ? recall(answers, id, &peer) : NULL;
		if (!known) {
			known = &answers[next++ % REMEMBERED];
			load_execute(listener->load, line, &known->answer);
			memcpy(known->id, id, sizeof(id));
			known->peer = peer;
		}
		sendto(listener->file, known->answer.text, known->answer.length, 0,
		       (struct sockaddr *)&peer, peer_length);
	}
	return NULL;
}

static bool answer_line(const struct listener *connection, char *line)
{
	struct answer answer;

	load_execute(connection->load, line, &answer);
	return send(connection->file, answer.text, answer.length, MSG_NOSIGNAL) == (ssize_t)answer.length;
}

static void *answer_connection(void *argument)
{
	struct listener *connection = argument;
	struct lines lines = { .filled = 0 };
	bool open = true;

	while (open) {
		size_t room;
		char *into = lines_room(&lines, &room), *line;
		ssize_t length = recv(connection->file, into, room, 0);

		if (length <= 0)
			break;
		lines_filled(&lines, length);
		while (open && (line = lines_next(&lines)))
			open = answer_line(connection, line);
	}
	close(connection->file);
	free(connection);
	return NULL;
}

static void *accept_connections(void *argument)
{
	struct listener *listener = argument;

	for (;;) {
		struct listener *connection = malloc(sizeof(*connection));

		if (!connection) {
			sleep(1);
			continue;
		}
		connection->load = listener->load;
		connection->file = accept(listener->file, NULL, NULL);
		if (connection->file >= 0 && network_thread(answer_connection, connection))
			continue;
		if (connection->file >= 0)
			close(connection->file);
		free(connection);
	}
	return NULL;
}

uint16_t control_start_network(struct load *load, const char *address, uint16_t port)
{
	static struct listener datagrams, connections;

	datagrams.load = connections.load = load;
	connections.file = network_bind(SOCK_STREAM, address, &port);
	datagrams.file = network_bind(SOCK_DGRAM, address, &port);
	if (connections.file < 0 || datagrams.file < 0 || !network_thread(answer_datagrams, &datagrams) ||
	    !network_thread(accept_connections, &connections))
		return 0;
	return port;
}
