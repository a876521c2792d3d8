package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"natscast/internal/amf"
	"natscast/internal/media"
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
	id     uint32
	name   media.Name
	asked  string // the name as the client gave it
	sink   media.Sink
	player *player
	wait   *time.Timer // tells a player that its stream does not come
}

// stream returns an existing message stream. One that a client takes for granted
// (some never call createStream) is made.
func (s *session) stream(id uint32) (*stream, error) {
	if st := s.streams[id]; st != nil {
		return st, nil
	}
	if id == 0 || id > maxStreams || len(s.streams) == maxStreams {
		return nil, fmt.Errorf("%w: %d", errNoStream, id)
	}
	s.streams[id] = &stream{id: id}
	return s.streams[id], nil
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
	if st.name, err = media.ParseName(s.app, st.asked); err != nil {
		s.log.Info("name refused", "command", c.Name, "err", err)
		s.refuseStream(st.id, refusal, err.Error())
		return nil, nil
	}
	return st, nil
}

// publish (7.2.2.6). All publishing types are live for now: "record" and "append" differ in what is kept.
func (s *session) publish(c message.Command) error {
	st, err := s.open(c, "NetStream.Publish.BadName")
	if st == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, publishWait)
	defer cancel()
	sink, err := s.edge.ingest.Publish(ctx, st.name, s.conn.RemoteAddr().String()+" "+s.client)
	if err != nil {
		s.log.Info("publish refused", "err", err)
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
	s.send(userControl(message.StreamBegin, st.id),
		onStatus(st.id, message.LevelStatus, "NetStream.Publish.Start", string(st.name)+" is now published."))
	return nil
}

// clearDataFrame is the AMF0 string with which a publisher takes its metadata back. Those who
// have it keep it, and the next onMetaData replaces it.
var clearDataFrame = []byte("\x02\x00\x0f" + message.ClearDataFrame)

