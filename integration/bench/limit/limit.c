/*
 * limit is what no media server can be cheaper than that writes once per player and
 * block. It knows no protocol: the first client is the feed, which sends blocks (their
 * length in 4 bytes, big-endian, then the bytes); every later one is a player and is
 * sent each block. What it reads from players: nothing.
 *
 *	limit FILE	FILE gets the address as a JSON string
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { max_players = 1 << 16, max_block = 1 << 24 };

static int players[max_players];
static int n_players;
static char block[max_block];

static int listen_on_loopback(const char *ready_file)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, size) || listen(fd, SOMAXCONN) ||
	    getsockname(fd, (struct sockaddr *)&a, &size))
		err(1, "listen");
	FILE *f = fopen(ready_file, "w");
	if (!f || fprintf(f, "\"127.0.0.1:%d\"", ntohs(a.sin_port)) < 0 || fclose(f))
		err(1, "%s", ready_file);
	return fd;
}

/* read_full ends the program at the end of the feed. */
static void read_full(int fd, char *b, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, b, n);
		if (got <= 0)
			errx(0, "the feed has ended");
		b += got;
		n -= got;
	}
}

static void pass_on(int feed)
{
	uint32_t size;
	read_full(feed, (char *)&size, sizeof size);
	size = ntohl(size);
	if (size > max_block)
		errx(1, "a block of %u bytes", size);
	read_full(feed, block, size);
	/* Sockets block, and nobody looks whether a player has gone: the run is over then. */
	for (int i = 0; i < n_players; i++)
		send(players[i], block, size, MSG_NOSIGNAL);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: limit FILE");
	int ln = listen_on_loopback(argv[1]);
	int feed = accept(ln, NULL, NULL);
	if (feed < 0)
		err(1, "accept");
	struct pollfd ready[] = { { feed, POLLIN, 0 }, { ln, POLLIN, 0 } };
	while (poll(ready, 2, -1) > 0) {
		if (ready[0].revents)
			pass_on(feed);
		if (ready[1].revents && n_players < max_players) {
			int fd = accept(ln, NULL, NULL);
			if (fd >= 0)
				players[n_players++] = fd;
		}
	}
	err(1, "poll");
}
