package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"natscast/bus"
	"natscast/bus/static"
	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
	"natscast/kv"
)

var (
	errNotConnected = errors.New("a command before connect")
	errNoStream     = errors.New("the message stream does not exist")
)

// publishWait bounds how long a publisher waits for its lease.
const publishWait = 5 * time.Second

// stream is one message stream of a connection: nothing yet, a publication or a player.
type stream struct {
	id       uint32
	name     media.Name
	asked    string // the name as the client gave it
	sink     media.Sink
	recorded bool // its publisher wants it to be kept
	player   *player
	buffer   time.Duration // of the player, as the client has told
}

// stream returns an existing message stream. One that a client takes for granted
// (some never call createStream) is made.
func (s *session) stream(id uint32) (*stream, error) {
	if st := s.find(id); st != nil {
		return st, nil
	}
	if id == 0 || id > maxStreams || len(s.streams) == maxStreams {
		return nil, fmt.Errorf("%w: %d", errNoStream, id)
	}
	return s.addStream(id), nil
}

// find returns a message stream of the client's, nil for none. There is one, most often.
func (s *session) find(id uint32) *stream {
	for _, st := range s.streams {
		if st.id == id {
			return st
		}
	}
	return nil
}

func (s *session) addStream(id uint32) *stream {
	st := &stream{id: id}
	s.streams = append(s.streams, st)
	return st
}

// open makes a message stream ready to publish or play the name that a command gives, ending what
// it did before. A bad name is refused with the status code, and the stream is nil.
func (s *session) open(c message.Command, refusal string) (*stream, error) {
	st, err := s.stream(c.StreamID)
	if err != nil {
		return nil, err
	}
	s.closeStream(st.id)
	st.asked = argString(c, 1)
	if st.name, err = streamName(s.app, withoutKind(st.asked)); err != nil {
		s.refused(c.Name+" refused", media.Name(st.asked), err)
		s.refuseStream(st.id, refusal, err.Error())
		return nil, nil
	}
	return st, nil
}

// streamName is the name of the stream that a client asks for. Some clients put all of the path
// into the app, and ask for a stream without a name.
func streamName(app, asked string) (media.Name, error) {
	if path, query, _ := strings.Cut(asked, "?"); strings.Trim(path, "/") == "" {
		if i := strings.LastIndexByte(strings.TrimRight(app, "/"), '/'); i > 0 {
			return media.ParseName(app[:i], app[i+1:]+"?"+query)
		}
	}
	return media.ParseName(app, asked)
}

// withoutKind leaves off the kind of file that Flash-era clients, and ffmpeg, put before a name.
func withoutKind(name string) string {
	for _, kind := range []string{"mp4:", "flv:", "f4v:", "mp3:"} {
		if rest, ok := strings.CutPrefix(name, kind); ok {
			return rest
		}
	}
	return name
}

// publish (7.2.2.6). Origins that record keep a stream of type "record" or "append".
func (s *session) publish(c message.Command) error {
	st, err := s.open(c, "NetStream.Publish.BadName")
	if st == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, publishWait)
	defer cancel()
	record := argString(c, 2)
	if record != "record" && record != "append" {
		record = "" // live
	}
	sink, err := s.edge.ingest.Publish(ctx, st.name, s.remote+" "+s.client, record)
	if err != nil {
		s.refused("publish refused", st.name, err)
		code := "NetStream.Publish.Failed"
		if errors.Is(err, kv.ErrTaken) {
			code = "NetStream.Publish.BadName"
		}
		s.refuseStream(st.id, code, err.Error())
		return nil
	}
	st.sink = sink
	s.edge.count.publishers.Add(1)
	s.tell()
	s.send(
		userControl(message.StreamBegin, st.id),
		onStatus(
			st.id,
			message.LevelStatus,
			"NetStream.Publish.Start",
			string(st.name)+" is now published.",
		),
	)
	if st.recorded = record != ""; st.recorded {
		s.send(
			onStatus(
				st.id,
				message.LevelStatus,
				"NetStream.Record.Start",
				"Origins that record keep "+string(st.name)+".",
			),
		)
	}
	return nil
}

// clearDataFrame is the AMF0 string with which a publisher takes its metadata back. Those who
// have it keep it, and the next onMetaData replaces it.
var clearDataFrame = []byte("\x02\x00\x0f" + message.ClearDataFrame)

// media passes a published message on. Media on a stream that does not publish
// (any more) is what a client had under way; it is ignored.
func (s *session) media(m chunk.Message) error {
	st := s.find(m.StreamID)
	if st == nil || st.sink == nil {
		return nil
	}
	frames, err := message.AppendFrames(s.frames[:0], m)
	if err != nil {
		return err
	}
	s.frames = frames
	for _, f := range frames {
		if f.Kind == media.Data && bytes.HasPrefix(f.Payload, clearDataFrame) {
			continue
		}
		if err := st.sink.Write(f); err != nil {
			return err
		}
	}
	return nil
}

// refuseStream tells the client that a publish or play command has failed.
// refused counts and logs what a client was not given.
func (s *session) refused(what string, name media.Name, err error) {
	why := reason.Unavailable
	switch {
	case errors.Is(err, media.ErrName):
		why = reason.BadName
	case errors.Is(err, kv.ErrTaken):
		why = reason.NameTaken
	case errors.Is(err, static.ErrNoAsset), errors.Is(err, kv.ErrNotFound), errors.Is(err, bus.ErrExpired):
		why = reason.NotFound
	}
	s.edge.reasons.Add(why, 1)
	s.log().Info(what, "stream", name, "reason", why, "err", err)
}

func (s *session) refuseStream(id uint32, code, description string) {
	s.send(onStatus(id, message.LevelError, code, description))
}

func (s *session) receiveAudio(id uint32, want bool) {
	if st := s.find(id); st != nil && st.player != nil {
		s.out.With(func() { st.player.viewer.NoAudio = !want })
	}
}

// receiveVideo(true) starts video at the next keyframe.
func (s *session) receiveVideo(id uint32, want bool) {
	if st := s.find(id); st != nil && st.player != nil {
		s.out.With(func() {
			v := &st.player.viewer
			v.AwaitsKey = want && (v.NoVideo || v.AwaitsKey)
			v.NoVideo = !want
		})
	}
}

// closeNamed closes the streams that the client calls by this name.
func (s *session) closeNamed(name string) {
	for _, st := range s.streams {
		if st.asked == name {
			s.closeStream(st.id)
		}
	}
}

// closeStream ends what a message stream plays or publishes; the stream itself stays.
func (s *session) closeStream(id uint32) {
	st := s.find(id)
	if st == nil {
		return
	}
	if st.player != nil {
		s.stopPlay(st)
	}
	if st.sink != nil {
		s.stopPublish(st)
	}
	st.asked = ""
}

func (s *session) stopPublish(st *stream) {
	end := st.sink.Close
	if s.edge.isDraining() {
		end = st.sink.Leave // the encoder comes back elsewhere
	}
	if err := end(); err != nil {
		s.log().Warn("the end of a publication", "stream", st.name, "err", err)
	}
	st.sink = nil
	s.edge.count.publishers.Add(-1)
	if st.recorded {
		s.send(
			onStatus(
				st.id,
				message.LevelStatus,
				"NetStream.Record.Stop",
				string(st.name)+" is no longer recorded.",
			),
		)
	}
	s.send(
		onStatus(
			st.id,
			message.LevelStatus,
			"NetStream.Unpublish.Success",
			string(st.name)+" is no longer published.",
		),
	)
}