// media passes a published message on. Media on a stream that does not publish
// (any more) is what a client had under way; it is ignored.
func (s *session) media(m chunk.Message) error {
	st := s.streams[m.StreamID]
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
func (s *session) refuseStream(id uint32, code, description string) {
	s.send(onStatus(id, message.LevelError, code, description))
}

// play (7.2.2.1). A stream that nobody publishes is waited for.
func (s *session) play(c message.Command) error {
	st, err := s.open(c, "NetStream.Play.Failed")
	if st == nil {
		return err
	}
	if s.redirect(st) {
		return nil
	}
	s.begin(st, newPlayer(s.edge.join(st.name), st.id), frame(userControl(message.StreamBegin, st.id),
		onStatus(st.id, message.LevelStatus, "NetStream.Play.Reset", "Playing and resetting "+string(st.name)+"."),
		onStatus(st.id, message.LevelStatus, "NetStream.Play.Start", "Started playing "+string(st.name)+"."),
		encode(message.Data{StreamID: st.id, Name: "|RtmpSampleAccess", Args: []amf.Value{true, true}})))
	return nil
}

// begin has a message stream play, which is announced first.
func (s *session) begin(st *stream, p *player, announcement []byte) {
	if s.worker < 0 {
		s.worker = s.edge.worker()
	}
	st.player = p
	s.edge.count.players.Add(1)
	s.log.Info("play began", "stream", st.name)
	s.tell()

	p.hub.audience[s.worker].join(s.out)
	s.out.play(p, announcement)
	st.wait = time.AfterFunc(s.edge.config.PlayWait, func() { s.giveUp(p) })
}

// giveUp tells a player that has got nothing that there is no such stream.
func (s *session) giveUp(p *player) {
	s.out.with(func() {
		if p.sent == 0 && !p.paused && slices.Contains(s.out.players, p) {
			s.out.control = append(s.out.control, p.absent()...)
		}
	})
}

// playAbsent announces that there is no such stream.
func playAbsent(streamID uint32, name media.Name) []byte {
	return frame(
		onStatus(streamID, message.LevelError, "NetStream.Play.StreamNotFound", "Nobody publishes "+string(name)+"."),
		userControl(message.StreamEOF, streamID))
}

// playEnded announces that the publisher has gone. Which part of it ends a client
// differs: ffmpeg and librtmp UnpublishNotify, GStreamer StreamEOF.
func playEnded(streamID uint32) []byte {
	return frame(
		onStatus(streamID, message.LevelStatus, "NetStream.Play.UnpublishNotify", "The stream is no longer published."),
		userControl(message.StreamEOF, streamID))
}

// playBegan announces to a player that has stayed that there is a publisher again.
func playBegan(streamID uint32) []byte {
	return frame(
		userControl(message.StreamBegin, streamID),
		onStatus(streamID, message.LevelStatus, "NetStream.Play.PublishNotify", "The stream is published again."))
}

// pause stops a live player; resuming, it joins anew at the newest keyframe.
func (s *session) pause(id uint32, pause bool) {
	st := s.streams[id]
	if st == nil || st.player == nil {
		return
	}
	if pause {
		s.out.with(func() { st.player.paused = true })
		s.send(onStatus(id, message.LevelStatus, "NetStream.Pause.Notify", "Paused."), userControl(message.StreamEOF, id))
		return
	}
	s.send(userControl(message.StreamBegin, id), onStatus(id, message.LevelStatus, "NetStream.Unpause.Notify", "Playing on."))
	s.out.with(func() { st.player.paused, st.player.joined = false, false })
}

// seek on a live stream leads back to its newest keyframe: refusing it would end ffmpeg,
// and without a Seek.Notify ffmpeg drops everything that follows.
func (s *session) seek(id uint32) {
	st := s.streams[id]
	if st == nil || st.player == nil {
		return
	}
	s.send(userControl(message.StreamEOF, id), userControl(message.StreamBegin, id),
		onStatus(id, message.LevelStatus, "NetStream.Seek.Notify", "A live stream plays on from its newest keyframe."),
		onStatus(id, message.LevelStatus, "NetStream.Play.Start", "Started playing "+string(st.name)+"."))
	s.out.with(func() { st.player.joined = false })
}

func (s *session) receiveAudio(id uint32, want bool) {
	if st := s.streams[id]; st != nil && st.player != nil {
		s.out.with(func() { st.player.noAudio = !want })
	}
}

// receiveVideo(true) starts video at the next keyframe.
func (s *session) receiveVideo(id uint32, want bool) {
	if st := s.streams[id]; st != nil && st.player != nil {
		s.out.with(func() {
			st.player.awaitsKey = want && (st.player.noVideo || st.player.awaitsKey)
			st.player.noVideo = !want
		})
	}
}

// closeNamed closes the streams that the client calls by this name.
func (s *session) closeNamed(name string) {
	for id, st := range s.streams {
		if st.asked == name {
			s.closeStream(id)
		}
	}
}

// closeStream ends what a message stream plays or publishes; the stream itself stays.
func (s *session) closeStream(id uint32) {
	st := s.streams[id]
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

func (s *session) stopPlay(st *stream) {
	p := st.player
	st.wait.Stop()
	s.out.remove(p)
	p.hub.audience[s.worker].leave(s.out)
	s.edge.leave(p.hub)
	s.edge.count.players.Add(-1)
	s.log.Info("play ended", "stream", st.name, "chunks", p.sent, "skipped", p.skipped)
	st.player = nil
}

func (s *session) stopPublish(st *stream) {
	end := st.sink.Close
	if s.edge.isDraining() {
		end = st.sink.Leave // the encoder comes back elsewhere
	}
	if err := end(); err != nil {
		s.log.Warn("the end of a publication", "stream", st.name, "err", err)
	}
	st.sink = nil
	s.edge.count.publishers.Add(-1)
	s.send(onStatus(st.id, message.LevelStatus, "NetStream.Unpublish.Success", string(st.name)+" is no longer published."))
}
