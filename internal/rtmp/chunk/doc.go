// Package chunk reads and writes the RTMP chunk stream (RTMP 1.0, section 5.3):
// messages cut into chunks, interleaved over chunk streams.
//
//	socket ─> bufio (3 KiB) ─> basic header ─> message header ─> part of a message ─> Message
//	Message ─> Append ─> bytes that any number of sockets can share
//
// Decisions:
//
//   - A message costs one allocation, its payload. A new message gets at once
//     the room that its chunk stream has proved before, by the largest message
//     that it delivered whole (at least 4 KiB), and doubles from there. So a
//     peer makes the reader hold at most twice what it has sent, beside the
//     4 KiB, and all that is unfinished on a connection shares one budget.
//   - A type 3 chunk that starts a message adds the timestamp field of the last
//     header again, even if that was the absolute time of a type 0 header
//     (5.3.1.2.4). ffmpeg, librtmp and SRS read it so, and ffmpeg writes it so.
//   - Some senders do not repeat the extended timestamp in type 3 chunks, as
//     5.3.1.3 asks. The reader looks at the next bytes one by one and takes them
//     for the timestamp only if all four are equal to it.
//   - A type 1 header may open a chunk stream: librtmp does so with its first
//     ping. Its delta counts from 0 on message stream 0. Types 2 and 3 may not.
//   - Append writes a type 0 header always: bytes that many players share cannot
//     lean on what each of them has received before.
//   - The number of message streams is no concern of this package, which keeps
//     nothing per message stream: the session knows those that it created.
package chunk
