// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "network.h"

int network_bind(int type, const char *address, uint16_t *port)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t length = sizeof(own);
	int yes = 1;
	int file;

	if (inet_pton(AF_INET, address, &own.sin_addr) != 1)
		return -1;
	file = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (file < 0)
		return -1;
	if (type == SOCK_STREAM)
		setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(file, (struct sockaddr *)&own, sizeof(own)) ||
	    (type == SOCK_STREAM && listen(file, 16)) ||
	    getsockname(file, (struct sockaddr *)&own, &length)) {
		close(file);
		return -1;
	}
	*port = ntohs(own.sin_port);
	return file;
}

int network_thread(void *(*thread)(void *), void *argument)
{
	pthread_t id;

	if (pthread_create(&id, NULL, thread, argument))
		return 0;
	pthread_detach(id);
	return 1;
}
