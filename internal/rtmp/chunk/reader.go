package chunk

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

const (
	// bufferSize is small because a connection keeps it that says something now and then. Parts of
	// a message that are larger are read past it, straight into the message.
	bufferSize = 1 << 10
	// minRoom is what a message may get before any of its bytes arrived.
	minRoom = 4 << 10
	// extendedMark in the timestamp field says that an extended one follows.
	extendedMark = 1<<24 - 1
)

// Reader reads messages from a chunk stream. It is not safe for concurrent use.
type Reader struct {
	source io.Reader
	in     *bufio.Reader // nil when released
	limits Limits
	header [11]byte

	bytesRead  uint64
	chunkSize  int
	streams    []*chunkStream // some
	unfinished int            // the room of all unfinished messages
}

// chunkStream is what the headers of one chunk stream inherit from each other,
// and its unfinished message.
type chunkStream struct {
	id        uint32
	timestamp uint32
	delta     uint32 // the last timestamp field, extended or not
	extended  bool   // delta was told by an extended timestamp
	msgType   uint8
	streamID  uint32
	length    int

	started bool   // a message has begun and is not finished
	payload []byte // what has arrived of it
	proved  int    // the largest message delivered whole, in bytes
}

// NewReader returns a Reader of r, which needs no buffer of its own. It reads
// ahead: nothing else can read from r afterwards.
func NewReader(r io.Reader, limits Limits) *Reader {
	return &Reader{
		source:    r,
		limits:    limits,
		chunkSize: DefaultSize,
	}
}

// buffers are those of readers that were released.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}

// Await blocks until the next message has begun to arrive, or the source ends or fails. When it has
// failed, Await may be called again.
func (r *Reader) Await() error {
	r.acquire()
	if _, err := r.in.Peek(1); err != nil {
		return beginError(err)
	}
	return nil
}

// Release lets go of the buffer until the next call, unless something waits in it. It reports
// whether it did.
func (r *Reader) Release() bool {
	switch {
	case r.in == nil:
		return true
	case r.in.Buffered() > 0:
		return false
	}
	r.in.Reset(nil)
	buffers.Put(r.in)
	r.in = nil
	return true
}

func (r *Reader) acquire() {
	if r.in == nil {
		r.in = buffers.Get().(*bufio.Reader)
		r.in.Reset(r.source)
	}
}

// beginError is the error for a chunk that does not begin: the end of the source is none.
func beginError(err error) error {
	if err == io.EOF {
		return err
	}
	return fmt.Errorf("read chunk: %w", err)
}

// BytesRead returns how many bytes of the chunk stream have been consumed, for
// Acknowledgement messages (5.4.3), which let it wrap at 32 bits.
func (r *Reader) BytesRead() uint64 { return r.bytesRead }

// Read returns the next whole message, and blocks until it is there. It acts on
// Set Chunk Size and Abort itself and returns everything else. The error is
// io.EOF when the peer closed between two chunks. Errors are final.
func (r *Reader) Read() (Message, error) {
	r.acquire()
	for {
		s, err := r.readChunk()
		if err != nil {
			return Message{}, err
		}
		if s.started {
			continue
		}
		m := Message{
			ChunkStreamID: s.id,
			Timestamp:     s.timestamp,
			Type:          s.msgType,
			StreamID:      s.streamID,
			Payload:       s.payload,
		}
		s.payload = nil
		switch m.Type {
		case typeSetChunkSize:
			err = r.setChunkSize(m.Payload)
		case typeAbort:
			err = r.abort(m.Payload)
		default:
			return m, nil
		}
		if err != nil {
			return Message{}, err
		}
	}
}

// readChunk reads one chunk. If that finishes a message, the chunk stream is no
// longer started, and its payload is that of the message.
func (r *Reader) readChunk() (*chunkStream, error) {
	format, id, err := r.readBasicHeader()
	if err != nil {
		return nil, err
	}
	s, err := r.chunkStream(format, id)
	if err != nil {
		return nil, err
	}
	if format < 3 {
		err = r.readMessageHeader(s, format)
	} else {
		err = r.skipRepeatedTimestamp(s)
	}
	if err != nil {
		return nil, fmt.Errorf("read header on chunk stream %d: %w", id, err)
	}
	if !s.started {
		if err := r.start(s, format); err != nil {
			return nil, err
		}
	}
	if err := r.readPart(s, min(r.chunkSize, s.length-len(s.payload))); err != nil {
		return nil, fmt.Errorf("read payload on chunk stream %d: %w", id, err)
	}
	if len(s.payload) == s.length {
		s.started = false
		s.proved = max(s.proved, s.length)
		r.unfinished -= cap(s.payload)
	}
	return s, nil
}

// readBasicHeader reads the 1, 2 or 3 bytes of 5.3.1.1.
func (r *Reader) readBasicHeader() (format byte, id uint32, err error) {
	first, err := r.in.ReadByte()
	if err != nil {
		return 0, 0, beginError(err)
	}
	r.bytesRead++
	format, id = first>>6, uint32(first&0x3f)
	if id > 1 {
		return format, id, nil
	}
	h, err := r.readHeader(1 + int(id))
	if err != nil {
		return 0, 0, fmt.Errorf("read chunk: %w", err)
	}
	id = 64 + uint32(h[0])
	if len(h) == 2 {
		id += uint32(h[1]) << 8
	}
	return format, id, nil
}

