package message

import (
	"fmt"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
)

// Names of data messages with which a publisher sets and removes what players
// that join later get: @setDataFrame is followed by the message itself.
const (
	SetDataFrame   = "@setDataFrame"
	ClearDataFrame = "@clearDataFrame"
)

// Data is a data message (7.1.2), such as onMetaData: a name and values.
type Data struct {
	Name      string
	Args      []amf.Value
	Timestamp uint32
	StreamID  uint32
}

// DecodeData reads a message of type 18 or 15. Those that only pass by need not be
// decoded: [AppendFrames] relays them byte for byte.
func DecodeData(m chunk.Message) (Data, error) {
	if m.Type != TypeData && m.Type != TypeDataAMF3 {
		return Data{}, fmt.Errorf("%w: %d is not data", ErrType, m.Type)
	}
	name, args, err := decodeNamed(m.Payload, m.Type == TypeDataAMF3)
	if err != nil {
		return Data{}, fmt.Errorf("decode data: %w", err)
	}
	return Data{Name: name, Args: args, Timestamp: m.Timestamp, StreamID: m.StreamID}, nil
}

// Message returns d for the wire, as type 18. The error is that of amf.Append0,
// for arguments that AMF cannot say.
func (d Data) Message() (chunk.Message, error) {
	payload, err := appendNamed(false, d.Name, d.Args)
	if err != nil {
		return chunk.Message{}, fmt.Errorf("encode data %q: %w", d.Name, err)
	}
	return chunk.Message{
		ChunkStreamID: DataChunkStream, Timestamp: d.Timestamp,
		Type: TypeData, StreamID: d.StreamID, Payload: payload,
	}, nil
}
