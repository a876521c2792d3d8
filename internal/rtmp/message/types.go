package message

import "errors"

// Message type ids.
const (
	TypeSetChunkSize     uint8 = 1
	TypeAbort            uint8 = 2
	TypeAcknowledgement  uint8 = 3
	TypeUserControl      uint8 = 4
	TypeWindowAckSize    uint8 = 5
	TypeSetPeerBandwidth uint8 = 6
	TypeAudio            uint8 = 8
	TypeVideo            uint8 = 9
	TypeDataAMF3         uint8 = 15
	TypeSharedObjectAMF3 uint8 = 16
	TypeCommandAMF3      uint8 = 17
	TypeData             uint8 = 18
	TypeSharedObject     uint8 = 19
	TypeCommand          uint8 = 20
	TypeAggregate        uint8 = 22
)

// The chunk streams on which messages are sent.
const (
	ControlChunkStream uint32 = 2
	CommandChunkStream uint32 = 3 // shared objects too
	AudioChunkStream   uint32 = 4
	DataChunkStream    uint32 = 5
	VideoChunkStream   uint32 = 6
)

var (
	// ErrMalformed is wrapped by every error about a body that does not fit its
	// message type, unless that of package amf says it.
	ErrMalformed = errors.New("malformed RTMP message")
	// ErrType is wrapped when a decoder is given a message of another group.
	ErrType = errors.New("unexpected RTMP message type")
)