// chunkStream finds the chunk stream of a header, or makes it if the header may
// open one.
func (r *Reader) chunkStream(format byte, id uint32) (*chunkStream, error) {
	s := r.find(id)
	switch {
	case s == nil && format > 1:
		return nil, fmt.Errorf("%w: type %d on chunk stream %d", ErrNoPredecessor, format, id)
	case s == nil && len(r.streams) >= r.limits.ChunkStreams:
		return nil, fmt.Errorf("%w: at most %d", ErrChunkStreams, r.limits.ChunkStreams)
	case s == nil:
		s = &chunkStream{id: id}
		r.streams = append(r.streams, s)
	case s.started && format < 3:
		return nil, fmt.Errorf("%w: type %d on chunk stream %d", ErrInterrupted, format, id)
	}
	return s, nil
}

// find returns a chunk stream, nil if it is new. Peers use a few.
func (r *Reader) find(id uint32) *chunkStream {
	for _, s := range r.streams {
		if s.id == id {
			return s
		}
	}
	return nil
}

// readMessageHeader reads a header of type 0, 1 or 2 (5.3.1.2) and the extended
// timestamp after it (5.3.1.3).
func (r *Reader) readMessageHeader(s *chunkStream, format byte) error {
	size := [3]int{11, 7, 3}[format]
	h, err := r.readHeader(size)
	if err != nil {
		return err
	}
	s.delta = uint24(h)
	if format < 2 {
		s.length = int(uint24(h[3:]))
		s.msgType = h[6]
	}
	if format < 1 {
		s.streamID = binary.LittleEndian.Uint32(h[7:])
	}
	s.extended = s.delta == extendedMark
	if s.extended {
		if h, err = r.readHeader(4); err != nil {
			return err
		}
		s.delta = binary.BigEndian.Uint32(h)
	}
	return nil
}

// skipRepeatedTimestamp skips the extended timestamp after a type 3 header, if
// it is there. It never waits for a byte that the sender may not send: after the
// first difference the bytes are known to be payload.
func (r *Reader) skipRepeatedTimestamp(s *chunkStream) error {
	if !s.extended {
		return nil
	}
	var want [4]byte
	binary.BigEndian.PutUint32(want[:], s.delta)
	for i := range want {
		next, err := r.in.Peek(i + 1)
		if err != nil && err != io.EOF {
			return err
		}
		if err == io.EOF || next[i] != want[i] {
			return nil
		}
	}
	_, err := r.readHeader(len(want))
	return err
}

// start begins a message with the header that s holds.
func (r *Reader) start(s *chunkStream, format byte) error {
	if limit := r.limits.message(s.msgType); s.length > limit {
		return fmt.Errorf(
			"%w: %d bytes of type %d, at most %d",
			ErrMessageSize,
			s.length,
			s.msgType,
			limit,
		)
	}
	if format == 0 {
		s.timestamp = s.delta
	} else {
		s.timestamp += s.delta
	}
	s.started = true
	return r.grow(s, max(minRoom, s.proved))
}

// readPart reads the next n bytes of the message, which gets more room only
// when what it has is full.
func (r *Reader) readPart(s *chunkStream, n int) error {
	for n > 0 {
		if len(s.payload) == cap(s.payload) {
			if err := r.grow(s, 2*cap(s.payload)); err != nil {
				return err
			}
		}
		have := len(s.payload)
		part := min(n, cap(s.payload)-have)
		s.payload = s.payload[:have+part]
		read, err := io.ReadFull(r.in, s.payload[have:])
		r.bytesRead += uint64(read)
		if err != nil {
			return cutOff(err)
		}
		n -= part
	}
	return nil
}

// grow gives the message of s room bytes, or its length if that is less.
func (r *Reader) grow(s *chunkStream, room int) error {
	room = min(room, s.length)
	if r.unfinished += room - cap(s.payload); r.unfinished > r.limits.Unfinished {
		return fmt.Errorf("%w: at most %d bytes", ErrUnfinished, r.limits.Unfinished)
	}
	payload := make([]byte, len(s.payload), room)
	copy(payload, s.payload)
	s.payload = payload
	return nil
}

// setChunkSize is 5.4.1: 31 bits, not 0.
func (r *Reader) setChunkSize(payload []byte) error {
	if len(payload) != 4 {
		return fmt.Errorf("%w: Set Chunk Size of %d bytes", ErrControl, len(payload))
	}
	size := binary.BigEndian.Uint32(payload)
	if size == 0 || size >= 1<<31 {
		return fmt.Errorf("%w: chunk size %d", ErrControl, size)
	}
	r.chunkSize = int(min(size, MaxSize))
	return nil
}

// abort is 5.4.2: the rest of an unfinished message will not come. An id without
// one is no error: the sender may have finished the message before.
func (r *Reader) abort(payload []byte) error {
	if len(payload) != 4 {
		return fmt.Errorf("%w: Abort of %d bytes", ErrControl, len(payload))
	}
	if s := r.find(binary.BigEndian.Uint32(payload)); s != nil && s.started {
		r.unfinished -= cap(s.payload)
		s.payload = nil
		s.started = false
	}
	return nil
}

// readHeader returns the next n bytes, valid until the next call.
func (r *Reader) readHeader(n int) ([]byte, error) {
	read, err := io.ReadFull(r.in, r.header[:n])
	r.bytesRead += uint64(read)
	return r.header[:n], cutOff(err)
}

// cutOff turns the end of the connection inside a chunk into an error.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func uint24(b []byte) uint32 {
	return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
}
