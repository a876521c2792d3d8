// Package message gives RTMP messages their meaning (RTMP 1.0, sections 5.4, 6 and
// 7): it decodes a [chunk.Message] by its group and builds one from typed values.
//
//	group            types       from the wire       to the wire
//	protocol control 1 2 3 5 6   DecodeControl       SetChunkSize, Acknowledgement, ...
//	user control     4           DecodeUserControl   UserControl.Message
//	command          17 20       DecodeCommand       Command.Message
//	data             15 18       DecodeData          Data.Message
//	media            8 9 15 18 22  AppendFrames      Media
//
// Shared objects (16 and 19) are the business of package sharedobject, next to this
// one.
//
// Decisions:
//
//   - A message is put on the chunk stream that most servers use for its group:
//     control on 2, commands on 3, audio on 4, data on 5, video on 6. Some clients
//     insist on the first two. Readers look at the type alone.
//   - Type 17 and 15 bodies are a format byte, always 0, and AMF0 values, of which
//     some may switch to AMF3 (Enhanced RTMP v2, "AMF3"). Another format byte is an
//     error.
//   - Readers allow what follows the last field they know, and a command without a
//     transaction id; they refuse what is cut off.
package message
